
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * params of requests of the modern era (codec/ngx_mcp_request_meta.c), against
 * the strict parser: each member is found where it belongs, of its type, with
 * its bytes or decoded; what is repeated is declined.
 *
 * The input is the params.
 */

#include "fuzz.h"
#include "ngx_mcp_request_meta.h"


#define REQUEST_MAX_DEPTH  64
#define REQUEST_PREFIX     "io.modelcontextprotocol/"


/* repeated: one of the members that were looked for is there twice */

typedef struct {
    fuzz_input_t   *in;
    strict_json_t   json;
    ngx_uint_t      repeated;
} request_model_t;


static size_t request_member(request_model_t *m, size_t object,
    const char *name);
static size_t request_object(request_model_t *m, size_t object,
    const char *name);
static void request_check_text(request_model_t *m, size_t i, ngx_str_t *found,
    const char *name);
static void request_check_level(request_model_t *m, size_t i, ngx_str_t *found);
static void request_check_raw(request_model_t *m, size_t i,
    strict_type_e type, ngx_str_t *found, const char *name);
static void request_check(request_model_t *m, ngx_int_t rc,
    ngx_mcp_request_meta_t *meta);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ngx_int_t               rc;
    ngx_str_t               params, text;
    fuzz_input_t            in;
    request_model_t         m;
    ngx_mcp_request_meta_t  meta;

    fuzz_begin(&in, data, size);

    params = fuzz_rest(&in);
    text = fuzz_json_text(&params);

    ngx_memzero(&m, sizeof(request_model_t));
    m.in = &in;

    rc = ngx_mcp_request_meta(in.pool, &params, &meta);

    if (strict_json_parse(&m.json, text.data, text.len)
        && m.json.deepest <= REQUEST_MAX_DEPTH)
    {
        request_check(&m, rc, &meta);

    } else if (rc != NGX_DECLINED) {
        fuzz_fail("params that are not JSON are declined: %ld", (long) rc);
    }

    strict_json_free(&m.json);
    fuzz_end(&in);

    return 0;
}


static size_t
request_member(request_model_t *m, size_t object, const char *name)
{
    return fuzz_json_member(&m->json, object, name, &m->repeated);
}


static size_t
request_object(request_model_t *m, size_t object, const char *name)
{
    size_t  i;

    i = request_member(m, object, name);

    return (i != STRICT_NONE && m->json.values[i].type == STRICT_OBJECT)
           ? i : STRICT_NONE;
}


static void
request_check(request_model_t *m, ngx_int_t rc, ngx_mcp_request_meta_t *meta)
{
    size_t  in_meta, client, version, capabilities, level, client_name,
            client_version, name, uri, notifications, responses, state;

    in_meta = request_object(m, 0, "_meta");
    client = request_object(m, in_meta, REQUEST_PREFIX "clientInfo");

    version = request_member(m, in_meta, REQUEST_PREFIX "protocolVersion");
    capabilities = request_member(m, in_meta,
                                  REQUEST_PREFIX "clientCapabilities");
    level = request_member(m, in_meta, REQUEST_PREFIX "logLevel");
    client_name = request_member(m, client, "name");
    client_version = request_member(m, client, "version");
    name = request_member(m, 0, "name");
    uri = request_member(m, 0, "uri");
    notifications = request_member(m, 0, "notifications");
    responses = request_member(m, 0, "inputResponses");
    state = request_member(m, 0, "requestState");

    if (rc != (m->repeated ? NGX_DECLINED : NGX_OK)) {
        fuzz_fail("repeated members, and only they, are declined: %ld",
                  (long) rc);
    }

    if (rc != NGX_OK) {
        return;
    }

    request_check_text(m, version, &meta->version, "version");
    request_check_level(m, level, &meta->log_level);
    request_check_text(m, client_name, &meta->client_name, "client_name");
    request_check_text(m, client_version, &meta->client_version,
                       "client_version");
    request_check_text(m, name, &meta->name, "name");
    request_check_text(m, uri, &meta->uri, "uri");

    request_check_raw(m, uri, STRICT_STRING, &meta->raw_uri, "raw_uri");
    request_check_raw(m, client, STRICT_OBJECT, &meta->client_info,
                      "client_info");
    request_check_raw(m, capabilities, STRICT_OBJECT, &meta->capabilities,
                      "capabilities");
    request_check_raw(m, notifications, STRICT_OBJECT, &meta->notifications,
                      "notifications");

    if (meta->retry != (responses != STRICT_NONE || state != STRICT_NONE)) {
        fuzz_fail("a retry has inputResponses or requestState");
    }
}


/* the string i when it is decoded, or nothing */

static void
request_check_text(request_model_t *m, size_t i, ngx_str_t *found,
    const char *name)
{
    ngx_str_t  text;

    if (i == STRICT_NONE || m->json.values[i].type != STRICT_STRING) {

        if (found->data) {
            fuzz_fail("%s is absent", name);
        }

        return;
    }

    text = fuzz_json_decoded(m->in, &m->json, i);

    if (found->data == NULL || !fuzz_same(found, &text)) {
        fuzz_fail("%s is \"%.*s\": \"%.*s\"", name, (int) text.len, text.data,
                  (int) found->len, found->data);
    }
}


/* a level that is no string is an empty one, which nobody knows */

static void
request_check_level(request_model_t *m, size_t i, ngx_str_t *found)
{
    if (i == STRICT_NONE || m->json.values[i].type == STRICT_STRING) {
        request_check_text(m, i, found, "log_level");
        return;
    }

    if (found->data == NULL || found->len != 0) {
        fuzz_fail("log_level is not empty");
    }
}


/* the value i, if it is of that type, at its place in the params */

static void
request_check_raw(request_model_t *m, size_t i, strict_type_e type,
    ngx_str_t *found, const char *name)
{
    ngx_str_t  raw;

    ngx_str_null(&raw);

    if (i != STRICT_NONE && m->json.values[i].type == type) {
        raw = fuzz_json_raw(&m->json, i);
    }

    if (found->data != raw.data || found->len != raw.len) {
        fuzz_fail("%s is \"%.*s\": \"%.*s\"", name, (int) raw.len, raw.data,
                  (int) found->len, found->data);
    }
}

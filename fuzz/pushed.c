
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * What Frappe publishes (codec/ngx_mcp_pushed.c), against the strict parser:
 * what is accepted has its members, decoded or raw; and the glance at the
 * address (codec/ngx_mcp_pushed_address.c) says the same as the parse.
 *
 * The input is the message.
 */

#include "fuzz.h"
#include "ngx_mcp_log_level.h"
#include "ngx_mcp_pushed.h"


#define PUSHED_MAX_DEPTH  64


static void pushed_check(fuzz_input_t *in, strict_json_t *json,
    ngx_mcp_pushed_t *pushed);
static void pushed_check_text(fuzz_input_t *in, strict_json_t *json,
    const char *name, ngx_str_t *found);
static void pushed_check_params(fuzz_input_t *in, strict_json_t *json,
    size_t params, ngx_mcp_pushed_t *pushed);
static void pushed_check_raw(strict_json_t *json, size_t object,
    const char *name, ngx_str_t *found);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ngx_int_t                  rc, seen;
    ngx_str_t                  message, bytes, text;
    fuzz_input_t               in;
    strict_json_t              json;
    ngx_mcp_pushed_t           pushed;
    ngx_mcp_pushed_address_t   to;

    fuzz_begin(&in, data, size);

    message = fuzz_rest(&in);

    ngx_memzero(&to, sizeof(ngx_mcp_pushed_address_t));
    ngx_memzero(&pushed, sizeof(ngx_mcp_pushed_t));
    ngx_memzero(&json, sizeof(strict_json_t));

    seen = ngx_mcp_pushed_address(&message, &to);

    /* the parse changes what it gets */

    bytes = fuzz_copy(&in, message.data, message.len);

    rc = ngx_mcp_pushed_parse(in.pool, &bytes, &pushed);

    text = fuzz_json_text(&bytes);

    if (!strict_json_parse(&json, text.data, text.len)
        || json.deepest > PUSHED_MAX_DEPTH
        || json.values[0].type != STRICT_OBJECT)
    {
        fuzz_check(rc == NGX_DECLINED, "what is no object is declined");

    } else if (rc == NGX_OK) {

        pushed_check(&in, &json, &pushed);

        if (seen == NGX_OK) {
            fuzz_check(fuzz_same(&to.site, &pushed.to.site)
                       && fuzz_same(&to.call, &pushed.to.call)
                       && fuzz_same(&to.user, &pushed.to.user),
                       "the glance sees the same address");
        }

    } else {
        fuzz_check(rc == NGX_DECLINED || rc == NGX_ABORT,
                   "there is memory");
    }

    strict_json_free(&json);
    fuzz_end(&in);

    return 0;
}


static void
pushed_check(fuzz_input_t *in, strict_json_t *json, ngx_mcp_pushed_t *pushed)
{
    fuzz_check(pushed->to.site.len != 0, "there is a site");
    fuzz_check(pushed->to.call.data == NULL || pushed->to.user.data == NULL,
               "it is for a call or a user");

    pushed_check_text(in, json, "site", &pushed->to.site);
    pushed_check_text(in, json, "call", &pushed->to.call);
    pushed_check_text(in, json, "user", &pushed->to.user);
    pushed_check_raw(json, 0, "method", &pushed->raw_method);

    if (pushed->method >= NGX_MCP_PUSHED_ELICIT) {
        fuzz_check(pushed->to.call.data && pushed->reply.len, "who has asked");
        pushed_check_text(in, json, "reply", &pushed->reply);
    }

    pushed_check_params(in, json, strict_json_member(json, 0, "params", NULL),
                        pushed);
}


/* a member of the message, when it is decoded */

static void
pushed_check_text(fuzz_input_t *in, strict_json_t *json, const char *name,
    ngx_str_t *found)
{
    size_t     i;
    ngx_str_t  text;

    i = strict_json_member(json, 0, name, NULL);

    if (i == STRICT_NONE) {
        fuzz_check(found->data == NULL, "what is absent is not found");
        return;
    }

    text = fuzz_json_decoded(in, json, i);

    if (found->data == NULL || !fuzz_same(found, &text)) {
        fuzz_fail("%s is \"%.*s\"", name, (int) text.len, text.data);
    }
}


static void
pushed_check_params(fuzz_input_t *in, strict_json_t *json, size_t params,
    ngx_mcp_pushed_t *pushed)
{
    if (params == STRICT_NONE) {
        fuzz_check(pushed->params.data == NULL, "there are no params");
        return;
    }

    pushed_check_raw(json, 0, "params", &pushed->params);

    switch (pushed->method) {

    case NGX_MCP_PUSHED_PROGRESS:
        pushed_check_raw(json, params, "progress", &pushed->progress);
        return;

    case NGX_MCP_PUSHED_MESSAGE:
        fuzz_check(ngx_mcp_log_level(&pushed->level) != NGX_MCP_LOG_UNKNOWN,
                   "the level is known");
        return;

    case NGX_MCP_PUSHED_UPDATED:
        pushed_check_raw(json, params, "uri", &pushed->raw_uri);
        return;
    }
}


/* the bytes of a member that must be there */

static void
pushed_check_raw(strict_json_t *json, size_t object, const char *name,
    ngx_str_t *found)
{
    size_t     i;
    ngx_str_t  raw;

    i = strict_json_member(json, object, name, NULL);

    if (i == STRICT_NONE) {
        fuzz_fail("%s is there", name);
    }

    raw = fuzz_json_raw(json, i);

    if (!fuzz_same(found, &raw)) {
        fuzz_fail("%s is \"%.*s\": \"%.*s\"", name, (int) raw.len, raw.data,
                  (int) found->len, found->data);
    }
}


/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * protocolVersion (codec/ngx_mcp_protocol_version.c), against the strict
 * parser: the version that is found is the last member of that name, at its
 * place, that is a string of the form 0000-00-00 without escapes; lowering
 * changes these ten bytes only, and only to an older version.
 *
 * The input is the params of initialize, or its answer.
 */

#include "fuzz.h"
#include "ngx_mcp_protocol_version.h"


#define VERSION_MAX_DEPTH  512
#define VERSION_LEN        10


static ngx_uint_t version_model(ngx_str_t *json, size_t depth,
    ngx_str_t *version);
static ngx_uint_t version_is_named(strict_json_t *j, size_t i,
    const char *name);
static ngx_uint_t version_is_date(const uint8_t *p, size_t len);
static void version_offered(fuzz_input_t *in, ngx_str_t *params);
static void version_limit(fuzz_input_t *in, ngx_str_t *answer,
    ngx_str_t *newest);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ngx_str_t     text, newest;
    fuzz_input_t  in;

    static ngx_str_t  versions[] = {
        ngx_string("2024-11-05"),
        ngx_string("2025-03-26"),
        ngx_string("2025-06-18"),
        ngx_string("2025-11-25")
    };

    fuzz_begin(&in, data, size);

    newest = versions[fuzz_number(&in, 3)];
    text = fuzz_rest(&in);

    version_offered(&in, &text);
    version_limit(&in, &text, &newest);

    fuzz_end(&in);

    return 0;
}


/* depth 1: a member of the outermost object; 2: of its member "result" */

static ngx_uint_t
version_model(ngx_str_t *json, size_t depth, ngx_str_t *version)
{
    size_t           i;
    ngx_str_t        text;
    ngx_uint_t       found;
    strict_json_t    j;
    strict_value_t  *v;

    found = 0;

    text = fuzz_json_text(json);

    if (!strict_json_parse(&j, text.data, text.len)
        || j.deepest > VERSION_MAX_DEPTH)
    {
        j.n = 0;
    }

    for (i = 0; i < j.n; i++) {
        v = &j.values[i];

        if (v->depth == depth
            && v->type == STRICT_STRING
            && version_is_named(&j, i, "protocolVersion")
            && (depth == 1 || version_is_named(&j, v->parent, "result"))
            && version_is_date(j.text + v->start + 1, v->end - v->start - 2))
        {
            found = 1;
            version->data = text.data + v->start + 1;
            version->len = v->end - v->start - 2;
        }
    }

    strict_json_free(&j);

    return found;
}


static ngx_uint_t
version_is_named(strict_json_t *j, size_t i, const char *name)
{
    return strict_json_is(j, j->values[i].key_start, j->values[i].key_end,
                          name);
}


static ngx_uint_t
version_is_date(const uint8_t *p, size_t len)
{
    size_t  i;

    if (len != VERSION_LEN || p[4] != '-' || p[7] != '-') {
        return 0;
    }

    for (i = 0; i < len; i++) {
        if (i != 4 && i != 7 && (p[i] < '0' || p[i] > '9')) {
            return 0;
        }
    }

    return 1;
}


static void
version_offered(fuzz_input_t *in, ngx_str_t *params)
{
    ngx_int_t   rc;
    ngx_str_t   version, expected;
    ngx_uint_t  found;

    found = version_model(params, 1, &expected);

    rc = ngx_mcp_protocol_version_offered(in->pool, params, &version);

    if (rc != (found ? NGX_OK : NGX_DECLINED)) {
        fuzz_fail("the version is found: %ld, %lu", (long) rc, (long) found);
    }

    if (found && (version.data != expected.data
                  || version.len != expected.len))
    {
        fuzz_fail("the last version is found");
    }
}


static void
version_limit(fuzz_input_t *in, ngx_str_t *answer, ngx_str_t *newest)
{
    ngx_int_t   rc;
    ngx_str_t   version, before;
    ngx_uint_t  lowered;

    before = fuzz_copy(in, answer->data, answer->len);

    lowered = version_model(&before, 2, &version)
              && memcmp(version.data, newest->data, VERSION_LEN) > 0;

    if (lowered) {
        memcpy(version.data, newest->data, VERSION_LEN);
    }

    rc = ngx_mcp_protocol_version_limit(in->pool, answer, newest);

    if (rc != (lowered ? NGX_OK : NGX_DECLINED)) {
        fuzz_fail("a newer version is lowered, no other one: %ld", (long) rc);
    }

    if (!fuzz_same(answer, &before)) {
        fuzz_fail("the rest of the answer stays, byte for byte");
    }
}

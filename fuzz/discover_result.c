
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * The result of server/discover (codec/ngx_mcp_discover_result.c), against the
 * strict parser: of any answer to initialize it is one object with its own
 * members only; a capability is empty, and the answer has it; instructions,
 * serverInfo and the version are bytes of the answer.  A version is supported
 * only if it is an element of supportedVersions.
 *
 * The input is an answer to initialize, or to server/discover.
 */

#include "fuzz.h"
#include "ngx_mcp_discover_result.h"


#define DISCOVER_MAX_DEPTH  512

static const char  *discover_capabilities[] = {
    "tools", "prompts", "resources", "completions", NULL
};


static void discover_check(strict_json_t *answer, strict_json_t *result);
static void discover_count(strict_json_t *j, size_t object, size_t n,
    const char *what);
static size_t discover_members(strict_json_t *j, size_t object);
static ngx_uint_t discover_has(strict_json_t *j, const char *member,
    const char *inner);
static ngx_uint_t discover_lists(strict_json_t *j, const char *version);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int                        valid;
    ngx_int_t                  rc;
    ngx_str_t                  answer, text;
    fuzz_input_t               in;
    strict_json_t              a, r;
    ngx_mcp_discover_result_t  d;

    static ngx_str_t  version = ngx_string("2026-07-28");
    static ngx_str_t  versions = ngx_string("[\"2026-07-28\"]");
    static ngx_str_t  self = ngx_string("{\"name\":\"n\",\"version\":\"1\"}");

    fuzz_begin(&in, data, size);

    answer = fuzz_rest(&in);
    text = fuzz_json_text(&answer);

    valid = strict_json_parse(&a, text.data, text.len)
            && a.deepest <= DISCOVER_MAX_DEPTH;

    rc = ngx_mcp_discover_result(in.pool, &answer, &versions, &self, 0, &d);

    if (rc == NGX_OK) {

        if (!valid) {
            fuzz_fail("a result is made of JSON only");
        }

        if (!strict_json_parse(&r, d.result.data, d.result.len)) {
            fuzz_fail("the result is JSON");
        }

        discover_check(&a, &r);
        strict_json_free(&r);
    }

    rc = ngx_mcp_discover_supports(in.pool, &answer, &version);

    if (rc == NGX_OK && !(valid && discover_lists(&a, "2026-07-28"))) {
        fuzz_fail("only a version that is listed is supported");
    }

    strict_json_free(&a);
    fuzz_end(&in);

    return 0;
}


static void
discover_check(strict_json_t *answer, strict_json_t *result)
{
    size_t       i, capabilities, meta, n;
    const char  *name;

    capabilities = strict_json_member(result, 0, "capabilities", NULL);
    meta = strict_json_member(result, 0, "_meta", NULL);

    n = 6;

    if (strict_json_member(result, 0, "instructions", NULL) != STRICT_NONE) {
        n++;
    }

    discover_count(result, 0, n, "result");
    discover_count(result, meta, 1, "_meta");

    n = 0;

    for (i = 0; (name = discover_capabilities[i]) != NULL; i++) {

        if (strict_json_member(result, capabilities, name, NULL)
            == STRICT_NONE)
        {
            continue;
        }

        discover_count(result,
                       strict_json_member(result, capabilities, name, NULL),
                       0, name);
        n++;

        if (!discover_has(answer, "capabilities", name)) {
            fuzz_fail("the backend has the capability %s", name);
        }
    }

    discover_count(result, capabilities, n, "capabilities");
}


static void
discover_count(strict_json_t *j, size_t object, size_t n, const char *what)
{
    if (object == STRICT_NONE
        || j->values[object].type != STRICT_OBJECT
        || discover_members(j, object) != n)
    {
        fuzz_fail("%s is an object of %lu members", what, (long) n);
    }
}


static size_t
discover_members(strict_json_t *j, size_t object)
{
    size_t  i, n;

    n = 0;

    for (i = 0; i < j->n; i++) {
        n += (j->values[i].parent == object);
    }

    return n;
}


/* members may be repeated: any of them counts */

static ngx_uint_t
discover_has(strict_json_t *j, const char *member, const char *inner)
{
    size_t           i, p;
    strict_value_t  *v;

    v = j->values;

    for (i = 0; i < j->n; i++) {
        p = v[i].parent;

        if (v[i].depth == 3
            && v[i].type == STRICT_OBJECT
            && v[i].key_end
            && strict_json_is(j, v[i].key_start, v[i].key_end, inner)
            && v[p].key_end
            && strict_json_is(j, v[p].key_start, v[p].key_end, member))
        {
            return 1;
        }
    }

    return 0;
}


static ngx_uint_t
discover_lists(strict_json_t *j, const char *version)
{
    size_t           i, p;
    strict_value_t  *v;

    v = j->values;

    for (i = 0; i < j->n; i++) {
        p = v[i].parent;

        if (v[i].depth == 3
            && v[i].type == STRICT_STRING
            && strict_json_is(j, v[i].start, v[i].end, version)
            && v[p].key_end
            && strict_json_is(j, v[p].key_start, v[p].key_end,
                              "supportedVersions"))
        {
            return 1;
        }
    }

    return 0;
}

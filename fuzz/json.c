
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * The walk over JSON (codec/ngx_mcp_json.c): it accepts what the strict parser
 * accepts, and reports the same values.
 *
 * The first number is the limit of depth.  What the module adds to RFC 8259: a
 * byte order mark in front is ignored, and a text may not be deeper than
 * max_depth.  Values deeper than NGX_MCP_JSON_LEVELS are not reported.
 */

#include "fuzz.h"
#include "ngx_mcp_json.h"


#define JSON_KEY_A    0x01
#define JSON_KEY_ID   0x02


typedef struct {
    strict_json_t  strict;
    size_t         n;          /* values that the module has reported */
    u_char        *reported;   /* by index of the strict parser's */
} json_check_t;


static ngx_int_t json_value(ngx_mcp_json_walk_t *w, ngx_uint_t type,
    ngx_str_t *raw);
static size_t json_find(json_check_t *check, size_t start, size_t depth);
static void json_keys(ngx_mcp_json_walk_t *w, json_check_t *check, size_t i);
static ngx_uint_t json_key(json_check_t *check, strict_value_t *v);


static ngx_conf_bitmask_t  json_names[] = {
    { ngx_string("a"), JSON_KEY_A },
    { ngx_string("id"), JSON_KEY_ID },
    { ngx_null_string, 0 }
};


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int                   accepted;
    size_t                i, expected;
    ngx_str_t             body, text;
    ngx_int_t             rc;
    json_check_t          check;
    fuzz_input_t          in;
    ngx_mcp_json_walk_t   w;

    fuzz_begin(&in, data, size);

    ngx_memzero(&w, sizeof(ngx_mcp_json_walk_t));

    w.max_depth = fuzz_number(&in, 127);
    body = fuzz_rest(&in);

    text = fuzz_json_text(&body);

    accepted = strict_json_parse(&check.strict, text.data, text.len)
               && check.strict.deepest <= w.max_depth;

    check.n = 0;
    check.reported = fuzz_alloc(&in, check.strict.n + 1);
    ngx_memzero(check.reported, check.strict.n + 1);

    w.pool = in.pool;
    w.body = &body;
    w.names = json_names;
    w.value = json_value;
    w.data = accepted ? &check : NULL;

    rc = ngx_mcp_json_walk(&w);

    if (rc != (accepted ? NGX_OK : NGX_DECLINED)) {
        fuzz_fail("the walk accepts what RFC 8259 allows: %ld, strict: %d",
                  (long) rc, accepted);
    }

    for (i = 0, expected = 0; accepted && i < check.strict.n; i++) {
        expected += (check.strict.values[i].depth < NGX_MCP_JSON_LEVELS);
    }

    if (accepted && expected != check.n) {
        fuzz_fail("each value is reported: %zu of %zu", check.n, expected);
    }

    strict_json_free(&check.strict);
    fuzz_end(&in);

    return 0;
}


static ngx_int_t
json_value(ngx_mcp_json_walk_t *w, ngx_uint_t type, ngx_str_t *raw)
{
    size_t           i, start;
    json_check_t    *check;
    strict_value_t  *v;

    check = w->data;

    if (check == NULL) {

        /* not accepted in the end: the ranges are within the body */

        if (raw->data < w->text.data
            || raw->data + raw->len > w->text.data + w->text.len)
        {
            fuzz_fail("a value is a part of the body");
        }

        return NGX_OK;
    }

    start = raw->data - w->text.data;
    i = json_find(check, start, w->depth);

    if (i == STRICT_NONE || check->reported[i]) {
        fuzz_fail("a value begins at %zu, depth %zu, and is reported once",
                  start, (size_t) w->depth);
    }

    check->reported[i] = 1;
    check->n++;
    v = &check->strict.values[i];

    if (v->end - v->start != raw->len || v->type != (strict_type_e) type) {
        fuzz_fail("value at %zu: type %d, length %zu; reported: %zu, %zu",
                  start, v->type, v->end - v->start, (size_t) type, raw->len);
    }

    json_keys(w, check, i);

    return NGX_OK;
}


static size_t
json_find(json_check_t *check, size_t start, size_t depth)
{
    size_t           i, low, high;
    strict_value_t  *v;

    low = 0;
    high = check->strict.n;

    while (low < high) {
        i = low + (high - low) / 2;
        v = &check->strict.values[i];

        if (v->start == start) {
            return (v->depth == depth) ? i : STRICT_NONE;
        }

        if (v->start < start) {
            low = i + 1;

        } else {
            high = i;
        }
    }

    return STRICT_NONE;
}


/* the keys that lead to the value, and those of its members */

static void
json_keys(ngx_mcp_json_walk_t *w, json_check_t *check, size_t i)
{
    size_t           a, id, up;
    ngx_uint_t       key, seen, twice;
    strict_value_t  *v;

    for (up = i; up != STRICT_NONE; up = v->parent) {
        v = &check->strict.values[up];
        key = json_key(check, v);

        if (v->depth && w->level[v->depth].key != key) {
            fuzz_fail("the key at depth %zu is %zu: %zu", v->depth,
                      (size_t) key, (size_t) w->level[v->depth].key);
        }
    }

    v = &check->strict.values[i];

    if (v->type != STRICT_OBJECT || v->depth + 1 >= NGX_MCP_JSON_LEVELS) {
        return;
    }

    (void) strict_json_member(&check->strict, i, "a", &a);
    (void) strict_json_member(&check->strict, i, "id", &id);

    seen = (a ? JSON_KEY_A : 0) | (id ? JSON_KEY_ID : 0);
    twice = (a > 1 ? JSON_KEY_A : 0) | (id > 1 ? JSON_KEY_ID : 0);

    if (w->level[v->depth + 1].seen != seen
        || w->level[v->depth + 1].twice != twice)
    {
        fuzz_fail("the object at %zu has the keys %zu, repeated: %zu", v->start,
                  (size_t) seen, (size_t) twice);
    }
}


static ngx_uint_t
json_key(json_check_t *check, strict_value_t *v)
{
    if (strict_json_is(&check->strict, v->key_start, v->key_end, "a")) {
        return JSON_KEY_A;
    }

    return strict_json_is(&check->strict, v->key_start, v->key_end, "id")
           ? JSON_KEY_ID : 0;
}

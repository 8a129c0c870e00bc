
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Capabilities that are added to an answer (codec/ngx_mcp_capabilities.c),
 * against the strict parser, which says where something is missing: the copy
 * has these insertions and replacements, and all other bytes of the answer.
 * Nothing is added only where all is there, or a member is repeated.
 *
 * The input is the answer.
 */

#include "fuzz.h"
#include "ngx_mcp_capabilities.h"


#define CAPABILITIES_MAX_DEPTH  512


typedef struct {
    strict_json_t   json;
    size_t          all;        /* the object, or STRICT_NONE */
    ngx_uint_t      repeated;   /* one of the members in question */
    u_char         *p;          /* the copy that is expected */
    size_t          done;       /* of the text */
} capabilities_model_t;


static void capabilities_find(capabilities_model_t *m);
static size_t capabilities_member(capabilities_model_t *m, size_t object,
    const char *name);
static void capabilities_expect(capabilities_model_t *m);
static void capabilities_object(capabilities_model_t *m, size_t i);
static void capabilities_insert(capabilities_model_t *m, size_t object,
    const char *text, ngx_uint_t more);
static void capabilities_copy(capabilities_model_t *m, size_t end);
static ngx_uint_t capabilities_is(capabilities_model_t *m, size_t i,
    const char *name);
static ngx_uint_t capabilities_empty(capabilities_model_t *m, size_t object);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ngx_int_t             rc;
    ngx_str_t             answer, added, expected, text;
    ngx_uint_t            valid;
    fuzz_input_t          in;
    capabilities_model_t  m;

    fuzz_begin(&in, data, size);

    answer = fuzz_rest(&in);
    text = fuzz_json_text(&answer);

    added.data = fuzz_alloc(&in, answer.len + NGX_MCP_CAPABILITIES_MAX_ADDED);

    rc = ngx_mcp_capabilities_add(&answer, &added);

    ngx_memzero(&m, sizeof(capabilities_model_t));

    valid = strict_json_parse(&m.json, text.data, text.len)
            && m.json.deepest <= CAPABILITIES_MAX_DEPTH;

    if (valid) {
        capabilities_find(&m);

        expected.data = fuzz_alloc(&in, 2 * answer.len + 256);
        m.p = ngx_cpymem(expected.data, answer.data, text.data - answer.data);

        if (!m.repeated) {
            capabilities_expect(&m);
        }

        capabilities_copy(&m, text.len);
        expected.len = m.p - expected.data;

        if (rc != NGX_OK) {
            added = answer;
        }

        if (!fuzz_same(&added, &expected)) {
            fuzz_fail("added is what is missing: %.*s",
                      (int) expected.len, expected.data);
        }

    } else {
        fuzz_check(rc == NGX_DECLINED, "what is no JSON is declined");
    }

    strict_json_free(&m.json);
    fuzz_end(&in);

    return 0;
}


static void
capabilities_find(capabilities_model_t *m)
{
    size_t       i, list;
    ngx_uint_t   n;

    static const char  *lists[] = { "tools", "prompts", "resources" };

    m->all = STRICT_NONE;

    if (m->json.values[0].type != STRICT_OBJECT) {
        return;
    }

    i = capabilities_member(m, 0, "result");
    i = capabilities_member(m, i, "capabilities");

    for (n = 0; n < 3; n++) {
        list = capabilities_member(m, i, lists[n]);
        (void) capabilities_member(m, list, "listChanged");
        (void) capabilities_member(m, list, "subscribe");
    }

    if (i != STRICT_NONE && m->json.values[i].type == STRICT_OBJECT) {
        m->all = i;
    }
}


static size_t
capabilities_member(capabilities_model_t *m, size_t object, const char *name)
{
    return fuzz_json_member(&m->json, object, name, &m->repeated);
}


static void
capabilities_expect(capabilities_model_t *m)
{
    size_t           i;
    strict_value_t  *v;

    v = m->json.values;

    if (m->all == STRICT_NONE) {
        return;
    }

    if (strict_json_member(&m->json, m->all, "logging", NULL) == STRICT_NONE) {
        capabilities_insert(m, m->all, "\"logging\":{}",
                            !capabilities_empty(m, m->all));
    }

    for (i = m->all + 1; i < m->json.n; i++) {

        if (v[i].parent == m->all
            && v[i].type == STRICT_OBJECT
            && (capabilities_is(m, i, "tools")
                || capabilities_is(m, i, "prompts")
                || capabilities_is(m, i, "resources")))
        {
            capabilities_object(m, i);
        }
    }
}


/* tools, prompts or resources */

static void
capabilities_object(capabilities_model_t *m, size_t i)
{
    size_t           k;
    ngx_uint_t       more, updates;
    strict_value_t  *v;

    v = m->json.values;
    more = !capabilities_empty(m, i);
    updates = capabilities_is(m, i, "resources");

    k = strict_json_member(&m->json, i, "listChanged", NULL);

    if (updates
        && strict_json_member(&m->json, i, "subscribe", NULL) == STRICT_NONE)
    {
        capabilities_insert(m, i, "\"subscribe\":true",
                            more || k == STRICT_NONE);
    }

    if (k == STRICT_NONE) {
        capabilities_insert(m, i, "\"listChanged\":true", more);
    }

    for (k = i + 1; k < m->json.n; k++) {

        if (v[k].parent == i
            && v[k].type != STRICT_TRUE
            && (capabilities_is(m, k, "listChanged")
                || (updates && capabilities_is(m, k, "subscribe"))))
        {
            capabilities_copy(m, v[k].start);
            m->p = ngx_cpymem(m->p, "true", 4);
            m->done = v[k].end;
        }
    }
}


static void
capabilities_insert(capabilities_model_t *m, size_t object, const char *text,
    ngx_uint_t more)
{
    capabilities_copy(m, m->json.values[object].start + 1);

    m->p = ngx_cpymem(m->p, text, ngx_strlen(text));

    if (more) {
        *m->p++ = ',';
    }
}


static void
capabilities_copy(capabilities_model_t *m, size_t end)
{
    m->p = ngx_cpymem(m->p, m->json.text + m->done, end - m->done);
    m->done = end;
}


static ngx_uint_t
capabilities_is(capabilities_model_t *m, size_t i, const char *name)
{
    strict_value_t  *v;

    v = &m->json.values[i];

    return v->key_end
           && strict_json_is(&m->json, v->key_start, v->key_end, name);
}


static ngx_uint_t
capabilities_empty(capabilities_model_t *m, size_t object)
{
    return object + 1 == m->json.n
           || m->json.values[object + 1].parent != object;
}

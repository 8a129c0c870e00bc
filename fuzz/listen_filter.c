
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * The filter of subscriptions/listen (codec/ngx_mcp_listen_filter.c), against
 * the strict parser: what is asked for is found, members of other types and
 * repeated ones are declined; what is written is read as the same filter.
 *
 * The input is "notifications" of the params.
 */

#include "fuzz.h"
#include "ngx_mcp_listen_filter.h"


#define LISTEN_MAX_DEPTH  64
#define LISTEN_MAX_URIS   100


/* what a strict reader finds */

typedef struct {
    fuzz_input_t   *in;
    strict_json_t   json;
    ngx_uint_t      wrong;
    ngx_uint_t      lists;
    ngx_uint_t      nuris;
    size_t          uris[LISTEN_MAX_URIS];
} listen_model_t;


static void listen_model(listen_model_t *m);
static size_t listen_member(listen_model_t *m, const char *name);
static void listen_model_uris(listen_model_t *m, size_t array);
static void listen_check(listen_model_t *m, ngx_mcp_listen_filter_t *filter);
static void listen_check_written(fuzz_input_t *in,
    ngx_mcp_listen_filter_t *filter);
static void listen_check_same(ngx_mcp_listen_filter_t *a,
    ngx_mcp_listen_filter_t *b);


static const char  *listen_lists[] = {
    "toolsListChanged", "promptsListChanged", "resourcesListChanged"
};


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ngx_int_t                rc;
    ngx_str_t                raw, text;
    fuzz_input_t             in;
    listen_model_t           m;
    ngx_mcp_listen_filter_t  filter;

    fuzz_begin(&in, data, size);

    raw = fuzz_rest(&in);
    text = fuzz_json_text(&raw);

    ngx_memzero(&m, sizeof(listen_model_t));
    m.in = &in;

    rc = ngx_mcp_listen_filter_parse(in.pool, &raw, &filter);

    if (strict_json_parse(&m.json, text.data, text.len)
        && m.json.deepest <= LISTEN_MAX_DEPTH)
    {
        listen_model(&m);

    } else {
        m.wrong = 1;
    }

    if (rc != (m.wrong ? NGX_DECLINED : NGX_OK)) {
        fuzz_fail("what is no filter, and only that, is declined: %ld",
                  (long) rc);
    }

    if (rc == NGX_OK) {
        listen_check(&m, &filter);
        listen_check_written(&in, &filter);
    }

    strict_json_free(&m.json);
    fuzz_end(&in);

    return 0;
}


static void
listen_model(listen_model_t *m)
{
    size_t         found, i;
    strict_type_e  type;

    if (m->json.values[0].type != STRICT_OBJECT) {
        m->wrong = 1;
        return;
    }

    for (i = 0; i < 3; i++) {
        found = listen_member(m, listen_lists[i]);

        if (found == STRICT_NONE) {
            continue;
        }

        type = m->json.values[found].type;

        m->lists |= (type == STRICT_TRUE) ? (ngx_uint_t) 1 << i : 0;
        m->wrong |= (type != STRICT_TRUE && type != STRICT_FALSE);
    }

    found = listen_member(m, "resourceSubscriptions");

    if (found != STRICT_NONE) {
        listen_model_uris(m, found);
    }
}


static size_t
listen_member(listen_model_t *m, const char *name)
{
    size_t  found, n;

    found = strict_json_member(&m->json, 0, name, &n);

    m->wrong |= (n > 1);

    return found;
}


static void
listen_model_uris(listen_model_t *m, size_t array)
{
    size_t  i;

    m->wrong |= (m->json.values[array].type != STRICT_ARRAY);

    for (i = array + 1; i < m->json.n; i++) {

        if (m->json.values[i].parent != array) {
            continue;
        }

        m->wrong |= (m->json.values[i].type != STRICT_STRING);

        if (m->nuris < LISTEN_MAX_URIS) {
            m->uris[m->nuris++] = i;
        }
    }
}


static void
listen_check(listen_model_t *m, ngx_mcp_listen_filter_t *filter)
{
    ngx_str_t                     raw, text;
    ngx_uint_t                    i;
    ngx_mcp_listen_filter_uri_t  *uri;

    fuzz_check(filter->lists == m->lists, "the lists that are true are asked");
    fuzz_check(filter->uris.nelts == m->nuris,
               "the first 100 resources are asked for");

    uri = filter->uris.elts;

    for (i = 0; i < m->nuris; i++) {
        raw = fuzz_json_raw(&m->json, m->uris[i]);
        text = fuzz_json_decoded(m->in, &m->json, m->uris[i]);

        fuzz_check(fuzz_same(&uri[i].raw, &raw), "a URI is there as sent");
        fuzz_check(fuzz_same(&uri[i].text, &text), "a URI is decoded");
    }
}


static void
listen_check_written(fuzz_input_t *in, ngx_mcp_listen_filter_t *filter)
{
    size_t                   size;
    ngx_str_t                written;
    ngx_mcp_listen_filter_t  again;

    size = ngx_mcp_listen_filter_size(filter);

    written.data = fuzz_alloc(in, size);
    written.len = ngx_mcp_listen_filter_write(written.data, filter)
                  - written.data;

    fuzz_check(written.len <= size, "what is written has its size at most");

    if (ngx_mcp_listen_filter_parse(in->pool, &written, &again) != NGX_OK) {
        fuzz_fail("what is written is a filter: %.*s", (int) written.len,
                  written.data);
    }

    listen_check_same(filter, &again);
}


static void
listen_check_same(ngx_mcp_listen_filter_t *a, ngx_mcp_listen_filter_t *b)
{
    ngx_uint_t                    i;
    ngx_mcp_listen_filter_uri_t  *x, *y;

    fuzz_check(a->lists == b->lists && a->uris.nelts == b->uris.nelts,
               "what is written asks for the same");

    x = a->uris.elts;
    y = b->uris.elts;

    for (i = 0; i < a->uris.nelts; i++) {
        fuzz_check(fuzz_same(&x[i].raw, &y[i].raw),
                   "the URIs that are written are the same");
    }
}


/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Reads the filter of subscriptions/listen, and writes what is honoured of it.
 *
 * Members that the module does not know are ignored: the acknowledgement does
 * not have them.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_mcp_json.h"
#include "ngx_mcp_json_text.h"
#include "ngx_mcp_jsonrpc.h"
#include "ngx_mcp_listen_filter.h"


#define NGX_MCP_LISTEN_URIS  0x08


typedef struct {
    ngx_mcp_listen_filter_t     *filter;
    ngx_uint_t                   wrong;    /* another type, or repeated */
} ngx_mcp_listen_filter_scan_t;


static ngx_int_t ngx_mcp_listen_filter_value(ngx_mcp_json_walk_t *w,
    ngx_uint_t type, ngx_str_t *raw);
static void ngx_mcp_listen_filter_member(ngx_mcp_json_walk_t *w,
    ngx_uint_t type);
static ngx_int_t ngx_mcp_listen_filter_uri(ngx_mcp_json_walk_t *w,
    ngx_uint_t type, ngx_str_t *raw);


/* the URIs are the last one */

static ngx_conf_bitmask_t  ngx_mcp_listen_filter_names[] = {
    { ngx_string("toolsListChanged"), NGX_MCP_LISTEN_TOOLS },
    { ngx_string("promptsListChanged"), NGX_MCP_LISTEN_PROMPTS },
    { ngx_string("resourcesListChanged"), NGX_MCP_LISTEN_RESOURCES },
    { ngx_string("resourceSubscriptions"), NGX_MCP_LISTEN_URIS },
    { ngx_null_string, 0 }
};


ngx_int_t
ngx_mcp_listen_filter_parse(ngx_pool_t *pool, ngx_str_t *raw,
    ngx_mcp_listen_filter_t *filter)
{
    ngx_int_t                     rc;
    ngx_mcp_json_walk_t           w;
    ngx_mcp_listen_filter_scan_t  scan;

    filter->lists = 0;

    if (ngx_array_init(&filter->uris, pool, 4,
                       sizeof(ngx_mcp_listen_filter_uri_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (raw->data == NULL) {
        return NGX_DECLINED;
    }

    ngx_memzero(&w, sizeof(ngx_mcp_json_walk_t));

    scan.filter = filter;
    scan.wrong = 0;

    w.pool = pool;
    w.body = raw;
    w.names = ngx_mcp_listen_filter_names;
    w.value = ngx_mcp_listen_filter_value;
    w.data = &scan;
    w.max_depth = NGX_MCP_JSONRPC_MAX_DEPTH;

    rc = ngx_mcp_json_walk(&w);

    return (rc == NGX_OK && scan.wrong) ? NGX_DECLINED : rc;
}


static ngx_int_t
ngx_mcp_listen_filter_value(ngx_mcp_json_walk_t *w, ngx_uint_t type,
    ngx_str_t *raw)
{
    ngx_mcp_listen_filter_scan_t  *scan;

    scan = w->data;

    switch (w->depth) {

    case 0:
        scan->wrong |= (type != NGX_MCP_JSON_OBJECT || w->level[1].twice);
        return NGX_OK;

    case 1:
        ngx_mcp_listen_filter_member(w, type);
        return NGX_OK;

    case 2:

        if (w->level[1].key == NGX_MCP_LISTEN_URIS) {
            return ngx_mcp_listen_filter_uri(w, type, raw);
        }

        return NGX_OK;

    default:
        return NGX_OK;
    }
}


static void
ngx_mcp_listen_filter_member(ngx_mcp_json_walk_t *w, ngx_uint_t type)
{
    ngx_uint_t                     key;
    ngx_mcp_listen_filter_scan_t  *scan;

    scan = w->data;
    key = w->level[1].key;

    if (key == 0) {
        return;
    }

    if (key == NGX_MCP_LISTEN_URIS) {
        scan->wrong |= (type != NGX_MCP_JSON_ARRAY);
        return;
    }

    if (type == NGX_MCP_JSON_TRUE) {
        scan->filter->lists |= key;
        return;
    }

    scan->wrong |= (type != NGX_MCP_JSON_FALSE);
}


static ngx_int_t
ngx_mcp_listen_filter_uri(ngx_mcp_json_walk_t *w, ngx_uint_t type,
    ngx_str_t *raw)
{
    ngx_array_t                   *uris;
    ngx_mcp_listen_filter_uri_t   *uri;
    ngx_mcp_listen_filter_scan_t  *scan;

    scan = w->data;
    uris = &scan->filter->uris;

    if (type != NGX_MCP_JSON_STRING) {
        scan->wrong = 1;
        return NGX_OK;
    }

    if (uris->nelts == NGX_MCP_LISTEN_MAX_URIS) {
        return NGX_OK;
    }

    uri = ngx_array_push(uris);
    if (uri == NULL) {
        return NGX_ERROR;
    }

    uri->raw = *raw;

    return ngx_mcp_json_text_decode(w->pool, raw, &uri->text);
}


size_t
ngx_mcp_listen_filter_size(ngx_mcp_listen_filter_t *filter)
{
    size_t                        size;
    ngx_uint_t                    i;
    ngx_conf_bitmask_t           *n;
    ngx_mcp_listen_filter_uri_t  *uri;

    size = sizeof("{}") - 1;

    for (n = ngx_mcp_listen_filter_names; n->name.len; n++) {
        size += n->name.len + sizeof("\"\":true,") - 1;
    }

    uri = filter->uris.elts;

    for (i = 0; i < filter->uris.nelts; i++) {
        size += uri[i].raw.len + sizeof(",") - 1;
    }

    return size;
}


u_char *
ngx_mcp_listen_filter_write(u_char *p, ngx_mcp_listen_filter_t *filter)
{
    u_char                       *start;
    ngx_uint_t                    i;
    ngx_conf_bitmask_t           *n;
    ngx_mcp_listen_filter_uri_t  *uri;

    *p++ = '{';
    start = p;

    for (n = ngx_mcp_listen_filter_names; n->mask != NGX_MCP_LISTEN_URIS; n++) {

        if (filter->lists & n->mask) {
            p = ngx_sprintf(p, "%s\"%V\":true", p == start ? "" : ",",
                            &n->name);
        }
    }

    uri = filter->uris.elts;

    for (i = 0; i < filter->uris.nelts; i++) {

        if (i == 0) {
            p = ngx_sprintf(p, "%s\"%V\":[%V", p == start ? "" : ",", &n->name,
                            &uri[i].raw);
            continue;
        }

        p = ngx_sprintf(p, ",%V", &uri[i].raw);
    }

    if (i) {
        *p++ = ']';
    }

    *p++ = '}';

    return p;
}

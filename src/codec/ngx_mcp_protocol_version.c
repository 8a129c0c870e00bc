
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Reads protocolVersion in initialize requests, and lowers it in their
 * answers; tells the era of a version.
 *
 * The results point into the caller's bytes.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_mcp_json.h"
#include "ngx_mcp_protocol_version.h"


#define NGX_MCP_PROTOCOL_VERSION_MAX_DEPTH  512    /* as of an answer */

#define NGX_MCP_PROTOCOL_VERSION_KEY         1
#define NGX_MCP_PROTOCOL_VERSION_KEY_RESULT  2


typedef struct {
    ngx_uint_t   depth;        /* of the member: containers around it */
    ngx_str_t    version;
} ngx_mcp_protocol_version_scan_t;


static ngx_int_t ngx_mcp_protocol_version_find(ngx_pool_t *pool,
    ngx_str_t *json, ngx_uint_t depth, ngx_str_t *version);
static ngx_int_t ngx_mcp_protocol_version_value(ngx_mcp_json_walk_t *w,
    ngx_uint_t type, ngx_str_t *raw);


static ngx_conf_bitmask_t  ngx_mcp_protocol_version_names[] = {
    { ngx_string("protocolVersion"), NGX_MCP_PROTOCOL_VERSION_KEY },
    { ngx_string("result"), NGX_MCP_PROTOCOL_VERSION_KEY_RESULT },
    { ngx_null_string, 0 }
};


ngx_uint_t
ngx_mcp_protocol_version_is_modern(ngx_str_t *text)
{
    return ngx_mcp_protocol_version_is_date(text)
           && ngx_memcmp(text->data, NGX_MCP_PROTOCOL_VERSION_MODERN,
                         text->len)
              >= 0;
}


ngx_int_t
ngx_mcp_protocol_version_offered(ngx_pool_t *pool, ngx_str_t *params,
    ngx_str_t *version)
{
    if (params->data == NULL) {
        return NGX_DECLINED;
    }

    return ngx_mcp_protocol_version_find(pool, params, 1, version);
}


ngx_int_t
ngx_mcp_protocol_version_limit(ngx_pool_t *pool, ngx_str_t *answer,
    ngx_str_t *newest)
{
    ngx_int_t  rc;
    ngx_str_t  version;

    rc = ngx_mcp_protocol_version_find(pool, answer, 2, &version);
    if (rc != NGX_OK) {
        return rc;
    }

    /* versions are dates, YYYY-MM-DD: a later one is a larger string */

    if (ngx_memcmp(version.data, newest->data, newest->len) <= 0) {
        return NGX_DECLINED;
    }

    ngx_memcpy(version.data, newest->data, newest->len);

    return NGX_OK;
}


static ngx_int_t
ngx_mcp_protocol_version_find(ngx_pool_t *pool, ngx_str_t *json,
    ngx_uint_t depth, ngx_str_t *version)
{
    ngx_int_t                        rc;
    ngx_mcp_json_walk_t              w;
    ngx_mcp_protocol_version_scan_t  scan;

    ngx_memzero(&w, sizeof(ngx_mcp_json_walk_t));
    ngx_memzero(&scan, sizeof(ngx_mcp_protocol_version_scan_t));

    scan.depth = depth;

    w.pool = pool;
    w.body = json;
    w.names = ngx_mcp_protocol_version_names;
    w.value = ngx_mcp_protocol_version_value;
    w.data = &scan;
    w.max_depth = NGX_MCP_PROTOCOL_VERSION_MAX_DEPTH;

    rc = ngx_mcp_json_walk(&w);
    if (rc != NGX_OK) {
        return rc;
    }

    if (scan.version.len == 0) {
        return NGX_DECLINED;
    }

    *version = scan.version;

    return NGX_OK;
}


static ngx_int_t
ngx_mcp_protocol_version_value(ngx_mcp_json_walk_t *w, ngx_uint_t type,
    ngx_str_t *raw)
{
    ngx_str_t                         text;
    ngx_mcp_protocol_version_scan_t  *scan;

    scan = w->data;

    if (type != NGX_MCP_JSON_STRING
        || w->depth != scan->depth
        || w->level[w->depth].key != NGX_MCP_PROTOCOL_VERSION_KEY
        || (w->depth == 2
            && w->level[1].key != NGX_MCP_PROTOCOL_VERSION_KEY_RESULT))
    {
        return NGX_OK;
    }

    text.data = raw->data + 1;
    text.len = raw->len - 2;

    if (ngx_mcp_protocol_version_is_date(&text)) {
        scan->version = text;
    }

    return NGX_OK;
}


ngx_uint_t
ngx_mcp_protocol_version_is_date(ngx_str_t *text)
{
    size_t  i;

    static ngx_str_t  form = ngx_string("0000-00-00");

    if (text->len != form.len) {
        return 0;
    }

    for (i = 0; i < form.len; i++) {

        if (form.data[i] == '-' ? text->data[i] != '-'
                                : (text->data[i] < '0' || text->data[i] > '9'))
        {
            return 0;
        }
    }

    return 1;
}


/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Reads the params of requests of the modern era.
 *
 * The results point into the caller's bytes or are in its pool.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_mcp_json.h"
#include "ngx_mcp_json_text.h"
#include "ngx_mcp_jsonrpc.h"
#include "ngx_mcp_request_meta.h"


#define NGX_MCP_REQUEST_META            0x0001
#define NGX_MCP_REQUEST_NAME            0x0002
#define NGX_MCP_REQUEST_URI             0x0004
#define NGX_MCP_REQUEST_NOTIFICATIONS   0x0008
#define NGX_MCP_REQUEST_RESPONSES       0x0010
#define NGX_MCP_REQUEST_STATE           0x0020
#define NGX_MCP_REQUEST_VERSION         0x0040
#define NGX_MCP_REQUEST_CAPABILITIES    0x0080
#define NGX_MCP_REQUEST_CLIENT          0x0100
#define NGX_MCP_REQUEST_LOG_LEVEL       0x0200
#define NGX_MCP_REQUEST_CLIENT_VERSION  0x0400
#define NGX_MCP_REQUEST_LEVEL           0x0800

#define NGX_MCP_REQUEST_IN_PARAMS         (NGX_MCP_REQUEST_META               \
                                           |NGX_MCP_REQUEST_NAME              \
                                           |NGX_MCP_REQUEST_LEVEL             \
                                           |NGX_MCP_REQUEST_URI               \
                                           |NGX_MCP_REQUEST_NOTIFICATIONS     \
                                           |NGX_MCP_REQUEST_RESPONSES         \
                                           |NGX_MCP_REQUEST_STATE)

#define NGX_MCP_REQUEST_IN_META           (NGX_MCP_REQUEST_VERSION            \
                                           |NGX_MCP_REQUEST_CAPABILITIES      \
                                           |NGX_MCP_REQUEST_CLIENT            \
                                           |NGX_MCP_REQUEST_LOG_LEVEL)

#define NGX_MCP_REQUEST_IN_CLIENT         (NGX_MCP_REQUEST_NAME               \
                                           |NGX_MCP_REQUEST_CLIENT_VERSION)


typedef struct {
    ngx_mcp_request_meta_t      *meta;
    ngx_uint_t                   repeated;   /* a member that is read */
} ngx_mcp_request_meta_scan_t;


static ngx_int_t ngx_mcp_request_meta_value(ngx_mcp_json_walk_t *w,
    ngx_uint_t type, ngx_str_t *raw);
static ngx_int_t ngx_mcp_request_meta_params(ngx_mcp_json_walk_t *w,
    ngx_uint_t type, ngx_str_t *raw);
static ngx_int_t ngx_mcp_request_meta_member(ngx_mcp_json_walk_t *w,
    ngx_uint_t type, ngx_str_t *raw);
static ngx_int_t ngx_mcp_request_meta_client(ngx_mcp_json_walk_t *w,
    ngx_uint_t type, ngx_str_t *raw);
static ngx_int_t ngx_mcp_request_meta_text(ngx_mcp_json_walk_t *w,
    ngx_uint_t type, ngx_str_t *raw, ngx_str_t *text);
static void ngx_mcp_request_meta_object(ngx_uint_t type, ngx_str_t *raw,
    ngx_str_t *object);


static ngx_conf_bitmask_t  ngx_mcp_request_meta_names[] = {
    { ngx_string("_meta"), NGX_MCP_REQUEST_META },
    { ngx_string("name"), NGX_MCP_REQUEST_NAME },
    { ngx_string("uri"), NGX_MCP_REQUEST_URI },
    { ngx_string("notifications"), NGX_MCP_REQUEST_NOTIFICATIONS },
    { ngx_string("inputResponses"), NGX_MCP_REQUEST_RESPONSES },
    { ngx_string("requestState"), NGX_MCP_REQUEST_STATE },
    { ngx_string("io.modelcontextprotocol/protocolVersion"),
      NGX_MCP_REQUEST_VERSION },
    { ngx_string("io.modelcontextprotocol/clientCapabilities"),
      NGX_MCP_REQUEST_CAPABILITIES },
    { ngx_string("io.modelcontextprotocol/clientInfo"),
      NGX_MCP_REQUEST_CLIENT },
    { ngx_string("io.modelcontextprotocol/logLevel"),
      NGX_MCP_REQUEST_LOG_LEVEL },
    { ngx_string("version"), NGX_MCP_REQUEST_CLIENT_VERSION },
    { ngx_string("level"), NGX_MCP_REQUEST_LEVEL },
    { ngx_null_string, 0 }
};


ngx_int_t
ngx_mcp_request_meta(ngx_pool_t *pool, ngx_str_t *params,
    ngx_mcp_request_meta_t *meta)
{
    ngx_int_t                    rc;
    ngx_mcp_json_walk_t          w;
    ngx_mcp_request_meta_scan_t  scan;

    ngx_memzero(meta, sizeof(ngx_mcp_request_meta_t));

    if (params->data == NULL) {
        return NGX_OK;
    }

    ngx_memzero(&w, sizeof(ngx_mcp_json_walk_t));

    scan.meta = meta;
    scan.repeated = 0;

    w.pool = pool;
    w.body = params;
    w.names = ngx_mcp_request_meta_names;
    w.value = ngx_mcp_request_meta_value;
    w.data = &scan;
    w.max_depth = NGX_MCP_JSONRPC_MAX_DEPTH;

    rc = ngx_mcp_json_walk(&w);

    return (rc == NGX_OK && scan.repeated) ? NGX_DECLINED : rc;
}


static ngx_int_t
ngx_mcp_request_meta_value(ngx_mcp_json_walk_t *w, ngx_uint_t type,
    ngx_str_t *raw)
{
    ngx_mcp_json_level_t         *l;
    ngx_mcp_request_meta_scan_t  *scan;

    scan = w->data;
    l = w->level;

    switch (w->depth) {

    case 0:

        if (type == NGX_MCP_JSON_OBJECT) {
            scan->repeated |= l[1].twice & NGX_MCP_REQUEST_IN_PARAMS;
        }

        return NGX_OK;

    case 1:
        return ngx_mcp_request_meta_params(w, type, raw);

    case 2:

        if (l[1].key == NGX_MCP_REQUEST_META) {
            return ngx_mcp_request_meta_member(w, type, raw);
        }

        return NGX_OK;

    case 3:

        if (l[1].key == NGX_MCP_REQUEST_META
            && l[2].key == NGX_MCP_REQUEST_CLIENT)
        {
            return ngx_mcp_request_meta_client(w, type, raw);
        }

        return NGX_OK;

    default:
        return NGX_OK;
    }
}


static ngx_int_t
ngx_mcp_request_meta_params(ngx_mcp_json_walk_t *w, ngx_uint_t type,
    ngx_str_t *raw)
{
    ngx_mcp_request_meta_t       *meta;
    ngx_mcp_request_meta_scan_t  *scan;

    scan = w->data;
    meta = scan->meta;

    switch (w->level[1].key) {

    case NGX_MCP_REQUEST_META:

        if (type == NGX_MCP_JSON_OBJECT) {
            scan->repeated |= w->level[2].twice & NGX_MCP_REQUEST_IN_META;
        }

        return NGX_OK;

    case NGX_MCP_REQUEST_NAME:
        return ngx_mcp_request_meta_text(w, type, raw, &meta->name);

    case NGX_MCP_REQUEST_LEVEL:
        return ngx_mcp_request_meta_text(w, type, raw, &meta->level);

    case NGX_MCP_REQUEST_URI:

        if (type == NGX_MCP_JSON_STRING) {
            meta->raw_uri = *raw;
        }

        return ngx_mcp_request_meta_text(w, type, raw, &meta->uri);

    case NGX_MCP_REQUEST_NOTIFICATIONS:
        ngx_mcp_request_meta_object(type, raw, &meta->notifications);
        return NGX_OK;

    case NGX_MCP_REQUEST_RESPONSES:
    case NGX_MCP_REQUEST_STATE:
        meta->retry = 1;
        return NGX_OK;

    default:
        return NGX_OK;
    }
}


static ngx_int_t
ngx_mcp_request_meta_member(ngx_mcp_json_walk_t *w, ngx_uint_t type,
    ngx_str_t *raw)
{
    ngx_mcp_request_meta_t       *meta;
    ngx_mcp_request_meta_scan_t  *scan;

    scan = w->data;
    meta = scan->meta;

    switch (w->level[2].key) {

    case NGX_MCP_REQUEST_VERSION:
        return ngx_mcp_request_meta_text(w, type, raw, &meta->version);

    case NGX_MCP_REQUEST_CAPABILITIES:
        ngx_mcp_request_meta_object(type, raw, &meta->capabilities);
        return NGX_OK;

    case NGX_MCP_REQUEST_CLIENT:

        if (type == NGX_MCP_JSON_OBJECT) {
            scan->repeated |= w->level[3].twice & NGX_MCP_REQUEST_IN_CLIENT;
        }

        ngx_mcp_request_meta_object(type, raw, &meta->client_info);
        return NGX_OK;

    case NGX_MCP_REQUEST_LOG_LEVEL:
        ngx_str_set(&meta->log_level, "");
        return ngx_mcp_request_meta_text(w, type, raw, &meta->log_level);

    default:
        return NGX_OK;
    }
}


static ngx_int_t
ngx_mcp_request_meta_client(ngx_mcp_json_walk_t *w, ngx_uint_t type,
    ngx_str_t *raw)
{
    ngx_mcp_request_meta_t       *meta;
    ngx_mcp_request_meta_scan_t  *scan;

    scan = w->data;
    meta = scan->meta;

    switch (w->level[3].key) {

    case NGX_MCP_REQUEST_NAME:
        return ngx_mcp_request_meta_text(w, type, raw, &meta->client_name);

    case NGX_MCP_REQUEST_CLIENT_VERSION:
        return ngx_mcp_request_meta_text(w, type, raw, &meta->client_version);

    default:
        return NGX_OK;
    }
}


static ngx_int_t
ngx_mcp_request_meta_text(ngx_mcp_json_walk_t *w, ngx_uint_t type,
    ngx_str_t *raw, ngx_str_t *text)
{
    if (type != NGX_MCP_JSON_STRING) {
        return NGX_OK;
    }

    return ngx_mcp_json_text_decode(w->pool, raw, text);
}


static void
ngx_mcp_request_meta_object(ngx_uint_t type, ngx_str_t *raw, ngx_str_t *object)
{
    if (type == NGX_MCP_JSON_OBJECT) {
        *object = *raw;
    }
}

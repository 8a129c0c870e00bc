
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * What a request of the modern era says about itself in its params (MCP
 * 2026-07-28, Basic, "_meta"; Streamable HTTP, "Mcp-Name").
 */

#ifndef _NGX_MCP_REQUEST_META_H_INCLUDED_
#define _NGX_MCP_REQUEST_META_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


typedef struct {
    /* an absent string, or one of another type, has data == NULL */

    /* of _meta, with the prefix io.modelcontextprotocol/ */

    ngx_str_t    version;         /* protocolVersion, decoded */
    ngx_str_t    capabilities;    /* clientCapabilities, raw, an object */
    ngx_str_t    client_info;     /* clientInfo, raw, an object */
    ngx_str_t    client_name;     /* its name, decoded */
    ngx_str_t    client_version;  /* its version, decoded */
    ngx_str_t    log_level;       /* logLevel, decoded; empty: no string */

    /* of params */

    ngx_str_t    name;            /* decoded */
    ngx_str_t    level;           /* of logging/setLevel, decoded; this one is
                                     of the older era */
    ngx_str_t    uri;             /* decoded */
    ngx_str_t    raw_uri;         /* the same, with its quotes */
    ngx_str_t    notifications;   /* of subscriptions/listen, raw, an object */
    unsigned     retry:1;         /* it has inputResponses or requestState */
} ngx_mcp_request_meta_t;


/*
 * Reads the raw params of a message that was scanned; they may be absent or an
 * array, which say nothing.  Zeroes *meta first.  The strings point into
 * params, or into the pool if they had escapes: the caller keeps both as long
 * as it uses them.
 *
 * Returns NGX_OK; NGX_DECLINED if one of the members above is repeated, so that
 * the backend may read another value, or if params are not JSON; NGX_ERROR if
 * memory is short.  *meta is complete with NGX_OK only.
 */

ngx_int_t ngx_mcp_request_meta(ngx_pool_t *pool, ngx_str_t *params,
    ngx_mcp_request_meta_t *meta);


#endif /* _NGX_MCP_REQUEST_META_H_INCLUDED_ */

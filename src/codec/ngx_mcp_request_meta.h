
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * What a request of the modern era says of itself in its params (MCP
 * 2026-07-28, basic, _meta).
 */

#ifndef _NGX_MCP_REQUEST_META_H_INCLUDED_
#define _NGX_MCP_REQUEST_META_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* an absent string, or one of another type, has data == NULL */

typedef struct {

    /* _meta["io.modelcontextprotocol/..."] */

    ngx_str_t    version;         /* protocolVersion, decoded */
    ngx_str_t    capabilities;    /* clientCapabilities, raw: an object */
    ngx_str_t    client_info;     /* clientInfo, raw: an object */
    ngx_str_t    client_name;     /* its name and version, decoded */
    ngx_str_t    client_version;
    ngx_str_t    raw_log_level;   /* logLevel, raw and decoded */
    ngx_str_t    log_level;

    /* members of params */

    ngx_str_t    uri;             /* decoded */
    ngx_str_t    name;            /* decoded */
    ngx_str_t    notifications;   /* of subscriptions/listen, raw */

    unsigned     retry:1;         /* it has inputResponses or requestState */
} ngx_mcp_request_meta_t;


#endif /* _NGX_MCP_REQUEST_META_H_INCLUDED_ */

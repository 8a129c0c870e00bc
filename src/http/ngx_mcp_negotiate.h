
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Negotiation at Streamable HTTP: the version of the protocol and the types of
 * answers that a client accepts.
 */

#ifndef _NGX_MCP_NEGOTIATE_H_INCLUDED_
#define _NGX_MCP_NEGOTIATE_H_INCLUDED_


#include "ngx_mcp_ctx.h"


/*
 * Checks MCP-Protocol-Version and sets ctx->version and ctx->batches by the
 * newest version that it names.  Returns NGX_OK, also without the header;
 * NGX_DONE if it names a version of the modern era, where nothing is set;
 * NGX_DECLINED if a version is not supported.
 */

ngx_int_t ngx_mcp_negotiate_version(ngx_http_request_t *r);

/*
 * Returns whether MCP-Protocol-Version names a version of the modern era.
 */

ngx_uint_t ngx_mcp_negotiate_is_modern(ngx_http_request_t *r);

/*
 * The versions of the modern era that are served; all versions, newest first,
 * as a raw JSON array.
 */

ngx_uint_t ngx_mcp_negotiate_serves(ngx_str_t *version);
ngx_str_t *ngx_mcp_negotiate_supported(void);

/*
 * Returns whether MCP-Protocol-Version names a version that is not served in
 * any era, and sets *name to the first one.
 */

ngx_uint_t ngx_mcp_negotiate_other(ngx_http_request_t *r, ngx_str_t *name);

/*
 * Refuses r, whose version is not supported: "requested", a raw JSON value, or,
 * if it is NULL, that of MCP-Protocol-Version.
 */

ngx_int_t ngx_mcp_negotiate_refuse(ngx_http_request_t *r,
    ngx_str_t *requested);

/*
 * Returns the newest version that may answer an initialize that offers this
 * one: the same if it is supported, else the newest supported one.  With any
 * other the next request of the client would be refused.
 */

ngx_str_t ngx_mcp_negotiate_limit(ngx_str_t *offered);

/*
 * Sets ctx->accept_json and ctx->accept_stream from Accept.
 */

void ngx_mcp_negotiate_accept(ngx_http_request_t *r);


#endif /* _NGX_MCP_NEGOTIATE_H_INCLUDED_ */

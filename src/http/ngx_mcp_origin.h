
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Origins and URLs that clients send, compared with those of the location;
 * CORS.
 */

#ifndef _NGX_MCP_ORIGIN_H_INCLUDED_
#define _NGX_MCP_ORIGIN_H_INCLUDED_


#include "ngx_mcp_ctx.h"


/*
 * Normalizes "SCHEME://HOST[:PORT][/]" in pool: lower case, without the slash,
 * with the port of http and https.  Returns NGX_OK; NGX_DECLINED if the URL
 * has another form (user-info, path, query, fragment, an invalid port or IPv6
 * address); NGX_ERROR if memory is short.
 */

ngx_int_t ngx_mcp_origin_normalize(ngx_pool_t *pool, ngx_str_t *url,
    ngx_str_t *normal);

/*
 * Returns whether a URL has this form and its scheme is http or https.
 */

ngx_uint_t ngx_mcp_origin_is_http(ngx_str_t *url);

/*
 * Returns NGX_OK if a URL is one of "allowed" (of normalized ngx_str_t) or, if
 * that is NULL, has the host and port of the request's Host; else
 * NGX_DECLINED; NGX_ERROR if memory is short.
 */

ngx_int_t ngx_mcp_origin_match(ngx_http_request_t *r, ngx_str_t *url,
    ngx_array_t *allowed);

/*
 * Checks the request's Origin and sets ctx->origin if it is allowed.  Without
 * mcp_sse_origin it must have the host and port of Host, and this host must be
 * known (ngx_mcp_host_known()).  Returns NGX_OK, also without Origin;
 * NGX_DECLINED if it is not allowed; NGX_ERROR if memory is short.
 */

ngx_int_t ngx_mcp_origin_check(ngx_http_request_t *r);

/*
 * Adds the headers of CORS to the answer to an allowed origin; may be called
 * more than once.  Returns NGX_OK, or NGX_ERROR if memory is short.
 */

ngx_int_t ngx_mcp_origin_headers(ngx_http_request_t *r);


#endif /* _NGX_MCP_ORIGIN_H_INCLUDED_ */

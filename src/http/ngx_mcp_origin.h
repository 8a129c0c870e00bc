
/*
 * URLs and origins that clients name, compared with what is served here.
 */

#ifndef _NGX_MCP_ORIGIN_H_INCLUDED_
#define _NGX_MCP_ORIGIN_H_INCLUDED_


#include "ngx_mcp.h"


/*
 * Normalizes "http[s]://HOST[:PORT][/]" to "http[s]://host:port" in pool.
 * NGX_OK; NGX_DECLINED: it is no such URL (another scheme, user-info, path,
 * query, fragment, a bad port); NGX_ERROR: memory is short.
 */

ngx_int_t ngx_mcp_origin_normalize(ngx_pool_t *pool, ngx_str_t *url,
    ngx_str_t *normal);

/*
 * Whether a URL is one of "allowed" (of normalized ngx_str_t) or, where that
 * is NULL, has the host and port of the request's Host.  NGX_OK,
 * NGX_DECLINED, NGX_ERROR.
 */

ngx_int_t ngx_mcp_origin_match(ngx_http_request_t *r, ngx_str_t *url,
    ngx_array_t *allowed);

/*
 * Checks the request's Origin; sets ctx->origin if there is one and it is
 * allowed.  NGX_OK, NGX_DECLINED, NGX_ERROR.
 */

ngx_int_t ngx_mcp_origin_check(ngx_http_request_t *r);

/*
 * Adds the headers of CORS, once, to an answer to an allowed origin.
 */

ngx_int_t ngx_mcp_origin_headers(ngx_http_request_t *r);


#endif /* _NGX_MCP_ORIGIN_H_INCLUDED_ */

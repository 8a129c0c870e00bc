
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * The URL of this server as clients see it.
 */

#ifndef _NGX_MCP_PUBLIC_URL_H_INCLUDED_
#define _NGX_MCP_PUBLIC_URL_H_INCLUDED_


#include "ngx_mcp_ctx.h"


/* RFC 9728, 3.1: in front of the path of a protected resource */

#define NGX_MCP_PUBLIC_URL_METADATA  "/.well-known/oauth-protected-resource"


/*
 * Checks that "url" is http[s]://HOST[:PORT], and takes a slash at its end off.
 * Returns NGX_OK, NGX_DECLINED if it is something else, or NGX_ERROR if memory
 * is short.
 */

ngx_int_t ngx_mcp_public_url_check(ngx_pool_t *pool, ngx_str_t *url);

/*
 * Finds the URL of this server as http[s]://HOST[:PORT], which may be used in
 * JSON and in a quoted string: the value of mcp_sse_public_url or, without it,
 * the scheme of the connection and Host.  "url" is valid as long as the
 * request, and empty if the request has no proper Host.  Returns NGX_OK, or
 * NGX_ERROR if memory is short.
 */

ngx_int_t ngx_mcp_public_url(ngx_http_request_t *r, ngx_str_t *url);

/*
 * The same for the issuer of tokens: the value of mcp_sse_auth_server or,
 * without it, ngx_mcp_public_url().
 */

ngx_int_t ngx_mcp_public_url_auth_server(ngx_http_request_t *r,
    ngx_str_t *url);

/*
 * Finds the URL of the metadata of the resource at r->uri (RFC 9728, 3.1).  It
 * is empty if the URI has characters that a URL or a quoted string must not
 * have, or the URL of the server is not known.
 */

ngx_int_t ngx_mcp_public_url_metadata(ngx_http_request_t *r, ngx_str_t *url);

/*
 * Finds the values of X-Forwarded-Proto and X-Forwarded-Host: those of
 * mcp_sse_public_url or, without it, of the connection and of the request.
 * "host" is empty if there is no Host.  Returns NGX_OK, or NGX_ERROR if memory
 * is short.
 */

ngx_int_t ngx_mcp_public_url_forwarded(ngx_http_request_t *r, ngx_str_t *proto,
    ngx_str_t *host);

/*
 * Returns whether a text of the client may be used in a quoted string, in JSON
 * and in a URL as it is.
 */

ngx_uint_t ngx_mcp_public_url_safe(ngx_str_t *text);


#endif /* _NGX_MCP_PUBLIC_URL_H_INCLUDED_ */

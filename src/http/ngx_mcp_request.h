
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * The first checks of every endpoint, in the order of docs/PROTOCOL.md 1.
 */

#ifndef _NGX_MCP_REQUEST_H_INCLUDED_
#define _NGX_MCP_REQUEST_H_INCLUDED_


#include "ngx_mcp_ctx.h"


/*
 * Creates the context of r and checks method, Origin and site; answers
 * OPTIONS.  "allowed" is a mask of NGX_HTTP_*, "methods" a literal with the
 * same methods for Allow.  Returns the context, or NULL if the request was
 * answered: the content handler returns *rc then.
 */

ngx_mcp_ctx_t *ngx_mcp_request_start(ngx_http_request_t *r, ngx_uint_t allowed,
    const char *methods, ngx_int_t *rc);

/*
 * The same for /health and /metrics, which serve GET and HEAD of any client,
 * answer OPTIONS and check nothing else.  Returns NGX_OK, or NGX_DECLINED if
 * the request was answered: the content handler returns *rc then.
 */

ngx_int_t ngx_mcp_request_status_page(ngx_http_request_t *r, ngx_int_t *rc);

/*
 * The same for documents that pages of every Origin may read: allows any Origin
 * (Fetch standard).
 */

ngx_int_t ngx_mcp_request_document(ngx_http_request_t *r, ngx_int_t *rc);

/*
 * Refuses a request whose credential is not accepted: with 401, or with 502,
 * 503 or 504 if Frappe is unavailable.  Returns the code that the content
 * handler returns.
 */

ngx_int_t ngx_mcp_request_denied(ngx_http_request_t *r);

/*
 * Parses the session id of r into ctx->sid and, if it is not NULL, *claims, as
 * ngx_mcp_session_id_parse() does, and sets its name for logs.  Does not verify
 * the MAC.  Returns NGX_OK, or NGX_DECLINED if the id is malformed or older
 * than mcp_sse_session_ttl.
 */

ngx_int_t ngx_mcp_request_session_id(ngx_http_request_t *r, ngx_str_t *text,
    ngx_str_t *claims);

/*
 * Sets *scheme to "http" or "https", a static string.  It is the value of
 * $scheme: whether nginx has SSL is known to nginx, but not to a module that
 * is configured with --with-compat alone.  Returns NGX_OK, or NGX_ERROR if
 * memory is short.
 */

ngx_int_t ngx_mcp_request_scheme(ngx_http_request_t *r, ngx_str_t *scheme);


#endif /* _NGX_MCP_REQUEST_H_INCLUDED_ */


/*
 * What all endpoints check first, in the order of CONTRACT.
 */

#ifndef _NGX_MCP_REQUEST_H_INCLUDED_
#define _NGX_MCP_REQUEST_H_INCLUDED_


#include "ngx_mcp.h"


/*
 * Makes the context of r and checks method ("allowed" is a mask of
 * NGX_HTTP_*, "methods" its text for Allow), Origin and site; answers
 * OPTIONS.  NULL: the request was answered, and *rc is what the handler
 * returns.
 */

ngx_mcp_ctx_t *ngx_mcp_request_start(ngx_http_request_t *r, ngx_uint_t allowed,
    const char *methods, ngx_int_t *rc);

/*
 * The same for an endpoint that only tells how things are, to GET and HEAD of
 * anybody.  NGX_OK, or NGX_DECLINED: *rc is what the handler returns.
 */

ngx_int_t ngx_mcp_request_status_page(ngx_http_request_t *r, ngx_int_t *rc);

/*
 * Answers a request whose credential is not good: 401, or what says that
 * Frappe cannot be asked.
 */

ngx_int_t ngx_mcp_request_denied(ngx_http_request_t *r);

/*
 * Takes the session id of r apart, notes it for the log, and looks whether
 * it is too old; the MAC is not checked.  NGX_OK or NGX_DECLINED.
 */

ngx_int_t ngx_mcp_request_session_id(ngx_http_request_t *r, ngx_str_t *text);


#endif /* _NGX_MCP_REQUEST_H_INCLUDED_ */

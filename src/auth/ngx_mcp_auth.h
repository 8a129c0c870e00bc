
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Authentication of client requests.
 */

#ifndef _NGX_MCP_AUTH_H_INCLUDED_
#define _NGX_MCP_AUTH_H_INCLUDED_


#include "ngx_mcp_ctx.h"


/*
 * Finds the user of a request and runs step(), maybe before this returns; the
 * request is finalized with the code that step() returns.  If ctx->auth.retry
 * is set, the request waits up to mcp_sse_auth_wait for Frappe.  Returns the
 * code that the content handler returns.
 *
 * When step() runs, ctx->auth.result.status is 0, and ctx->vars.user is set; or
 * 401; or 502, 503 or 504 if Frappe is unavailable.
 */

ngx_int_t ngx_mcp_auth(ngx_http_request_t *r, ngx_mcp_resume_pt step);

/*
 * The credential of r is good, and its user is that of the session with the id
 * in r's context: the session takes it over.
 */

void ngx_mcp_auth_renew(ngx_http_request_t *r);


#endif /* _NGX_MCP_AUTH_H_INCLUDED_ */

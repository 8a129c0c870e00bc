
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
 * Looks up the credential of an open session again.  The result goes to
 * ngx_mcp_session_timers_rechecked() later, even if the session has ended; no
 * result comes if memory is short or too many look-ups wait.
 */

void ngx_mcp_auth_recheck(ngx_mcp_session_t *s);


#endif /* _NGX_MCP_AUTH_H_INCLUDED_ */

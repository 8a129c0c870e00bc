
/*
 * Whose request it is.
 */

#ifndef _NGX_MCP_AUTH_H_INCLUDED_
#define _NGX_MCP_AUTH_H_INCLUDED_


#include "ngx_mcp.h"


/*
 * Finds out whose the request is and runs step(), now or later: what that
 * returns the request is finalized with.  Returns what the content handler is
 * to return.
 *
 * ctx->verdict.status is then 0, and facts.user is set; 401; or 502, 503 or
 * 504: nobody knows.
 */

ngx_int_t ngx_mcp_auth(ngx_http_request_t *r, ngx_mcp_resume_pt step);

/*
 * Looks a session's credential up again, see _session.h.
 */

void ngx_mcp_auth_recheck(ngx_mcp_session_t *s);


#endif /* _NGX_MCP_AUTH_H_INCLUDED_ */

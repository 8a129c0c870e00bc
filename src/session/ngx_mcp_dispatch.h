
/*
 * What is done with a message: local, forwarded, dropped, cancelled.
 */

#ifndef _NGX_MCP_DISPATCH_H_INCLUDED_
#define _NGX_MCP_DISPATCH_H_INCLUDED_


#include "ngx_mcp_task.h"


/*
 * Looks at the messages of an envelope, all of which count as pending, and
 * releases the caller's reference.  Local methods, notifications and
 * cancellations act at once; calls wait.  Neither ends the stream of the
 * session nor frees the session.
 */

void ngx_mcp_dispatch(ngx_mcp_session_t *s, ngx_mcp_envelope_t *env);

/*
 * Cancels the request of the session that has this raw id, if there is one
 * and it may be; whether there is one.
 */

void ngx_mcp_dispatch_cancel(ngx_mcp_session_t *s, ngx_str_t *id);
ngx_uint_t ngx_mcp_dispatch_known(ngx_mcp_session_t *s, ngx_str_t *id);

/*
 * The flag of a method that can be answered without the backend
 * (NGX_MCP_LOCAL_*), or 0.
 */

ngx_uint_t ngx_mcp_dispatch_flag(ngx_str_t *method);

/*
 * Starts what waits and may start.
 */

void ngx_mcp_dispatch_next(ngx_mcp_session_t *s);

/*
 * For a stream that the server ends: answers each request of the session that
 * has no answer yet.  Nothing that waits is run; calls that run are cut if
 * "cut" is set, and else go on unheard.
 */

void ngx_mcp_dispatch_abandon(ngx_mcp_session_t *s, ngx_uint_t cut);


#endif /* _NGX_MCP_DISPATCH_H_INCLUDED_ */

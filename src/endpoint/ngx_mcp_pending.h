
/*
 * A POST on its way to its session: it is held while other instances are
 * asked, or while the session's stream, lost a moment ago, may come back.
 */

#ifndef _NGX_MCP_PENDING_H_INCLUDED_
#define _NGX_MCP_PENDING_H_INCLUDED_


#include "ngx_mcp.h"


/*
 * Delivers ctx->envelope and returns what answer() returns, or NGX_DONE: then
 * answer() runs later, as ngx_mcp_suspend() says.  ctx->outcome is
 *
 *     NGX_OK        the owner of the session has it
 *     NGX_BUSY      it has no room for it
 *     NGX_ERROR     the zone is full
 *     NGX_DECLINED  there is no such session
 *     NGX_ABORT     another instance may have it and does not answer
 *     NGX_AGAIN     not decided, since the server is stopping
 *
 * The envelope belongs to the request, unless ctx->envelope is NULL
 * afterwards.
 */

ngx_int_t ngx_mcp_pending_deliver(ngx_http_request_t *r,
    ngx_mcp_resume_pt answer);

/*
 * Is not held any more, if it is, and nobody is asked for it.
 */

void ngx_mcp_pending_cancel(ngx_mcp_ctx_t *ctx);


#endif /* _NGX_MCP_PENDING_H_INCLUDED_ */


/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Client requests that wait.
 */

#ifndef _NGX_MCP_SUSPEND_H_INCLUDED_
#define _NGX_MCP_SUSPEND_H_INCLUDED_


#include "ngx_mcp_ctx.h"


/*
 * Suspends r until ngx_mcp_resume().  resume() runs then, and r is finalized
 * with the code that it returns.  A suspended request holds the worker
 * (ngx_mcp_timer_hold()).
 *
 * Returns NGX_OK: the content handler returns NGX_DONE; or NGX_ERROR if memory
 * is short.  If the client leaves, nginx frees r, and the cleanup of r removes
 * ctx->suspend->timer; resume() does not run.
 */

ngx_int_t ngx_mcp_suspend(ngx_http_request_t *r, ngx_mcp_resume_pt resume);

/*
 * Resumes r, which may be freed when this returns.
 */

void ngx_mcp_resume(ngx_http_request_t *r);

/*
 * The worker stops: resumes all requests.  A request that waits for a user
 * look-up gets 503 as its result.
 */

void ngx_mcp_resume_all(void);


#endif /* _NGX_MCP_SUSPEND_H_INCLUDED_ */

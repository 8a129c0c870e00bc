
/*
 * Client requests that wait for something.
 */

#ifndef _NGX_MCP_SUSPEND_H_INCLUDED_
#define _NGX_MCP_SUSPEND_H_INCLUDED_


#include "ngx_mcp.h"


/*
 * Puts r to sleep until ngx_mcp_resume(), which runs ctx->resume()
 * and finalizes r with its result.  The caller's handler returns NGX_DONE
 * after NGX_OK; NGX_ERROR: memory is short.  If the client leaves meanwhile,
 * nginx ends r, and its cleanup disarms ctx->timer.
 */

ngx_int_t ngx_mcp_suspend(ngx_http_request_t *r, ngx_mcp_resume_pt resume);

/*
 * Nothing of r may be touched afterwards.
 */

void ngx_mcp_resume(ngx_http_request_t *r);

/*
 * Wakes all: the worker stops, and resume() finds that out by itself.  A
 * verdict that is waited for is 503 then.
 */

void ngx_mcp_resume_all(void);


#endif /* _NGX_MCP_SUSPEND_H_INCLUDED_ */

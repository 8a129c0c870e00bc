
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * The end of a worker.
 */

#ifndef _NGX_MCP_SHUTDOWN_H_INCLUDED_
#define _NGX_MCP_SHUTDOWN_H_INCLUDED_


#include "ngx_mcp.h"


/*
 * Runs once when the worker has begun to shut down: a reload, or a graceful
 * stop.  The worker goes on as before while its streams are drained within
 * mcp_sse_drain.  What is left is ended before nginx closes the connections at
 * worker_shutdown_timeout; without that directive, after the longest call.
 */

void ngx_mcp_shutdown(void);


#endif /* _NGX_MCP_SHUTDOWN_H_INCLUDED_ */


/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * The log line of a call without a usable answer.
 */

#ifndef _NGX_MCP_CALL_LOG_H_INCLUDED_
#define _NGX_MCP_CALL_LOG_H_INCLUDED_


#include "ngx_mcp_call.h"


/*
 * Logs, at level error, the status of a call that has ended without a usable
 * answer and what to check.  "what" names the call.
 */

void ngx_mcp_call_log_error(ngx_mcp_call_t *call, const char *what);


#endif /* _NGX_MCP_CALL_LOG_H_INCLUDED_ */

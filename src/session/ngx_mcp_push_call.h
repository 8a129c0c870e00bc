
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Notifications of a call that runs: progress and log messages, to where its
 * answer goes.
 */

#ifndef _NGX_MCP_PUSH_CALL_H_INCLUDED_
#define _NGX_MCP_PUSH_CALL_H_INCLUDED_


#include "ngx_mcp_push.h"


/*
 * A notification for the call of a task.  (Questions: ngx_mcp_question.h.)
 */

void ngx_mcp_push_call(ngx_mcp_task_t *task, ngx_mcp_pushed_t *pushed);


#endif /* _NGX_MCP_PUSH_CALL_H_INCLUDED_ */

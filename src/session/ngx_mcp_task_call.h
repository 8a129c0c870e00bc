
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * The call of a task.
 */

#ifndef _NGX_MCP_TASK_CALL_H_INCLUDED_
#define _NGX_MCP_TASK_CALL_H_INCLUDED_


#include "ngx_mcp_task.h"


/*
 * Makes the call of a task, to which task->place passes.  The caller sets its
 * handler and starts it.  Returns NULL if memory is short.
 */

ngx_mcp_call_t *ngx_mcp_task_call(ngx_mcp_task_t *task);


#endif /* _NGX_MCP_TASK_CALL_H_INCLUDED_ */

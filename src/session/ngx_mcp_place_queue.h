
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * The tasks that wait for a place at Frappe: mcp_sse_backend_calls.
 */

#ifndef _NGX_MCP_PLACE_QUEUE_H_INCLUDED_
#define _NGX_MCP_PLACE_QUEUE_H_INCLUDED_


#include "ngx_mcp_task.h"


/*
 * In init_process.
 */

void ngx_mcp_place_queue_init(void);

/*
 * Asks for a place for a task in the list "waiting" of its session.  Returns
 * NGX_OK if its call may start: task->place is set, if places are limited;
 * NGX_AGAIN if the task waits for its turn and is started then; NGX_ERROR if
 * memory is short.
 */

ngx_int_t ngx_mcp_place_queue_enter(ngx_mcp_task_t *task);

/*
 * The task does not wait for a place any more, if it does.
 */

void ngx_mcp_place_queue_leave(ngx_mcp_task_t *task);

/*
 * Sets the deadline of a task that has been made, if places are limited: from
 * then on it has mcp_sse_call_timeout, whether it waits or runs.
 */

void ngx_mcp_place_queue_deadline(ngx_mcp_task_t *task);


#endif /* _NGX_MCP_PLACE_QUEUE_H_INCLUDED_ */

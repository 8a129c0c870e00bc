
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * logging/setLevel, resources/subscribe and resources/unsubscribe (MCP
 * 2025-11-25, Logging, Resources), which the module handles itself with
 * mcp_sse_events.
 */

#ifndef _NGX_MCP_SUBSCRIBE_H_INCLUDED_
#define _NGX_MCP_SUBSCRIBE_H_INCLUDED_


#include "ngx_mcp_task.h"


/*
 * Returns whether the module handles a request itself.
 */

ngx_uint_t ngx_mcp_subscribe_handles(ngx_mcp_jsonrpc_message_t *message);

/*
 * Handles such a request of the session: answers it, if the sink is open, and
 * takes its id in flight.  Returns NGX_OK; or NGX_DECLINED: the backend is
 * asked whether the user may read the resource; the message is resources/read
 * then, and must become a task.
 */

ngx_int_t ngx_mcp_subscribe(ngx_mcp_session_t *s, ngx_mcp_sink_t *sink,
    ngx_mcp_jsonrpc_message_t *message);

/*
 * Returns whether this is such a task.
 */

ngx_uint_t ngx_mcp_subscribe_asked(ngx_mcp_task_t *task);

/*
 * The answer to such a task, of which the backend has answered with a result:
 * the session has subscribed then.  Returns an event that the caller owns, or
 * NULL if memory is short.
 */

ngx_mcp_event_t *ngx_mcp_subscribe_answer(ngx_mcp_task_t *task);

/*
 * A message or a new stream of a session has come to this worker: what was
 * asked of it at another instance is read from Redis.
 */

void ngx_mcp_subscribe_recall(ngx_mcp_session_t *s);


#endif /* _NGX_MCP_SUBSCRIBE_H_INCLUDED_ */

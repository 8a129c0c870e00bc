
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Dispatch of messages of both transports: local, forwarded, dropped,
 * cancelled.
 */

#ifndef _NGX_MCP_DISPATCH_H_INCLUDED_
#define _NGX_MCP_DISPATCH_H_INCLUDED_


#include "ngx_mcp_task.h"


/*
 * Dispatches the messages of an envelope, all of which count as pending, and
 * releases the caller's reference.  Answers go to the sink.  Local methods,
 * notifications and cancellations take effect at once; other messages become
 * tasks, and those that may start are started.  The session is neither closed
 * nor freed.
 */

void ngx_mcp_dispatch(ngx_mcp_session_t *s, ngx_mcp_envelope_t *env,
    ngx_mcp_sink_t *sink);

/*
 * Dispatches one message.  "s" and "env" may be NULL if it is not forwarded
 * and the sink is of Streamable HTTP.
 */

void ngx_mcp_dispatch_message(ngx_mcp_session_t *s, ngx_mcp_envelope_t *env,
    ngx_mcp_sink_t *sink, ngx_mcp_jsonrpc_message_t *message);

/*
 * Returns whether the message is forwarded to Frappe, or needs its session for
 * another reason.
 */

ngx_uint_t ngx_mcp_dispatch_forwards(ngx_mcp_loc_conf_t *conf,
    ngx_mcp_jsonrpc_message_t *message);

/*
 * Cancels the request of the session that has this raw id.  Unknown ids and
 * "initialize" are ignored.  The caller lets other tasks of the session start,
 * and the session end: ngx_mcp_task_over().
 */

void ngx_mcp_dispatch_cancel(ngx_mcp_session_t *s, ngx_str_t *id);

/*
 * Returns the task of the open request of the session that has this raw id, or
 * NULL.
 */

ngx_mcp_task_t *ngx_mcp_dispatch_find(ngx_mcp_session_t *s, ngx_str_t *id);

/*
 * Returns the flag (NGX_MCP_LOCAL_*) of a method that can be answered locally,
 * or 0.
 */

ngx_uint_t ngx_mcp_dispatch_flag(ngx_str_t *method);

/*
 * Starts waiting tasks, in their order, up to mcp_sse_max_calls.
 */

void ngx_mcp_dispatch_next(ngx_mcp_session_t *s);

/*
 * Returns whether it is too late to start a waiting task.  Its message came
 * from another instance, which may have told the client that it was not
 * executed.  The task is answered and freed then.
 */

ngx_uint_t ngx_mcp_dispatch_late(ngx_mcp_task_t *task);

/*
 * The client of a request of the modern era has closed its POST, whose sink
 * this is: cancels its tasks (MCP 2026-07-28, Streamable HTTP, Cancellation).
 * Runs in the cleanup of the request, and starts no other task.
 */

void ngx_mcp_dispatch_closed(ngx_mcp_sink_t *sink);

/*
 * The server ends the stream of the session or stops: answers each open
 * request with an error.  Waiting tasks are freed.  Running calls are
 * cancelled if "cut" is set; otherwise they go on, and their answers are
 * dropped.
 */

void ngx_mcp_dispatch_abandon(ngx_mcp_session_t *s, ngx_uint_t cut);


#endif /* _NGX_MCP_DISPATCH_H_INCLUDED_ */

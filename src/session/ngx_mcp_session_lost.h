
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * The open requests of a session whose stream was lost or has ended, and who
 * inherits them.
 */

#ifndef _NGX_MCP_SESSION_LOST_H_INCLUDED_
#define _NGX_MCP_SESSION_LOST_H_INCLUDED_


#include "ngx_mcp_task.h"


/*
 * Unregisters a closed session, whose inbox was dispatched, and notes its open
 * requests.  With "grace", in milliseconds, its stream was lost (s->lost is
 * set): the session stays for that time, while it has open requests or kept
 * answers, and a new stream in this worker inherits them.
 */

void ngx_mcp_session_lost_leave(ngx_mcp_session_t *s, ngx_msec_t grace);

/*
 * An event of a session that is lost; "task" is NULL if it is not from a call.
 * Takes over ev, which is NULL if memory is short.
 */

void ngx_mcp_session_lost_keep(ngx_mcp_session_t *s, ngx_mcp_task_t *task,
    ngx_mcp_event_t *ev, ngx_uint_t is_answer);

/*
 * The stream of a session whose client had its id is open: inherits the
 * requests that the id has left, here or at another worker.  While s->waits is
 * set, the session must not start messages; its event is posted when that ends.
 */

void ngx_mcp_session_lost_inherit(ngx_mcp_session_t *s);

/*
 * Whether a request with that id, of an earlier stream of the session, still
 * waits or runs.
 */

ngx_uint_t ngx_mcp_session_lost_has(ngx_mcp_session_t *s, ngx_str_t *id);

/*
 * Cancels that request of the closed sessions of this worker with that key.
 */

void ngx_mcp_session_lost_cancel(u_char *key, ngx_str_t *id);

/*
 * Ends the loss of a session, if it is lost: from now on its answers are
 * dropped, and an event frees it when nothing waits or runs for it.
 */

void ngx_mcp_session_lost_forget(ngx_mcp_session_t *s);


#endif /* _NGX_MCP_SESSION_LOST_H_INCLUDED_ */

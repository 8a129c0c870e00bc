
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Sessions of Streamable HTTP in this worker: one for each session id, and one
 * for each user whose requests have no session id.  They exist while calls
 * wait or run.
 *
 * Such a session has no stream, no record and no inbox; the answers of its
 * tasks go to the POST, their sink.
 */

#ifndef _NGX_MCP_SESSION_HTTP_H_INCLUDED_
#define _NGX_MCP_SESSION_HTTP_H_INCLUDED_


#include "ngx_mcp_session.h"


/*
 * In init_process, before the bus starts.
 */

void ngx_mcp_session_http_init(void);

/*
 * Finds or creates the session for the calls of r, by the session id, user and
 * site in its context.  The caller calls ngx_mcp_session_check() afterwards,
 * which frees the session by an event when nothing waits or runs for it.
 * NGX_OK; NGX_BUSY: too many sessions of the user have calls; NGX_ERROR:
 * memory is short.
 */

ngx_int_t ngx_mcp_session_http_get(ngx_http_request_t *r,
    ngx_mcp_session_t **session);

/*
 * Accepts an envelope.  NGX_OK: its messages count as pending until
 * ngx_mcp_inbox_started(); NGX_BUSY: too many messages wait.
 */

ngx_int_t ngx_mcp_session_http_accept(ngx_mcp_session_t *s,
    ngx_mcp_envelope_t *env);

/*
 * The time of the shutdown is over: answers all open requests and cancels
 * their calls.
 */

void ngx_mcp_session_http_stop(void);


#endif /* _NGX_MCP_SESSION_HTTP_H_INCLUDED_ */


/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Timers of sessions with a stream: idle time-out, expiry of the session id,
 * recheck of the credential, drain at shutdown.
 */

#ifndef _NGX_MCP_SESSION_TIMERS_H_INCLUDED_
#define _NGX_MCP_SESSION_TIMERS_H_INCLUDED_


#include "ngx_mcp_session.h"


/*
 * The stream of a session is open; the session has received a message; the
 * session is closed.
 */

void ngx_mcp_session_timers_start(ngx_mcp_session_t *s);
void ngx_mcp_session_timers_active(ngx_mcp_session_t *s);
void ngx_mcp_session_timers_stop_session(ngx_mcp_session_t *s);

/*
 * The worker is shutting down: each open session gets a random moment within
 * "drain" milliseconds, from which on it closes as soon as nothing waits or
 * runs for it.
 */

void ngx_mcp_session_timers_drain(ngx_msec_t drain);

/*
 * The time of the shutdown is over: closes all sessions and cancels their
 * calls.
 */

void ngx_mcp_session_timers_stop(void);

/*
 * Returns whether ngx_mcp_session_timers_stop() was called.
 */

ngx_uint_t ngx_mcp_session_timers_stopped(void);


#endif /* _NGX_MCP_SESSION_TIMERS_H_INCLUDED_ */

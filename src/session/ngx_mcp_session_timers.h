
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
 * Looks up the credential of a session again.  When the look-up has ended,
 * ngx_mcp_session_timers_rechecked() is called, never before this function has
 * returned.  The session may be freed in between, so that its key is passed.
 */

typedef void (*ngx_mcp_session_recheck_pt)(ngx_mcp_session_t *s);

/*
 * In init_process: sets the function of the auth room.
 */

void ngx_mcp_session_timers_init(ngx_mcp_session_recheck_pt recheck);

/*
 * The stream of a session is open; the session has received a message; the
 * session is closed.
 */

void ngx_mcp_session_timers_start(ngx_mcp_session_t *s);
void ngx_mcp_session_timers_active(ngx_mcp_session_t *s);
void ngx_mcp_session_timers_stop_session(ngx_mcp_session_t *s);

/*
 * The look-up has ended: closes the session with that key if its credential,
 * whose digest is passed, is refused or belongs to another user.  "status" is
 * 0 if the credential is good; 401 or 403: refused; 5xx: Frappe is
 * unreachable, the session stays.
 */

void ngx_mcp_session_timers_rechecked(u_char *key, u_char *credential,
    ngx_uint_t status, ngx_str_t *principal);

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

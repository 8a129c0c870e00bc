
/*
 * When a session ends without its client's doing: idle, expired, credential
 * refused, worker shutting down.
 */

#ifndef _NGX_MCP_SESSION_TIMERS_H_INCLUDED_
#define _NGX_MCP_SESSION_TIMERS_H_INCLUDED_


#include "ngx_mcp_session.h"


/*
 * Asks the access room to look a session's credential up again; the answer
 * comes as ngx_mcp_session_timers_rechecked(), which may not come before
 * this has returned.  The session may be gone by then: it is named by key.
 */

typedef void (*ngx_mcp_session_recheck_pt)(ngx_mcp_session_t *s);

void ngx_mcp_session_timers_init(ngx_mcp_session_recheck_pt recheck);

/*
 * A session was opened; had a message; is closed.
 */

void ngx_mcp_session_timers_start(ngx_mcp_session_t *s);
void ngx_mcp_session_timers_active(ngx_mcp_session_t *s);
void ngx_mcp_session_timers_stop_session(ngx_mcp_session_t *s);

/*
 * The verdict on a credential, whose digest it is, was looked up again: what
 * it means for the session with that key, if there still is one that was
 * opened with it.  "status" is 0 if it is good, else the HTTP status of the
 * refusal; 5xx: nobody knows.
 */

void ngx_mcp_session_timers_rechecked(u_char *key, u_char *credential,
    ngx_uint_t status, ngx_str_t *principal);

/*
 * The worker is shutting down: sessions end when they can.  "drain" is the
 * time within which the first of these moments is chosen.
 */

void ngx_mcp_session_timers_drain(ngx_msec_t drain);

/*
 * It cannot wait any longer: everything ends now.
 */

void ngx_mcp_session_timers_stop(void);
ngx_uint_t ngx_mcp_session_timers_stopped(void);


#endif /* _NGX_MCP_SESSION_TIMERS_H_INCLUDED_ */

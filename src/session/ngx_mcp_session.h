
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Sessions with a stream: open, receive, close, free.
 */

#ifndef _NGX_MCP_SESSION_H_INCLUDED_
#define _NGX_MCP_SESSION_H_INCLUDED_


#include "ngx_mcp_ctx.h"


/*
 * In init_process and exit_process: start and stop tasks and the bus.
 */

ngx_int_t ngx_mcp_session_init(ngx_cycle_t *cycle);
void ngx_mcp_session_exit(void);

/*
 * Creates a session with the id in "sid" and "text" for the user, the site and
 * the credential in the context of r.  Strings are copied.  Returns NULL if
 * memory is short.  The caller passes the session to ngx_mcp_session_open().
 */

ngx_mcp_session_t *ngx_mcp_session_create(ngx_http_request_t *r,
    ngx_mcp_session_id_t *sid, u_char *text);

/*
 * Allocates a session for the user, the site and the location of r, and with
 * "cred" if it is not NULL; strings are copied.  "handler" is that of its
 * event.  The session is in no list; the caller owns it and frees it by
 * ngx_free().  Returns NULL if memory is short.
 */

ngx_mcp_session_t *ngx_mcp_session_alloc(ngx_http_request_t *r,
    ngx_mcp_credential_t *cred, ngx_event_handler_pt handler);

/*
 * Registers the session and opens its stream on r.  "keepalive_event" selects
 * heartbeats as events instead of comments.  Returns the result for the
 * content handler; NGX_BUSY: the user has too many sessions; NGX_DECLINED: the
 * zone is full.  If the stream does not open, the session is freed.
 */

ngx_int_t ngx_mcp_session_open(ngx_mcp_session_t *s, ngx_http_request_t *r,
    ngx_uint_t keepalive_event);

/*
 * Returns NGX_OK if the user of r may open one more session, or NGX_BUSY.
 */

ngx_int_t ngx_mcp_session_limit(ngx_http_request_t *r);

/*
 * Closes the session; "reason" is an ngx_mcp_close_reason_e.  Does nothing if
 * it is closed already.  An event frees the session when nothing waits or runs
 * for it.
 */

void ngx_mcp_session_close(ngx_mcp_session_t *s, ngx_uint_t reason);

/*
 * Returns the list of all sessions with a stream of this worker, closed ones
 * included, linked by their member "queue".
 */

ngx_queue_t *ngx_mcp_session_list(void);

/*
 * Dispatches the messages in the inbox of the session.
 */

void ngx_mcp_session_dispatch(ngx_mcp_session_t *s);

/*
 * Returns whether anything waits or runs for the session.
 */

ngx_uint_t ngx_mcp_session_busy(ngx_mcp_session_t *s);

/*
 * If nothing waits or runs for the session: closes it if it drains, and posts
 * its event, which frees it, if it is closed.
 */

void ngx_mcp_session_check(ngx_mcp_session_t *s);

/*
 * In the zone, a user of a site is represented by a digest of
 * NGX_MCP_DIGEST_LEN bytes.  Returns NGX_OK or NGX_ERROR.
 */

ngx_int_t ngx_mcp_session_user(ngx_str_t *site, ngx_str_t *user,
    u_char *digest);


#endif /* _NGX_MCP_SESSION_H_INCLUDED_ */

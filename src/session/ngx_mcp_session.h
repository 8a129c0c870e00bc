
/*
 * The actor: a session from its stream's opening to its last call's end.
 */

#ifndef _NGX_MCP_SESSION_H_INCLUDED_
#define _NGX_MCP_SESSION_H_INCLUDED_


#include "ngx_mcp.h"


/*
 * In init_process: starts the bus.
 */

ngx_int_t ngx_mcp_session_init(ngx_cycle_t *cycle);
void ngx_mcp_session_exit(void);

/*
 * Makes a session for r, whose context says whose it is, with the id in
 * "sid" and "text".  Strings are copied.  NULL if memory is short.
 */

ngx_mcp_session_t *ngx_mcp_session_create(ngx_http_request_t *r,
    ngx_mcp_session_id_t *sid, u_char *text);

/*
 * For _actor.c, too: an empty session for the user and the site of r, and with
 * that credential, if it is not NULL, in the location of r; all is copied.  It
 * is in no list, and belongs to whoever asked, who frees it with ngx_free();
 * "handler" is that of its event.  NULL if memory is short.
 */

ngx_mcp_session_t *ngx_mcp_session_alloc(ngx_http_request_t *r,
    ngx_mcp_credential_t *cred, ngx_event_handler_pt handler);

/*
 * Registers it and opens its stream on r.  Returns what the content handler
 * is to return; NGX_BUSY: the user has too many sessions; NGX_DECLINED: the
 * zone is full.  The session is freed if it does not open.
 */

ngx_int_t ngx_mcp_session_open(ngx_mcp_session_t *s, ngx_http_request_t *r,
    ngx_uint_t keepalive_event);

/*
 * Whether r's user may have one more session: NGX_OK or NGX_BUSY.
 */

ngx_int_t ngx_mcp_session_limit(ngx_http_request_t *r);

/*
 * Ends it, once.  The session is freed later, when nothing runs for it.
 */

void ngx_mcp_session_close(ngx_mcp_session_t *s, ngx_uint_t reason);

/*
 * For _expiry.c: all sessions of the worker, by their member queue; whether
 * anything waits or runs for one; ends one that drains as soon as nothing
 * does.
 */

ngx_queue_t *ngx_mcp_session_list(void);
ngx_uint_t ngx_mcp_session_busy(ngx_mcp_session_t *s);
void ngx_mcp_session_check(ngx_mcp_session_t *s);


#endif /* _NGX_MCP_SESSION_H_INCLUDED_ */

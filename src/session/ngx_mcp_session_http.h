
/*
 * The calls of Streamable HTTP in this worker: an actor for each session id,
 * and one for each user whose requests have none, as long as calls run.
 *
 * An actor is a session without stream, record and inbox; the answers of its
 * tasks go to sinks.
 */

#ifndef _NGX_MCP_SESSION_HTTP_H_INCLUDED_
#define _NGX_MCP_SESSION_HTTP_H_INCLUDED_


#include "ngx_mcp_session.h"


/*
 * In init_process, before the bus starts.
 */

void ngx_mcp_session_http_init(void);

/*
 * Finds or makes the actor for the calls of r, whose context says whose they
 * are.  After ngx_mcp_session_check() it is freed as soon as it has
 * nothing to do, but not before the next event.  NGX_OK; NGX_BUSY: calls of
 * too many sessions of this user run already; NGX_ERROR: memory is short.
 */

ngx_int_t ngx_mcp_session_http_get(ngx_http_request_t *r,
    ngx_mcp_session_t **actor);

/*
 * Accepts an envelope, whose messages count as pending from then on: NGX_OK;
 * NGX_BUSY: too many messages wait.
 */

ngx_int_t ngx_mcp_session_http_accept(ngx_mcp_session_t *s,
    ngx_mcp_envelope_t *env);

/*
 * The worker cannot wait any longer: all calls are cut, after their sinks
 * have been told.
 */

void ngx_mcp_session_http_stop(void);


#endif /* _NGX_MCP_SESSION_HTTP_H_INCLUDED_ */


/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * What Frappe has published for a user or a site, to the streams of this
 * worker.
 */

#ifndef _NGX_MCP_PUSH_SESSION_H_INCLUDED_
#define _NGX_MCP_PUSH_SESSION_H_INCLUDED_


#include "ngx_mcp_push.h"


/*
 * In init_process.  Returns NGX_OK or NGX_ERROR.
 */

ngx_int_t ngx_mcp_push_session_init(void);

/*
 * A session opens a stream, and closes: in between it gets what is published
 * for its site and user.  If it leaves a tombstone, changes of lists are noted
 * there for mcp_sse_grace.  Both do nothing without mcp_sse_events; the second
 * may be called without the first.  Returns NGX_OK, or NGX_ERROR if memory is
 * short.
 */

ngx_int_t ngx_mcp_push_session_enter(ngx_mcp_session_t *s);
void ngx_mcp_push_session_leave(ngx_mcp_session_t *s);

/*
 * Returns whether this worker has a stream of that user, or of any user if that
 * is NULL, of that site.
 */

ngx_uint_t ngx_mcp_push_session_has(ngx_str_t *site, ngx_str_t *user);

/*
 * Delivers a notification to all of these, at once or in turns of the event
 * loop.  Takes over the pool, which has all strings of *pushed.
 */

void ngx_mcp_push_session(ngx_pool_t *pool, ngx_mcp_pushed_t *pushed);


#endif /* _NGX_MCP_PUSH_SESSION_H_INCLUDED_ */

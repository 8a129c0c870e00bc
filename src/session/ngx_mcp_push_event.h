
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * The bytes of a notification that Frappe has published, and how a session with
 * a stream gets it.
 */

#ifndef _NGX_MCP_PUSH_EVENT_H_INCLUDED_
#define _NGX_MCP_PUSH_EVENT_H_INCLUDED_


#include "ngx_mcp_push.h"


/*
 * Return the size of a notification, or more; the framed notification, which
 * the caller owns, or NULL if memory is short.
 */

size_t ngx_mcp_push_event_size(ngx_mcp_pushed_t *pushed);
ngx_mcp_event_t *ngx_mcp_push_event(ngx_mcp_pushed_t *pushed);

/*
 * Whether a session takes notifications of that kind on its stream, whether
 * its user or all of its site are told.
 */

ngx_uint_t ngx_mcp_push_event_receives(ngx_mcp_session_t *s,
    ngx_mcp_pushed_t *pushed);

/*
 * Sends a notification to such a session, and counts it.  If "first" is not
 * NULL, all sessions that get the notification share its bytes: *first is NULL
 * at first, then an event that the caller frees after the last of them.
 * Returns NGX_OK; NGX_BUSY: its client does not read; NGX_ERROR: memory is
 * short.
 */

ngx_int_t ngx_mcp_push_event_send(ngx_mcp_session_t *s,
    ngx_mcp_pushed_t *pushed, ngx_mcp_event_t **first);


#endif /* _NGX_MCP_PUSH_EVENT_H_INCLUDED_ */

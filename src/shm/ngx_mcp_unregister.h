
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * How sessions leave the registry.
 */

#ifndef _NGX_MCP_UNREGISTER_H_INCLUDED_
#define _NGX_MCP_UNREGISTER_H_INCLUDED_


#include "ngx_mcp_zone.h"


/*
 * The session takes no messages any more: those in its inbox are given to
 * ngx_mcp_sessions_receive() before the function returns, and messages for it
 * are kept pending until it has left.
 */

void ngx_mcp_unregister_begin(ngx_mcp_session_t *s);

/*
 * Unregisters a session.  The messages in its inbox are given to
 * ngx_mcp_sessions_receive() before the function returns; afterwards no worker
 * can append messages.  If "grace" is not 0, a tombstone is left for that time,
 * in milliseconds, and s->tombstone is set; see
 * ngx_mcp_tombstones_add_locked().  Its open requests, "n" raw ids, are noted:
 * see ngx_mcp_leftovers_add_locked().
 */

void ngx_mcp_unregister(ngx_mcp_session_t *s, ngx_msec_t grace, ngx_str_t *ids,
    ngx_uint_t n);

/*
 * Returns how many sessions that this one has replaced have not left yet.
 */

ngx_uint_t ngx_mcp_unregister_awaited(ngx_mcp_session_t *s);

/*
 * The owner of a replaced record of that key has left it.
 */

void ngx_mcp_unregister_replaced_locked(ngx_mcp_zone_t *zone, u_char *key);


#endif /* _NGX_MCP_UNREGISTER_H_INCLUDED_ */

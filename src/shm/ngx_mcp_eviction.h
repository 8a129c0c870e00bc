
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Sessions that end for a new one: evicted or replaced.
 */

#ifndef _NGX_MCP_EVICTION_H_INCLUDED_
#define _NGX_MCP_EVICTION_H_INCLUDED_


#include "ngx_mcp_zone.h"


/* more than one session is evicted after mcp_sse_max_sessions was lowered */

#define NGX_MCP_EVICTION_MAX_WAKEUPS   8


/* docs/PROTOCOL.md 7.27: streams of a session of Streamable HTTP */

#define NGX_MCP_EVICTION_MAX_STREAMS   8


/*
 * Owners of sessions that are evicted or replaced, whom the caller wakes
 * without the mutex.  One session is replaced at most.
 */

typedef struct {
    u_char        ids[NGX_MCP_EVICTION_MAX_WAKEUPS + 1]
                     [NGX_MCP_WORKER_ID_LEN];
    ngx_uint_t    n;
} ngx_mcp_eviction_wakeups_t;


/*
 * Evicts sessions of the user until it may have one more.  Returns NGX_OK, or
 * NGX_BUSY if there is none to evict.  The user is not freed.
 */

ngx_int_t ngx_mcp_eviction_make_room_locked(ngx_mcp_zone_t *zone,
    ngx_mcp_user_record_t *user, ngx_uint_t max,
    ngx_mcp_eviction_wakeups_t *wakeups);

/*
 * Returns the session of the user that is ended for a new one: the oldest one
 * that never had a message, otherwise the one that is idle longest; or NULL.
 */

ngx_mcp_session_record_t *ngx_mcp_eviction_find_locked(
    ngx_mcp_user_record_t *user);

/*
 * Replaces a session: from now on, its id belongs to a new one, and it does
 * not count for its user, who is freed if it has no other session.
 */

void ngx_mcp_eviction_replace_locked(ngx_mcp_zone_t *zone,
    ngx_mcp_session_record_t *record, ngx_mcp_eviction_wakeups_t *wakeups);

/*
 * Another stream of a session of Streamable HTTP is about to open; "first" is
 * the first one of its key.  Replaces the oldest of them if there are
 * NGX_MCP_EVICTION_MAX_STREAMS, or if its user has "max" sessions of which none
 * can be evicted.
 */

void ngx_mcp_eviction_stream_locked(ngx_mcp_zone_t *zone,
    ngx_mcp_session_record_t *first, ngx_uint_t max,
    ngx_mcp_eviction_wakeups_t *wakeups);


#endif /* _NGX_MCP_EVICTION_H_INCLUDED_ */

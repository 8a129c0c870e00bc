
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Requests that sessions have left behind with their streams.
 */

#ifndef _NGX_MCP_LEFTOVERS_H_INCLUDED_
#define _NGX_MCP_LEFTOVERS_H_INCLUDED_


#include "ngx_mcp_zone.h"


/* bytes of a raw id, docs/PROTOCOL.md 4.10 */

#define NGX_MCP_LEFTOVERS_MAX_ID_LEN  4096


/*
 * Notes requests with these raw ids, which wait or run in this worker for the
 * session with that key.  If "grace", in milliseconds, is not 0, a stream that
 * takes the session over within that time answers them.  Requests beyond the
 * limits of a session or of the zone are not noted.  Returns whether all were
 * noted.
 */

ngx_uint_t ngx_mcp_leftovers_add_locked(ngx_mcp_zone_t *zone, u_char *key,
    ngx_str_t *ids, ngx_uint_t n, ngx_msec_t grace);

/*
 * A request of this worker has ended, answered or not; it needs no answer any
 * more.
 */

void ngx_mcp_leftovers_ended(u_char *key, ngx_str_t *id);
void ngx_mcp_leftovers_answered(u_char *key, ngx_str_t *id);

/*
 * A session of this worker takes over those that this worker has and that are
 * not answered: they are not noted any more.
 */

void ngx_mcp_leftovers_adopt(u_char *key);

/*
 * Copies the id of a request of that session that is not answered to "id",
 * which has room for NGX_MCP_LEFTOVERS_MAX_ID_LEN bytes, and notes that it is
 * answered.  Returns 0 if there is none.
 */

ngx_uint_t ngx_mcp_leftovers_inherit(u_char *key, ngx_str_t *id);

/*
 * Whether a request of that session with the same id waits or runs.
 */

ngx_uint_t ngx_mcp_leftovers_find(u_char *key, ngx_str_t *id);

/*
 * Nobody takes the session over any more: its requests, those that this worker
 * has or all, need no answer.
 */

void ngx_mcp_leftovers_forget(u_char *key);
void ngx_mcp_leftovers_forget_all_locked(ngx_mcp_zone_t *zone, u_char *key);

/*
 * The worker has gone.  Those that are not answered stay until their time is
 * over; ngx_mcp_leftovers_expire_locked() frees them then.
 */

void ngx_mcp_leftovers_worker_locked(ngx_mcp_zone_t *zone,
    ngx_mcp_worker_t *worker);
void ngx_mcp_leftovers_expire_locked(ngx_mcp_zone_t *zone);


#endif /* _NGX_MCP_LEFTOVERS_H_INCLUDED_ */


/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * The counts of places in the zone, and whose turn it is.
 */

#ifndef _NGX_MCP_PLACES_GRANT_H_INCLUDED_
#define _NGX_MCP_PLACES_GRANT_H_INCLUDED_


#include "ngx_mcp_places.h"


/*
 * Makes the entry of a user of this worker, with its counts.  Returns NULL if
 * the zone is full or DIRTY.
 */

ngx_mcp_place_entry_t *ngx_mcp_places_entry_locked(ngx_mcp_zone_t *zone,
    ngx_mcp_place_user_t *user);

/*
 * Return whether there is a free place; whether the user has less than its
 * maximum.
 */

ngx_uint_t ngx_mcp_places_free_locked(ngx_mcp_zone_t *zone);
ngx_uint_t ngx_mcp_places_may_run_locked(ngx_mcp_zone_t *zone,
    ngx_mcp_place_user_record_t *record);

/*
 * "n" more calls of the entry wait.
 */

void ngx_mcp_places_wait_locked(ngx_mcp_zone_t *zone,
    ngx_mcp_place_entry_t *entry, ngx_uint_t n);

/*
 * The worker takes one of the places that were granted to the entry.
 */

void ngx_mcp_places_accept_locked(ngx_mcp_place_entry_t *entry);

/*
 * A call that waits has left; a call that ran has ended, and is not counted any
 * more.  Both return the entry, or NULL if it had no other call and is freed.
 */

ngx_mcp_place_entry_t *ngx_mcp_places_left_locked(ngx_mcp_zone_t *zone,
    ngx_mcp_place_entry_t *entry);
ngx_mcp_place_entry_t *ngx_mcp_places_ended_locked(ngx_mcp_zone_t *zone,
    ngx_mcp_place_entry_t *entry);

/*
 * Grants all free places, in turn.  Returns whether there was something to
 * grant: workers must be woken.
 */

ngx_uint_t ngx_mcp_places_grant_locked(ngx_mcp_zone_t *zone);

/*
 * Withdraws what workers have not taken for 2 seconds.
 */

void ngx_mcp_places_withdraw_locked(ngx_mcp_zone_t *zone);

/*
 * Frees the entries of a worker.
 */

void ngx_mcp_places_remove_locked(ngx_mcp_zone_t *zone,
    ngx_mcp_worker_t *worker);


#endif /* _NGX_MCP_PLACES_GRANT_H_INCLUDED_ */

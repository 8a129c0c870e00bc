
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Places of calls at Frappe: all workers together run mcp_sse_backend_calls.
 *
 * The calls that wait are in queues of their workers.  The zone has their
 * number for each user and worker, and tells whose turn it is.
 */

#ifndef _NGX_MCP_PLACES_H_INCLUDED_
#define _NGX_MCP_PLACES_H_INCLUDED_


#include "ngx_mcp_zone.h"


/*
 * A user with calls in this worker.  It is made by ngx_mcp_places_user(), and
 * freed with its last call by ngx_mcp_places_leave() or _release().
 */

typedef struct {
    ngx_queue_t              queue;      /* of the users of this worker */
    u_char                   key[NGX_MCP_DIGEST_LEN]; /* of site and user */
    ngx_queue_t              calls;      /* that wait, the next one first; of
                                            session/ngx_mcp_place_queue.c */
    ngx_uint_t               waiting;    /* number of these */
    ngx_uint_t               running;    /* places that it has */
    ngx_mcp_place_entry_t   *entry;      /* in the zone; NULL: the zone is full
                                            or in recovery */
} ngx_mcp_place_user_t;


/*
 * In init_process, if mcp_sse_backend_calls is set.  granted() runs in posted
 * events, timers and the handler of wake-ups when calls of this worker may have
 * got places: it calls ngx_mcp_places_claim().
 */

void ngx_mcp_places_init(void (*granted)(void));

/*
 * Returns whether mcp_sse_backend_calls is set in the cycle of this worker.
 */

ngx_uint_t ngx_mcp_places_used(void);

/*
 * Finds or makes the user with that key (NGX_MCP_DIGEST_LEN bytes).  Returns
 * NULL if memory is short.
 */

ngx_mcp_place_user_t *ngx_mcp_places_user(u_char *key);

/*
 * Returns 1 if one more call of the user may run: it has a place.  Otherwise 0:
 * the call counts as waiting, behind those of the user that wait here.
 */

ngx_uint_t ngx_mcp_places_take(ngx_mcp_place_user_t *user);

/*
 * Returns a user of this worker of which a call that waits has got a place, and
 * counts the call as running; NULL if there is none.
 */

ngx_mcp_place_user_t *ngx_mcp_places_claim(void);

/*
 * A call that waits is not going to run; the place of a call is given back, and
 * the next one gets it.  Both free a user without calls.
 */

void ngx_mcp_places_leave(ngx_mcp_place_user_t *user);
void ngx_mcp_places_release(ngx_mcp_place_user_t *user);

/*
 * Once a second: withdraws what was granted to workers that have not taken it
 * for 2 seconds.
 */

void ngx_mcp_places_check(ngx_mcp_zone_t *zone);

/*
 * Calls granted() if something was granted to this worker.  Called without the
 * mutex, when this worker was woken.
 */

void ngx_mcp_places_woken(void);

/*
 * Wakes the workers to which something was granted since the last time by this
 * one.
 */

void ngx_mcp_places_wake(ngx_mcp_zone_t *zone);

/*
 * A worker enters the zone.  One that exits or is dead gives its places back.
 */

void ngx_mcp_places_join_locked(ngx_mcp_zone_t *zone,
    ngx_mcp_worker_t *worker);
void ngx_mcp_places_drop_locked(ngx_mcp_zone_t *zone,
    ngx_mcp_worker_t *worker);

/*
 * Recovery of the zone: what was granted to a worker is void; this worker
 * forgets its pointers into the old pool; and enters its users again.
 */

void ngx_mcp_places_reset_locked(ngx_mcp_worker_t *worker);
void ngx_mcp_places_forget_locked(void);
void ngx_mcp_places_restore_locked(ngx_mcp_zone_t *zone);


#endif /* _NGX_MCP_PLACES_H_INCLUDED_ */


/*
 * The layer of the bus inside one nginx: workers, sessions and inboxes in
 * the zone, and the wake-up between workers.
 *
 * A record belongs to the worker that registered it and is freed by it, by
 * the end of its grace, or, when that worker is dead, by whoever notices.
 */

#ifndef _NGX_MCP_WORKERS_H_INCLUDED_
#define _NGX_MCP_WORKERS_H_INCLUDED_


#include "ngx_mcp_inbox.h"


/*
 * For the bus, in init_process and exit_process: lists this worker in the
 * zone, takes it out.
 */

ngx_int_t ngx_mcp_workers_init(ngx_cycle_t *cycle);
void ngx_mcp_workers_exit(void);

typedef struct {
    ngx_uint_t   workers;
    ngx_uint_t   streams;
    ngx_uint_t   pending;        /* those held, too */
    ngx_uint_t   held;
    ngx_uint_t   calls;
    ngx_uint_t   redis[NGX_MCP_REDIS_READY + 1];           /* workers */
} ngx_mcp_workers_gauges_t;

/*
 * Gauges: change of this worker's, sums over all workers.
 */

void ngx_mcp_workers_streams(ngx_int_t n);
void ngx_mcp_workers_held(ngx_int_t n);
void ngx_mcp_workers_calls(ngx_int_t n);
void ngx_mcp_workers_gauges(ngx_mcp_workers_gauges_t *gauges);

/*
 * Takes what others have put into the inboxes of this worker's sessions.
 * May close sessions.
 */

void ngx_mcp_workers_drain(void);

/*
 * The record of this worker.
 */

ngx_mcp_worker_t *ngx_mcp_workers_self(void);

/*
 * Under the mutex: a session has news for its owner.  Returns whether the
 * worker whose id is put into "wake" is to be woken after the mutex is left.
 */

ngx_uint_t ngx_mcp_workers_notify_locked(ngx_mcp_session_record_t *record,
    u_char *wake);

/*
 * Under the mutex: there is something for every worker.  Returns how many
 * ids, put into "wakes", are to be woken after the mutex is left.
 */

ngx_uint_t ngx_mcp_workers_wake_all_locked(ngx_mcp_zone_t *zone,
    u_char (*wakes)[NGX_MCP_WORKER_ID_LEN]);

/*
 * The id of a worker of this instance that this worker has found dead, or
 * NULL; forgets that one.  At most 16 are kept.
 */

u_char *ngx_mcp_workers_dead_id(void);
void ngx_mcp_workers_dead_forget(void);

/*
 * Under the mutex: drops all that belongs to a dead worker.
 */

void ngx_mcp_workers_dead_locked(ngx_mcp_zone_t *zone, u_char *id);


#endif /* _NGX_MCP_WORKERS_H_INCLUDED_ */


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


/* what the session room does for the bus; set once, in init_process */

typedef struct {
    ngx_mcp_inbox_receive_pt      receive;

    /* the session must end: evicted or replaced */

    void      (*close)(ngx_mcp_session_t *s, ngx_uint_t reason);

} ngx_mcp_bus_owner_t;


/*
 * For the bus, in init_process and exit_process: lists this worker in the
 * zone, takes it out.  "local" finds a session of this worker by its key.
 */

ngx_int_t ngx_mcp_workers_init(ngx_cycle_t *cycle,
    ngx_mcp_bus_owner_t *owner,
    ngx_mcp_session_t *(*local)(u_char *key));
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
 * Under the mutex: drops all that belongs to a dead worker.
 */

void ngx_mcp_workers_dead_locked(ngx_mcp_zone_t *zone, u_char *id);


#endif /* _NGX_MCP_WORKERS_H_INCLUDED_ */

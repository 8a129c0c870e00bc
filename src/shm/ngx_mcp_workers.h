
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Worker records in shared memory: registration, gauges, wake-up.
 *
 * A worker fills its record when it starts and frees it when it exits.  The
 * record of a dead worker, with all that belongs to it, is freed by the worker
 * that finds it dead: ngx_mcp_workers_dead.h.
 */

#ifndef _NGX_MCP_WORKERS_H_INCLUDED_
#define _NGX_MCP_WORKERS_H_INCLUDED_


#include "ngx_mcp_inbox.h"


/* sums over all workers */

typedef struct {
    ngx_uint_t   workers;
    ngx_uint_t   streams;
    ngx_uint_t   pending;        /* messages not started, including "held" */
    ngx_uint_t   held;           /* pending POSTs */
    ngx_uint_t   calls;
    ngx_uint_t   places;         /* of mcp_sse_backend_calls, taken */
    ngx_uint_t   calls_waiting;  /* for one of these */
    ngx_uint_t   redis[NGX_MCP_REDIS_READY + 1];  /* workers, by state */
    ngx_uint_t   events[NGX_MCP_REDIS_READY + 1]; /* the same */
} ngx_mcp_workers_gauges_t;


/*
 * Runs once, when this worker is registered.  Returns NGX_OK, or NGX_ERROR
 * after logging.
 */

typedef ngx_int_t (*ngx_mcp_workers_registered_pt)(ngx_log_t *log);

/*
 * Register this worker, in init_process, and unregister it, in exit_process.
 * While the zone has no place for its record, the worker asks again each
 * second.  "registered" may run before ngx_mcp_workers_init() returns NGX_OK,
 * or NGX_ERROR after logging.
 */

ngx_int_t ngx_mcp_workers_init(ngx_cycle_t *cycle,
    ngx_mcp_workers_registered_pt registered);
void ngx_mcp_workers_exit(void);

/*
 * Add "n", which may be negative, to a gauge of this worker; take the sums.
 */

void ngx_mcp_workers_streams(ngx_int_t n);
void ngx_mcp_workers_held(ngx_int_t n);
void ngx_mcp_workers_calls(ngx_int_t n);
void ngx_mcp_workers_gauges(ngx_mcp_workers_gauges_t *gauges);

/*
 * Takes the messages that other workers have put into the inboxes of this
 * worker's sessions.  May close sessions.
 */

void ngx_mcp_workers_drain(void);

/*
 * Returns the record of this worker; NULL before it is registered and after
 * ngx_mcp_workers_exit().  A worker without a record must not use the zone for
 * requests: they are refused by ngx_mcp_request_start().
 */

ngx_mcp_worker_t *ngx_mcp_workers_self(void);

/*
 * Queues the record for its owner and copies the id of the owner to "id".
 * Returns 1 if the caller must wake the owner after it has unlocked the mutex.
 */

ngx_uint_t ngx_mcp_workers_notify_locked(ngx_mcp_session_record_t *record,
    u_char *id);

/*
 * Return the ids, NGX_MCP_WORKER_ID_LEN bytes each, of the "n" other workers
 * that the caller must wake: of all, or of those that were granted places.
 * They are valid until the mutex is locked again.
 */

u_char *ngx_mcp_workers_wake_all_locked(ngx_mcp_zone_t *zone, ngx_uint_t *n);
u_char *ngx_mcp_workers_wake_granted_locked(ngx_mcp_zone_t *zone,
    ngx_uint_t *n);

/*
 * Frees a record, which is that of this worker or of a dead one, with its
 * session records and its entries.
 */

void ngx_mcp_workers_free_locked(ngx_mcp_zone_t *zone,
    ngx_mcp_worker_t *worker);


#endif /* _NGX_MCP_WORKERS_H_INCLUDED_ */


/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Worker records in shared memory: registration, gauges, wake-up.
 *
 * A record is owned by its worker, and freed by it when it exits.  That of a
 * dead worker is freed by the worker that finds it: ngx_mcp_workers_dead.c.
 */

#include "ngx_mcp_workers.h"
#include "ngx_mcp_workers_dead.h"
#include "ngx_mcp_inbox.h"
#include "ngx_mcp_announce.h"
#include "ngx_mcp_in_flight.h"
#include "ngx_mcp_leftovers.h"
#include "ngx_mcp_places.h"
#include "ngx_mcp_registry.h"
#include "ngx_mcp_recovery.h"
#include "ngx_mcp_revocation.h"
#include "ngx_mcp_subscriptions.h"
#include "ngx_mcp_sessions.h"
#include "ngx_mcp_tombstones.h"
#include "ngx_mcp_wakeup.h"


/* removes what has expired, and probes the other workers */

#define NGX_MCP_WORKERS_SWEEP_MS       1000

/* a worker without a record looks for a free place */

#define NGX_MCP_WORKERS_PLACE_MS       1000

/* docs/PROTOCOL.md 12.9; ngx_mcp_timer_set() is not more precise */

#define NGX_MCP_WORKERS_POLL_MS        20

/*
 * A wake-up that was not read for that time is sent again, since the worker
 * may have died.  A socket has room for 200 ms: Linux queues 10 datagrams by
 * default (net.unix.max_dgram_qlen).
 */

#define NGX_MCP_WORKERS_WAKE_AGAIN_MS  20


static ngx_uint_t ngx_mcp_workers_must_wake_locked(ngx_mcp_worker_t *worker);
static u_char *ngx_mcp_workers_wake_locked(ngx_mcp_zone_t *zone, ngx_uint_t *n,
    ngx_uint_t granted);
static ngx_int_t ngx_mcp_workers_register(ngx_mcp_zone_t *zone);
static ngx_int_t ngx_mcp_workers_start(ngx_log_t *log);
static void ngx_mcp_workers_place_handler(void *data);
static ngx_mcp_worker_t *ngx_mcp_workers_new_locked(ngx_mcp_zone_t *zone);
static ngx_uint_t ngx_mcp_workers_drain_one(ngx_mcp_zone_t *zone);
static void ngx_mcp_workers_sweep_handler(void *data);
static void ngx_mcp_workers_poll_handler(void *data);


static ngx_mcp_worker_t  *ngx_mcp_workers_current;
static u_char             ngx_mcp_workers_id[NGX_MCP_WORKER_ID_LEN];
static ngx_uint_t         ngx_mcp_workers_no_socket;
static u_char            *ngx_mcp_workers_ids;  /* of workers to wake */

static ngx_mcp_workers_registered_pt  ngx_mcp_workers_registered;

static ngx_mcp_timer_t    ngx_mcp_workers_place_timer;
static ngx_mcp_timer_t    ngx_mcp_workers_sweep_timer;
static ngx_mcp_timer_t    ngx_mcp_workers_poll_timer;


ngx_int_t
ngx_mcp_workers_init(ngx_cycle_t *cycle,
    ngx_mcp_workers_registered_pt registered)
{
    ngx_mcp_zone_t  *zone;

    zone = ngx_mcp_zone();

    ngx_mcp_recovery_init();

    ngx_mcp_workers_registered = registered;

    ngx_mcp_workers_ids = ngx_alloc(zone->root->nworker_slots
                                    * NGX_MCP_WORKER_ID_LEN, cycle->log);

    if (ngx_mcp_workers_ids == NULL
        || ngx_mcp_random(ngx_mcp_workers_id, NGX_MCP_WORKER_ID_LEN) != NGX_OK)
    {
        return NGX_ERROR;
    }

    /* open the socket first: a record without a socket means a dead worker */

    ngx_mcp_workers_no_socket = (ngx_mcp_wakeup_open(cycle, ngx_mcp_workers_id,
                                                     ngx_mcp_workers_drain)
                                 != NGX_OK);

    ngx_mcp_zone_lock(zone);
    ngx_mcp_workers_dead_predecessor_locked(zone);
    ngx_mcp_zone_unlock(zone);

    if (ngx_mcp_workers_register(zone) == NGX_OK) {
        return ngx_mcp_workers_start(cycle->log);
    }

    ngx_log_error(NGX_LOG_ERR, cycle->log, 0,
                  "mcp sse: all %ui places for worker processes in "
                  "mcp_sse_zone \"%V\" are taken, this worker answers 503 "
                  "until an old one ends",
                  zone->root->nworker_slots, &zone->conf->zone_name);

    ngx_mcp_workers_place_timer.handler = ngx_mcp_workers_place_handler;
    ngx_mcp_timer_set(&ngx_mcp_workers_place_timer, NGX_MCP_WORKERS_PLACE_MS);

    return NGX_OK;
}


/*
 * Takes a place for the record of this worker.  Returns NGX_OK, or NGX_DECLINED
 * if there is none.
 */

static ngx_int_t
ngx_mcp_workers_register(ngx_mcp_zone_t *zone)
{
    ngx_mcp_zone_lock(zone);
    ngx_mcp_workers_current = ngx_mcp_workers_new_locked(zone);
    ngx_mcp_zone_unlock(zone);

    return ngx_mcp_workers_current ? NGX_OK : NGX_DECLINED;
}


static ngx_int_t
ngx_mcp_workers_start(ngx_log_t *log)
{
    ngx_log_debug4(NGX_LOG_DEBUG_CORE, log, 0,
                   "mcp worker %02xd%02xd... registered, slot %i, phase %ui",
                   (int) ngx_mcp_workers_id[0], (int) ngx_mcp_workers_id[1],
                   ngx_mcp_workers_current->slot,
                   ngx_mcp_workers_current->phase);

    if (ngx_mcp_workers_no_socket) {
        ngx_mcp_workers_poll_timer.handler = ngx_mcp_workers_poll_handler;
        ngx_mcp_timer_set(&ngx_mcp_workers_poll_timer,
                          NGX_MCP_WORKERS_POLL_MS);
    }

    ngx_mcp_workers_sweep_timer.handler = ngx_mcp_workers_sweep_handler;
    ngx_mcp_timer_set(&ngx_mcp_workers_sweep_timer, NGX_MCP_WORKERS_SWEEP_MS);

    return ngx_mcp_workers_registered(log);
}


static void
ngx_mcp_workers_place_handler(void *data)
{
    if (ngx_mcp_workers_register(ngx_mcp_zone()) != NGX_OK) {
        ngx_mcp_timer_set(&ngx_mcp_workers_place_timer,
                          NGX_MCP_WORKERS_PLACE_MS);
        return;
    }

    ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                  "mcp sse: this worker has a place in mcp_sse_zone now");

    (void) ngx_mcp_workers_start(ngx_cycle->log);
}


static ngx_mcp_worker_t *
ngx_mcp_workers_new_locked(ngx_mcp_zone_t *zone)
{
    ngx_queue_t       *q;
    ngx_mcp_worker_t  *worker;

    if (ngx_queue_empty(&zone->root->free_workers)) {
        return NULL;
    }

    q = ngx_queue_head(&zone->root->free_workers);
    ngx_queue_remove(q);

    worker = ngx_queue_data(q, ngx_mcp_worker_t, queue);

    ngx_memzero(worker, sizeof(ngx_mcp_worker_t));

    ngx_memcpy(worker->id, ngx_mcp_workers_id, NGX_MCP_WORKER_ID_LEN);
    worker->no_socket = ngx_mcp_workers_no_socket;

    /* ngx_mcp_workers_dead_holder() reads a record that has a pid */

    ngx_memory_barrier();

    worker->pid = ngx_pid;
    worker->slot = ngx_process_slot;
    worker->phase = ngx_mcp_recovery_join_locked(zone);
    worker->announcement_read = zone->root->last_announcement;

    ngx_queue_init(&worker->records);
    ngx_queue_init(&worker->ready);
    ngx_queue_init(&worker->taken);
    ngx_queue_init(&worker->filling);
    ngx_queue_init(&worker->leftovers);
    ngx_queue_init(&worker->in_flight);
    ngx_mcp_places_join_locked(zone, worker);

    ngx_queue_insert_tail(&zone->root->workers, &worker->queue);

    return worker;
}


void
ngx_mcp_workers_exit(void)
{
    ngx_mcp_zone_t  *zone;

    if (ngx_mcp_workers_current) {
        zone = ngx_mcp_zone();

        ngx_mcp_zone_lock(zone);
        ngx_mcp_workers_free_locked(zone, ngx_mcp_workers_current);
        ngx_mcp_zone_unlock(zone);

        ngx_mcp_places_wake(zone);

        ngx_mcp_workers_current = NULL;
    }

    /* close the socket last: a record without a socket means a dead worker */

    ngx_mcp_wakeup_close();
}


ngx_mcp_worker_t *
ngx_mcp_workers_self(void)
{
    return ngx_mcp_workers_current;
}


ngx_uint_t
ngx_mcp_workers_notify_locked(ngx_mcp_session_record_t *record, u_char *id)
{
    ngx_mcp_worker_t  *owner;

    owner = record->owner;

    if (!record->queued) {
        record->queued = 1;
        ngx_queue_insert_tail(&owner->ready, &record->ready);
    }

    ngx_memcpy(id, owner->id, NGX_MCP_WORKER_ID_LEN);

    return ngx_mcp_workers_must_wake_locked(owner);
}


/*
 * Returns whether to send a datagram: not while a recent one is on its way.
 */

static ngx_uint_t
ngx_mcp_workers_must_wake_locked(ngx_mcp_worker_t *worker)
{
    if (worker->no_socket) {
        return 0;
    }

    if (worker->wake_at
        && (ngx_msec_int_t) (ngx_current_msec - worker->wake_at)
           < NGX_MCP_WORKERS_WAKE_AGAIN_MS)
    {
        return 0;
    }

    worker->wake_at = ngx_current_msec ? ngx_current_msec : 1;

    return 1;
}


u_char *
ngx_mcp_workers_wake_all_locked(ngx_mcp_zone_t *zone, ngx_uint_t *n)
{
    return ngx_mcp_workers_wake_locked(zone, n, 0);
}


u_char *
ngx_mcp_workers_wake_granted_locked(ngx_mcp_zone_t *zone, ngx_uint_t *n)
{
    return ngx_mcp_workers_wake_locked(zone, n, 1);
}


static u_char *
ngx_mcp_workers_wake_locked(ngx_mcp_zone_t *zone, ngx_uint_t *n,
    ngx_uint_t granted)
{
    u_char            *p;
    ngx_queue_t       *q;
    ngx_mcp_worker_t  *worker;

    p = ngx_mcp_workers_ids;
    *n = 0;

    for (q = ngx_queue_head(&zone->root->workers);
         q != ngx_queue_sentinel(&zone->root->workers);
         q = ngx_queue_next(q))
    {
        worker = ngx_queue_data(q, ngx_mcp_worker_t, queue);

        if (worker != ngx_mcp_workers_current
            && (!granted || worker->calls_granted)
            && ngx_mcp_workers_must_wake_locked(worker))
        {
            p = ngx_cpymem(p, worker->id, NGX_MCP_WORKER_ID_LEN);
            (*n)++;
        }
    }

    return ngx_mcp_workers_ids;
}


void
ngx_mcp_workers_free_locked(ngx_mcp_zone_t *zone, ngx_mcp_worker_t *worker)
{
    ngx_queue_t               *q;
    ngx_mcp_session_record_t  *record;

    /* the lists of a DIRTY worker lead into the old pool */

    while (worker->phase != NGX_MCP_ZONE_DIRTY
           && !ngx_queue_empty(&worker->records))
    {
        q = ngx_queue_head(&worker->records);
        record = ngx_queue_data(q, ngx_mcp_session_record_t, queue);

        ngx_mcp_inbox_free_locked(zone, &record->inbox);
        ngx_mcp_registry_free_locked(zone, record);
    }

    if (worker->phase != NGX_MCP_ZONE_DIRTY) {
        ngx_mcp_inbox_free_locked(zone, &worker->taken);
        ngx_mcp_inbox_free_locked(zone, &worker->filling);
        ngx_mcp_leftovers_worker_locked(zone, worker);
        ngx_mcp_in_flight_drop_locked(zone, worker);
    }

    worker->pid = 0;

    ngx_queue_remove(&worker->queue);
    ngx_queue_insert_tail(&zone->root->free_workers, &worker->queue);

    ngx_mcp_places_drop_locked(zone, worker);
}


void
ngx_mcp_workers_drain(void)
{
    ngx_mcp_zone_t  *zone;

    /* nothing to take, as after a probe: do not lock the mutex */

    if (ngx_mcp_workers_current == NULL
        || (ngx_mcp_workers_current->wake_at == 0
            && ngx_queue_empty(&ngx_mcp_workers_current->ready)
            && ngx_mcp_workers_current->calls_granted == 0
            && !ngx_mcp_announce_has_unread()))
    {
        return;
    }

    zone = ngx_mcp_zone();

    while (ngx_mcp_workers_drain_one(zone)) { /* void */ }

    if (ngx_mcp_announce_has_unread()) {
        ngx_mcp_announce_post();
    }

    ngx_mcp_places_woken();
}


static ngx_uint_t
ngx_mcp_workers_drain_one(ngx_mcp_zone_t *zone)
{
    u_char                     key[NGX_MCP_DIGEST_LEN];
    ngx_uint_t                 evicted, replaced;
    ngx_queue_t               *q;
    ngx_mcp_session_record_t  *record;
    ngx_mcp_session_t         *s;

    ngx_mcp_zone_lock(zone);

    ngx_mcp_workers_current->wake_at = 0;

    if (ngx_queue_empty(&ngx_mcp_workers_current->ready)) {
        ngx_mcp_zone_unlock(zone);
        return 0;
    }

    q = ngx_queue_head(&ngx_mcp_workers_current->ready);
    record = ngx_queue_data(q, ngx_mcp_session_record_t, ready);

    ngx_queue_remove(q);
    record->queued = 0;

    ngx_memcpy(key, record->key, NGX_MCP_DIGEST_LEN);
    evicted = record->evicted;
    replaced = record->replaced;

    ngx_mcp_inbox_take_locked(record);

    ngx_mcp_zone_unlock(zone);

    s = ngx_mcp_sessions_find_record(key, record);

    if (s) {
        ngx_log_debug4(NGX_LOG_DEBUG_CORE, ngx_cycle->log, 0,
                       "mcp session %*s: inbox taken, evicted %ui, "
                       "replaced %ui",
                       (size_t) NGX_MCP_HASH_LEN, s->sid.hash, evicted,
                       replaced);
    }

    if (ngx_mcp_inbox_hand_over(zone, s) != NGX_OK) {
        ngx_mcp_sessions_close(s, NGX_MCP_CLOSE_NO_MEMORY);
        return 1;
    }

    if (s && (evicted || replaced)) {
        ngx_mcp_sessions_close(s, replaced ? NGX_MCP_CLOSE_REPLACED
                                           : NGX_MCP_CLOSE_EVICTED);
    }

    return 1;
}


void
ngx_mcp_workers_streams(ngx_int_t n)
{
    (void) ngx_atomic_fetch_add(&ngx_mcp_workers_current->streams, n);
}


void
ngx_mcp_workers_held(ngx_int_t n)
{
    (void) ngx_atomic_fetch_add(&ngx_mcp_workers_current->held, n);
}


void
ngx_mcp_workers_calls(ngx_int_t n)
{
    (void) ngx_atomic_fetch_add(&ngx_mcp_workers_current->calls, n);
}


void
ngx_mcp_workers_gauges(ngx_mcp_workers_gauges_t *gauges)
{
    ngx_uint_t         held;
    ngx_queue_t       *q;
    ngx_mcp_worker_t  *worker;
    ngx_mcp_zone_t    *zone;

    zone = ngx_mcp_zone();

    ngx_memzero(gauges, sizeof(ngx_mcp_workers_gauges_t));

    ngx_mcp_zone_lock(zone);

    for (q = ngx_queue_head(&zone->root->workers);
         q != ngx_queue_sentinel(&zone->root->workers);
         q = ngx_queue_next(q))
    {
        worker = ngx_queue_data(q, ngx_mcp_worker_t, queue);

        held = worker->held;

        gauges->workers++;
        gauges->streams += worker->streams;
        gauges->pending += worker->posted + worker->pending + held;
        gauges->held += held;
        gauges->calls += worker->calls;
        gauges->places += worker->places;
        gauges->calls_waiting += worker->calls_waiting;
        gauges->redis[worker->redis]++;
        gauges->events[worker->events]++;
    }

    ngx_mcp_zone_unlock(zone);
}


static void
ngx_mcp_workers_sweep_handler(void *data)
{
    ngx_mcp_zone_t  *zone;

    zone = ngx_mcp_zone();

    ngx_mcp_zone_lock(zone);
    ngx_mcp_tombstones_expire_locked(zone);
    ngx_mcp_leftovers_expire_locked(zone);
    ngx_mcp_revocation_expire_locked(zone);
    ngx_mcp_announce_expire_locked(zone);
    ngx_mcp_subscriptions_expire_locked(zone);
    ngx_mcp_zone_unlock(zone);

    ngx_mcp_workers_dead_probe(zone);
    ngx_mcp_places_check(zone);
    ngx_mcp_workers_drain();

    ngx_mcp_timer_set(&ngx_mcp_workers_sweep_timer, NGX_MCP_WORKERS_SWEEP_MS);
}


static void
ngx_mcp_workers_poll_handler(void *data)
{
    ngx_mcp_workers_drain();

    ngx_mcp_timer_set(&ngx_mcp_workers_poll_timer, NGX_MCP_WORKERS_POLL_MS);
}


/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Recovery of the zone after a worker died while it held the mutex.
 *
 * DESIGN
 *
 * A worker that dies while it holds the mutex may leave anything in the inner
 * pool of the zone: a list that is half linked, or a half changed page of the
 * slab allocator.  Nothing there is repaired.  The sessions themselves live in
 * the memory of their workers, so the pool is emptied and the sessions are
 * registered again.
 *
 * Each worker, and the zone, goes through three phases.  The phase of the zone
 * is the least of the phases of its workers.
 *
 * DIRTY   The next worker that locks the mutex empties all trees and lists of
 *         the root, sets itself and all other workers to DIRTY, and wakes them.
 *         Nothing is allocated or freed in the pool: other workers may still
 *         read and write their inbox entries there without the mutex, and their
 *         sessions have messages in it.
 *
 * RESET   When a worker locks the mutex the next time, it copies the messages
 *         out of the inboxes of its sessions, into its own memory, and drops
 *         its pointers into the pool.  When no worker is DIRTY any more, the
 *         pool is initialized again.
 *
 * READY   From a timer, each worker registers its sessions, the ids of its
 *         requests in flight, and its calls with and without a place, in the
 *         new pool.  When all workers are READY, the zone is.
 *
 * Until the zone is READY, a session that is not found may exist: a message
 * for it is kept pending, as if the stream of the session was lost.  Requests
 * of Streamable HTTP wait, too, since their ids may be in flight.  If another
 * worker dies in the meantime, all begins again with DIRTY.
 *
 * A worker that is dead but not yet found keeps the zone in its phase until
 * the sweep finds it.  Ended session ids, cached look-ups, tombstones,
 * leftovers and announcements are not kept.
 */

#include "ngx_mcp_recovery.h"
#include "ngx_mcp_in_flight.h"
#include "ngx_mcp_inbox.h"
#include "ngx_mcp_places.h"
#include "ngx_mcp_registry.h"
#include "ngx_mcp_sessions.h"
#include "ngx_mcp_workers.h"
#include "ngx_mcp_workers_dead.h"
#include "ngx_mcp_wakeup.h"


/*
 * The interval at which a worker tries to register its sessions.  POSTs wait
 * for that; ngx_mcp_timer_set() is not more precise.
 */

#define NGX_MCP_RECOVERY_INTERVAL_MS  20


static void ngx_mcp_recovery_begin_locked(ngx_mcp_zone_t *zone,
    ngx_pid_t dead);
static void ngx_mcp_recovery_workers_locked(ngx_mcp_zone_t *zone,
    ngx_pid_t dead);
static void ngx_mcp_recovery_release_locked(ngx_mcp_worker_t *self);
static void ngx_mcp_recovery_release_session_locked(ngx_mcp_session_t *s);
static void ngx_mcp_recovery_advance_locked(ngx_mcp_zone_t *zone);
static void ngx_mcp_recovery_timer_handler(void *data);
static void ngx_mcp_recovery_register(ngx_mcp_session_t *s);


static ngx_mcp_timer_t  ngx_mcp_recovery_timer;

/* 1: a session of this worker has no record */

static ngx_uint_t  ngx_mcp_recovery_incomplete;


void
ngx_mcp_recovery_init(void)
{
    ngx_mcp_recovery_timer.handler = ngx_mcp_recovery_timer_handler;
}


ngx_uint_t
ngx_mcp_recovery_join_locked(ngx_mcp_zone_t *zone)
{
    if (zone->root->phase == NGX_MCP_ZONE_READY) {
        return NGX_MCP_ZONE_READY;
    }

    ngx_mcp_timer_set(&ngx_mcp_recovery_timer, NGX_MCP_RECOVERY_INTERVAL_MS);

    return NGX_MCP_ZONE_RESET;
}


void
ngx_mcp_recovery_locked(ngx_mcp_zone_t *zone, ngx_pid_t dead)
{
    ngx_mcp_worker_t  *self;

    if (dead) {
        ngx_mcp_recovery_begin_locked(zone, dead);
    }

    self = ngx_mcp_workers_self();

    if (self && self->phase == NGX_MCP_ZONE_DIRTY) {
        ngx_mcp_recovery_release_locked(self);
    }

    ngx_mcp_recovery_advance_locked(zone);
}


static void
ngx_mcp_recovery_begin_locked(ngx_mcp_zone_t *zone, ngx_pid_t dead)
{
    u_char      *id;
    ngx_uint_t   n;

    ngx_log_error(NGX_LOG_CRIT, ngx_cycle->log, 0,
                  "mcp sse: worker process %P died while it changed "
                  "mcp_sse_zone \"%V\", which is emptied and filled again: "
                  "open sessions go on, ended session ids and cached look-ups "
                  "are forgotten",
                  dead, &zone->conf->zone_name);

    zone->root->phase = NGX_MCP_ZONE_DIRTY;
    zone->root->recovery_at = ngx_current_msec;

    ngx_mcp_zone_reset_locked(zone->root);
    ngx_mcp_recovery_workers_locked(zone, dead);

    id = ngx_mcp_workers_wake_all_locked(zone, &n);

    for ( /* void */ ; n; n--, id += NGX_MCP_WORKER_ID_LEN) {

        if (ngx_mcp_wakeup_send(id, ngx_cycle->log) == NGX_DECLINED) {
            ngx_mcp_workers_dead_locked(zone, id);
        }
    }
}


/*
 * The records of workers are intact, since they are outside of the inner pool,
 * but the lists that link them may not be: they are linked again.
 */

static void
ngx_mcp_recovery_workers_locked(ngx_mcp_zone_t *zone, ngx_pid_t dead)
{
    ngx_uint_t         i;
    ngx_mcp_worker_t  *worker;

    worker = zone->root->worker_slots;

    for (i = 0; i < zone->root->nworker_slots; i++) {

        if (worker[i].pid == 0) {
            ngx_queue_insert_tail(&zone->root->free_workers, &worker[i].queue);
            continue;
        }

        ngx_queue_insert_tail(&zone->root->workers, &worker[i].queue);
        worker[i].phase = NGX_MCP_ZONE_DIRTY;
        ngx_mcp_places_reset_locked(&worker[i]);

        if (worker[i].pid == dead) {
            ngx_mcp_workers_dead_locked(zone, worker[i].id);
        }
    }
}


/*
 * This worker releases its pointers into the old pool, which is unchanged until
 * all workers have done so: DIRTY to RESET.
 */

static void
ngx_mcp_recovery_release_locked(ngx_mcp_worker_t *self)
{
    ngx_mcp_sessions_each(ngx_mcp_recovery_release_session_locked);
    ngx_mcp_in_flight_release_locked();
    ngx_mcp_places_forget_locked();

    ngx_queue_init(&self->records);
    ngx_queue_init(&self->ready);
    ngx_queue_init(&self->taken);
    ngx_queue_init(&self->filling);
    ngx_queue_init(&self->leftovers);

    self->wake_at = 0;
    self->posted = 0;
    self->phase = NGX_MCP_ZONE_RESET;

    ngx_mcp_recovery_incomplete = 1;

    ngx_mcp_timer_set(&ngx_mcp_recovery_timer, 0);

    ngx_log_debug0(NGX_LOG_DEBUG_CORE, ngx_cycle->log, 0,
                   "mcp zone recovery: this worker has released the old pool");
}


static void
ngx_mcp_recovery_release_session_locked(ngx_mcp_session_t *s)
{
    ngx_mcp_session_record_t  *record;

    record = s->record;

    if (record == NULL) {
        return;
    }

    if (ngx_mcp_inbox_rescue_locked(ngx_mcp_zone(), s) != NGX_OK) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "mcp sse: messages of session %*s are lost with "
                      "mcp_sse_zone, its stream is closed",
                      (size_t) NGX_MCP_HASH_LEN, s->sid.hash);

        s->close_reason = NGX_MCP_CLOSE_NO_MEMORY;

    } else if (record->replaced) {
        s->close_reason = NGX_MCP_CLOSE_REPLACED;

    } else if (record->evicted) {
        s->close_reason = NGX_MCP_CLOSE_EVICTED;
    }

    /* the new record goes on from these */

    s->accepted = record->messages;
    s->record = NULL;
}


static void
ngx_mcp_recovery_advance_locked(ngx_mcp_zone_t *zone)
{
    ngx_uint_t         phase;
    ngx_queue_t       *q;
    ngx_mcp_worker_t  *worker;

    phase = NGX_MCP_ZONE_READY;

    for (q = ngx_queue_head(&zone->root->workers);
         q != ngx_queue_sentinel(&zone->root->workers);
         q = ngx_queue_next(q))
    {
        worker = ngx_queue_data(q, ngx_mcp_worker_t, queue);
        phase = ngx_min(phase, worker->phase);
    }

    if (zone->root->phase == NGX_MCP_ZONE_DIRTY
        && phase != NGX_MCP_ZONE_DIRTY)
    {
        ngx_mcp_zone_pool_locked(zone);
    }

    if (phase == NGX_MCP_ZONE_READY) {
        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "mcp sse: mcp_sse_zone \"%V\" is recovered",
                      &zone->conf->zone_name);
    }

    if (phase != zone->root->phase) {
        ngx_log_debug2(NGX_LOG_DEBUG_CORE, ngx_cycle->log, 0,
                       "mcp zone recovery: phase of zone %ui -> %ui",
                       zone->root->phase, phase);
    }

    zone->root->phase = phase;
}


/*
 * Registers the sessions of this worker: RESET to READY.
 */

static void
ngx_mcp_recovery_timer_handler(void *data)
{
    ngx_mcp_worker_t  *self;
    ngx_mcp_zone_t    *zone;

    self = ngx_mcp_workers_self();

    if (self == NULL) {
        return;
    }

    zone = ngx_mcp_zone();

    ngx_mcp_recovery_incomplete = 0;

    ngx_mcp_sessions_each(ngx_mcp_recovery_register);

    ngx_mcp_zone_lock(zone);

    if (zone->root->phase != NGX_MCP_ZONE_DIRTY
        && !ngx_mcp_recovery_incomplete)
    {
        ngx_mcp_in_flight_restore_locked(zone);
        ngx_mcp_places_restore_locked(zone);

        self->phase = NGX_MCP_ZONE_READY;
        ngx_mcp_recovery_advance_locked(zone);
    }

    ngx_mcp_zone_unlock(zone);

    ngx_log_debug1(NGX_LOG_DEBUG_CORE, ngx_cycle->log, 0,
                   "mcp zone recovery: sessions registered, phase of this "
                   "worker %ui", self->phase);

    if (self->phase != NGX_MCP_ZONE_READY) {
        ngx_mcp_timer_set(&ngx_mcp_recovery_timer,
                          NGX_MCP_RECOVERY_INTERVAL_MS);
    }
}


static void
ngx_mcp_recovery_register(ngx_mcp_session_t *s)
{
    ngx_int_t  rc;

    if (s->close_reason) {
        ngx_mcp_sessions_close(s, s->close_reason);
        return;
    }

    if (s->record) {
        return;
    }

    rc = ngx_mcp_registry_enter(s, s->user_key, NGX_MCP_REGISTRY_REENTER);

    if (rc != NGX_OK) {
        ngx_mcp_sessions_close(s, rc == NGX_ABORT ? NGX_MCP_CLOSE_REPLACED
                                                  : NGX_MCP_CLOSE_NO_MEMORY);
        return;
    }

    /* no record: the zone was DIRTY again at that moment */

    if (s->record == NULL) {
        ngx_mcp_recovery_incomplete = 1;
    }
}

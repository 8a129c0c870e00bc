
/*
 * A worker that dies in a section may leave anything in the heap: a list
 * linked by half, or the pages of the slab.  Whoever comes next forgets it
 * all (DAMAGED).  The others may still read and write there, outside of the
 * mutex, what is theirs: each lets go of it when it enters the zone the next
 * time, and takes along what is in the inboxes of its sessions.  When all
 * have, the heap is made anew (EMPTY), and each registers its sessions again
 * (WHOLE).  Meanwhile sessions that are not found may be there, and a message
 * for them is held as if their streams were lost.
 */

#include "ngx_mcp_recovery.h"
#include "ngx_mcp_inbox.h"
#include "ngx_mcp_registry.h"
#include "ngx_mcp_sessions.h"
#include "ngx_mcp_workers.h"
#include "ngx_mcp_wakeup.h"


#define NGX_MCP_RECOVERY_INTERVAL_MS  20


static void ngx_mcp_recovery_damaged_locked(ngx_mcp_zone_t *zone,
    ngx_pid_t dead);
static void ngx_mcp_recovery_workers_locked(ngx_mcp_zone_t *zone,
    ngx_pid_t dead);
static void ngx_mcp_recovery_unlink_locked(ngx_mcp_worker_t *self);
static void ngx_mcp_recovery_take_locked(ngx_mcp_session_t *s);
static void ngx_mcp_recovery_next_locked(ngx_mcp_zone_t *zone);
static void ngx_mcp_recovery_sessions(void *data);
static void ngx_mcp_recovery_session(ngx_mcp_session_t *s);


static ngx_mcp_timer_t  ngx_mcp_recovery_timer;

/* some session has no record */

static ngx_uint_t  ngx_mcp_recovery_retry;


void
ngx_mcp_recovery_init(void)
{
    ngx_mcp_recovery_timer.handler = ngx_mcp_recovery_sessions;
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
        ngx_mcp_recovery_damaged_locked(zone, dead);
    }

    self = ngx_mcp_workers_self();

    if (self && self->phase == NGX_MCP_ZONE_DIRTY) {
        ngx_mcp_recovery_unlink_locked(self);
    }

    ngx_mcp_recovery_next_locked(zone);
}


static void
ngx_mcp_recovery_damaged_locked(ngx_mcp_zone_t *zone, ngx_pid_t dead)
{
    u_char      wakes[NGX_MCP_MAX_WORKERS][NGX_MCP_WORKER_ID_LEN];
    ngx_uint_t  i, n;

    ngx_log_error(NGX_LOG_CRIT, ngx_cycle->log, 0,
                  "mcp sse: worker process %P died while it changed "
                  "mcp_sse_zone \"%V\", which is made anew: open sessions go "
                  "on, ended ids and cached look-ups are forgotten",
                  dead, &zone->conf->zone_name);

    zone->root->phase = NGX_MCP_ZONE_DIRTY;

    ngx_mcp_zone_reset_locked(zone->root);
    ngx_mcp_recovery_workers_locked(zone, dead);

    n = ngx_mcp_workers_wake_all_locked(zone, wakes);

    for (i = 0; i < n; i++) {

        if (ngx_mcp_wakeup_send(wakes[i], ngx_cycle->log) == NGX_DECLINED) {
            ngx_mcp_workers_dead_locked(zone, wakes[i]);
        }
    }
}


/*
 * Their records are not in the heap, but linked.  One that has died without
 * a wake-up is found as ever, and waited for until then.
 */

static void
ngx_mcp_recovery_workers_locked(ngx_mcp_zone_t *zone, ngx_pid_t dead)
{
    ngx_uint_t         i;
    ngx_mcp_worker_t  *worker;

    worker = zone->root->worker_slots;

    for (i = 0; i < NGX_MCP_MAX_WORKERS; i++) {

        if (worker[i].pid == 0) {
            ngx_queue_insert_tail(&zone->root->free_workers, &worker[i].queue);
            continue;
        }

        ngx_queue_insert_tail(&zone->root->workers, &worker[i].queue);
        worker[i].phase = NGX_MCP_ZONE_DIRTY;

        if (worker[i].pid == dead) {
            ngx_mcp_workers_dead_locked(zone, worker[i].id);
        }
    }
}


/*
 * The heap is as it was: nothing is changed in it before all have let go.
 */

static void
ngx_mcp_recovery_unlink_locked(ngx_mcp_worker_t *self)
{
    ngx_mcp_sessions_each(ngx_mcp_recovery_take_locked);

    ngx_queue_init(&self->records);
    ngx_queue_init(&self->ready);
    ngx_queue_init(&self->taken);
    ngx_queue_init(&self->filling);

    self->wake_at = 0;
    self->posted = 0;
    self->phase = NGX_MCP_ZONE_RESET;

    ngx_mcp_recovery_retry = 1;

    ngx_mcp_timer_set(&ngx_mcp_recovery_timer, 0);
}


static void
ngx_mcp_recovery_take_locked(ngx_mcp_session_t *s)
{
    ngx_mcp_session_record_t  *record;

    record = s->record;

    if (record == NULL) {
        return;
    }

    if (ngx_mcp_inbox_rescue_locked(ngx_mcp_zone(), s) != NGX_OK) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "mcp sse: messages of session %*s are lost with the "
                      "zone, its stream is ended",
                      (size_t) NGX_MCP_HASH_LEN, s->sid.hash);

        s->close_reason = NGX_MCP_CLOSE_NO_MEMORY;

    } else if (record->replaced) {
        s->close_reason = NGX_MCP_CLOSE_REPLACED;

    } else if (record->evicted) {
        s->close_reason = NGX_MCP_CLOSE_EVICTED;
    }

    s->accepted = record->messages;
    s->record = NULL;
}


static void
ngx_mcp_recovery_next_locked(ngx_mcp_zone_t *zone)
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
                      "mcp sse: mcp_sse_zone \"%V\" is whole again",
                      &zone->conf->zone_name);
    }

    zone->root->phase = phase;
}


/*
 * From the timer, until the zone is whole: registers this worker's sessions.
 * Another worker may die meanwhile, and all begins again.
 */

static void
ngx_mcp_recovery_sessions(void *data)
{
    ngx_mcp_worker_t  *self;
    ngx_mcp_zone_t    *zone;

    self = ngx_mcp_workers_self();

    if (self == NULL) {
        return;
    }

    zone = ngx_mcp_zone();

    ngx_mcp_recovery_retry = 0;

    ngx_mcp_sessions_each(ngx_mcp_recovery_session);

    ngx_mcp_zone_lock(zone);

    if (zone->root->phase != NGX_MCP_ZONE_DIRTY && !ngx_mcp_recovery_retry) {
        self->phase = NGX_MCP_ZONE_READY;
        ngx_mcp_recovery_next_locked(zone);
    }

    ngx_mcp_zone_unlock(zone);

    if (self->phase != NGX_MCP_ZONE_READY) {
        ngx_mcp_timer_set(&ngx_mcp_recovery_timer,
                          NGX_MCP_RECOVERY_INTERVAL_MS);
    }
}


static void
ngx_mcp_recovery_session(ngx_mcp_session_t *s)
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

    /* a zone that was damaged just then, whatever it is by now */

    if (s->record == NULL) {
        ngx_mcp_recovery_retry = 1;
    }
}

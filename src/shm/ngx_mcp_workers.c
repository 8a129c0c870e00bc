
/*
 * The record of a worker is made by it and freed by it when it exits, or by
 * whoever notices that it is dead.
 */

#include "ngx_mcp_workers.h"
#include "ngx_mcp_inbox.h"
#include "ngx_mcp_announce.h"
#include "ngx_mcp_registry.h"
#include "ngx_mcp_recovery.h"
#include "ngx_mcp_revocation.h"
#include "ngx_mcp_sessions.h"
#include "ngx_mcp_wakeup.h"


#define NGX_MCP_WORKERS_SWEEP_MS       1000
#define NGX_MCP_WORKERS_POLL_MS        20
#define NGX_MCP_WORKERS_WAKE_AGAIN_MS  20
#define NGX_MCP_WORKERS_MAX_DEAD       16


static ngx_uint_t ngx_mcp_workers_wake(ngx_mcp_worker_t *worker);
static ngx_mcp_worker_t *ngx_mcp_workers_new_locked(ngx_mcp_zone_t *zone);
static void ngx_mcp_workers_predecessor(ngx_mcp_zone_t *zone);
static void ngx_mcp_workers_dead_note(u_char *id);
static void ngx_mcp_workers_free_locked(ngx_mcp_zone_t *zone,
    ngx_mcp_worker_t *worker);
static ngx_uint_t ngx_mcp_workers_drain_one(ngx_mcp_zone_t *zone);
static void ngx_mcp_workers_sweep(void *data);
static void ngx_mcp_workers_probe(ngx_mcp_zone_t *zone);
static ngx_uint_t ngx_mcp_workers_is_dead(u_char *id, ngx_pid_t deaf);
static void ngx_mcp_workers_poll(void *data);


static ngx_mcp_worker_t  *ngx_mcp_workers_own;
static ngx_mcp_timer_t    ngx_mcp_workers_sweep_timer;
static ngx_mcp_timer_t    ngx_mcp_workers_poll_timer;

static u_char      ngx_mcp_workers_dead_ids[NGX_MCP_WORKERS_MAX_DEAD]
                                           [NGX_MCP_WORKER_ID_LEN];
static ngx_uint_t  ngx_mcp_workers_ndead;


ngx_int_t
ngx_mcp_workers_init(ngx_cycle_t *cycle)
{
    u_char             id[NGX_MCP_WORKER_ID_LEN];
    ngx_uint_t         deaf;
    ngx_mcp_worker_t  *worker;
    ngx_mcp_zone_t    *zone;

    zone = ngx_mcp_zone();

    ngx_mcp_recovery_init();

    if (ngx_mcp_random(id, NGX_MCP_WORKER_ID_LEN) != NGX_OK) {
        return NGX_ERROR;
    }

    /* first the socket: whoever finds the record may try it at once */

    deaf = (ngx_mcp_wakeup_open(cycle, id, ngx_mcp_workers_drain) != NGX_OK);

    ngx_mcp_zone_lock(zone);

    ngx_mcp_workers_predecessor(zone);

    worker = ngx_mcp_workers_new_locked(zone);

    if (worker) {
        ngx_memcpy(worker->id, id, NGX_MCP_WORKER_ID_LEN);
        worker->no_socket = deaf;
    }

    ngx_mcp_zone_unlock(zone);

    if (worker == NULL) {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, 0,
                      "mcp sse: more than %d worker processes",
                      NGX_MCP_MAX_WORKERS);
        return NGX_ERROR;
    }

    ngx_mcp_workers_own = worker;

    if (deaf) {
        ngx_mcp_workers_poll_timer.handler = ngx_mcp_workers_poll;
        ngx_mcp_timer_set(&ngx_mcp_workers_poll_timer,
                          NGX_MCP_WORKERS_POLL_MS);
    }

    ngx_mcp_workers_sweep_timer.handler = ngx_mcp_workers_sweep;
    ngx_mcp_timer_set(&ngx_mcp_workers_sweep_timer, NGX_MCP_WORKERS_SWEEP_MS);

    return NGX_OK;
}


/*
 * Under the mutex: a new record for this worker, or NULL.
 */

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

    worker->pid = ngx_pid;
    worker->slot = ngx_process_slot;
    worker->phase = ngx_mcp_recovery_join_locked(zone);
    worker->announcement_read = zone->root->last_announcement;

    ngx_queue_init(&worker->records);
    ngx_queue_init(&worker->ready);
    ngx_queue_init(&worker->taken);
    ngx_queue_init(&worker->filling);

    ngx_queue_insert_tail(&zone->root->workers, &worker->queue);

    return worker;
}


void
ngx_mcp_workers_exit(void)
{
    ngx_mcp_zone_t  *zone;

    if (ngx_mcp_workers_own == NULL) {
        return;
    }

    zone = ngx_mcp_zone();

    ngx_mcp_zone_lock(zone);
    ngx_mcp_workers_free_locked(zone, ngx_mcp_workers_own);
    ngx_mcp_zone_unlock(zone);

    ngx_mcp_workers_own = NULL;

    /* last the socket: without it the record would be taken for a dead one */

    ngx_mcp_wakeup_close();
}


/*
 * The master gives a process slot away only after it has reaped the process
 * that had it.
 */

static void
ngx_mcp_workers_predecessor(ngx_mcp_zone_t *zone)
{
    ngx_queue_t       *q, *next;
    ngx_mcp_worker_t  *worker;

    for (q = ngx_queue_head(&zone->root->workers);
         q != ngx_queue_sentinel(&zone->root->workers);
         q = next)
    {
        next = ngx_queue_next(q);

        worker = ngx_queue_data(q, ngx_mcp_worker_t, queue);

        if (worker->slot == ngx_process_slot) {
            ngx_mcp_workers_dead_note(worker->id);
            ngx_mcp_workers_free_locked(zone, worker);
        }
    }
}


ngx_mcp_worker_t *
ngx_mcp_workers_self(void)
{
    return ngx_mcp_workers_own;
}


ngx_uint_t
ngx_mcp_workers_notify_locked(ngx_mcp_session_record_t *record, u_char *wake)
{
    ngx_mcp_worker_t  *owner;

    owner = record->owner;

    if (!record->has_news) {
        record->has_news = 1;
        ngx_queue_insert_tail(&owner->ready, &record->ready);
    }

    ngx_memcpy(wake, owner->id, NGX_MCP_WORKER_ID_LEN);

    return ngx_mcp_workers_wake(owner);
}


/*
 * A socket holds ten datagrams, so that they are sent only while none is
 * known to be on its way.  An old one is not trusted: were the worker dead,
 * nobody would notice.
 */

static ngx_uint_t
ngx_mcp_workers_wake(ngx_mcp_worker_t *worker)
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


ngx_uint_t
ngx_mcp_workers_wake_all_locked(ngx_mcp_zone_t *zone,
    u_char (*wakes)[NGX_MCP_WORKER_ID_LEN])
{
    ngx_uint_t         n;
    ngx_queue_t       *q;
    ngx_mcp_worker_t  *worker;

    n = 0;

    for (q = ngx_queue_head(&zone->root->workers);
         q != ngx_queue_sentinel(&zone->root->workers);
         q = ngx_queue_next(q))
    {
        worker = ngx_queue_data(q, ngx_mcp_worker_t, queue);

        if (worker != ngx_mcp_workers_own && ngx_mcp_workers_wake(worker))
        {
            ngx_memcpy(wakes[n++], worker->id, NGX_MCP_WORKER_ID_LEN);
        }
    }

    return n;
}


void
ngx_mcp_workers_dead_locked(ngx_mcp_zone_t *zone, u_char *id)
{
    ngx_queue_t       *q;
    ngx_mcp_worker_t  *worker;

    for (q = ngx_queue_head(&zone->root->workers);
         q != ngx_queue_sentinel(&zone->root->workers);
         q = ngx_queue_next(q))
    {
        worker = ngx_queue_data(q, ngx_mcp_worker_t, queue);

        if (ngx_memcmp(worker->id, id, NGX_MCP_WORKER_ID_LEN) == 0
            && worker != ngx_mcp_workers_own)
        {
            ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                          "mcp sse: worker process %P is dead, its sessions "
                          "are dropped", worker->pid);

            ngx_mcp_workers_dead_note(worker->id);
            ngx_mcp_workers_free_locked(zone, worker);
            return;
        }
    }
}


static void
ngx_mcp_workers_dead_note(u_char *id)
{
    if (ngx_mcp_workers_ndead < NGX_MCP_WORKERS_MAX_DEAD) {
        ngx_memcpy(ngx_mcp_workers_dead_ids[ngx_mcp_workers_ndead++], id,
                   NGX_MCP_WORKER_ID_LEN);
    }
}


u_char *
ngx_mcp_workers_dead_id(void)
{
    return ngx_mcp_workers_ndead
           ? ngx_mcp_workers_dead_ids[ngx_mcp_workers_ndead - 1] : NULL;
}


void
ngx_mcp_workers_dead_forget(void)
{
    ngx_mcp_workers_ndead--;
}


static void
ngx_mcp_workers_free_locked(ngx_mcp_zone_t *zone, ngx_mcp_worker_t *worker)
{
    ngx_queue_t               *q;
    ngx_mcp_session_record_t  *record;

    /* what it had in a damaged zone is forgotten already */

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
    }

    if (worker != ngx_mcp_workers_own) {
        ngx_mcp_zone_worker_died_locked(zone);
    }

    worker->pid = 0;

    ngx_queue_remove(&worker->queue);
    ngx_queue_insert_tail(&zone->root->free_workers, &worker->queue);
}


void
ngx_mcp_workers_drain(void)
{
    ngx_mcp_zone_t  *zone;

    /* a probe, or a stranger's datagram: no lock for these */

    if (ngx_mcp_workers_own == NULL
        || (ngx_mcp_workers_own->wake_at == 0
            && ngx_queue_empty(&ngx_mcp_workers_own->ready)
            && !ngx_mcp_announce_has_unread()))
    {
        return;
    }

    zone = ngx_mcp_zone();

    while (ngx_mcp_workers_drain_one(zone)) {      /* void */ }

    if (ngx_mcp_announce_has_unread()) {
        ngx_mcp_announce_post();
    }
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

    ngx_mcp_workers_own->wake_at = 0;

    if (ngx_queue_empty(&ngx_mcp_workers_own->ready)) {
        ngx_mcp_zone_unlock(zone);
        return 0;
    }

    q = ngx_queue_head(&ngx_mcp_workers_own->ready);
    record = ngx_queue_data(q, ngx_mcp_session_record_t, ready);

    ngx_queue_remove(q);
    record->has_news = 0;

    ngx_memcpy(key, record->key, NGX_MCP_DIGEST_LEN);
    evicted = record->evicted;
    replaced = record->replaced;

    ngx_mcp_inbox_take_locked(record);

    ngx_mcp_zone_unlock(zone);

    s = ngx_mcp_sessions_find(key);

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
    (void) ngx_atomic_fetch_add(&ngx_mcp_workers_own->streams, n);
}


void
ngx_mcp_workers_held(ngx_int_t n)
{
    (void) ngx_atomic_fetch_add(&ngx_mcp_workers_own->held, n);
}


void
ngx_mcp_workers_calls(ngx_int_t n)
{
    (void) ngx_atomic_fetch_add(&ngx_mcp_workers_own->calls, n);
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
        gauges->redis[worker->redis]++;
    }

    ngx_mcp_zone_unlock(zone);
}


static void
ngx_mcp_workers_sweep(void *data)
{
    ngx_mcp_zone_t  *zone;

    zone = ngx_mcp_zone();

    ngx_mcp_zone_lock(zone);
    ngx_mcp_registry_expire_locked(zone);
    ngx_mcp_revocation_expire_locked(zone);
    ngx_mcp_announce_expire_locked(zone);
    ngx_mcp_zone_unlock(zone);

    ngx_mcp_workers_probe(zone);
    ngx_mcp_workers_drain();

    ngx_mcp_timer_set(&ngx_mcp_workers_sweep_timer, NGX_MCP_WORKERS_SWEEP_MS);
}


/*
 * A worker that was killed while it shut down is not started again, and
 * nobody may want anything of it: its sessions would stay for ever.
 */

static void
ngx_mcp_workers_probe(ngx_mcp_zone_t *zone)
{
    u_char                    ids[NGX_MCP_MAX_WORKERS]
                                 [NGX_MCP_WORKER_ID_LEN];
    ngx_pid_t          deaf[NGX_MCP_MAX_WORKERS];
    ngx_uint_t         i, n;
    ngx_queue_t       *q;
    ngx_mcp_worker_t  *worker;

    n = 0;

    ngx_mcp_zone_lock(zone);

    for (q = ngx_queue_head(&zone->root->workers);
         q != ngx_queue_sentinel(&zone->root->workers);
         q = ngx_queue_next(q))
    {
        worker = ngx_queue_data(q, ngx_mcp_worker_t, queue);

        if (worker != ngx_mcp_workers_own && n < NGX_MCP_MAX_WORKERS) {
            deaf[n] = worker->no_socket ? worker->pid : 0;
            ngx_memcpy(ids[n++], worker->id, NGX_MCP_WORKER_ID_LEN);
        }
    }

    ngx_mcp_zone_unlock(zone);

    for (i = 0; i < n; i++) {

        if (ngx_mcp_workers_is_dead(ids[i], deaf[i])) {
            ngx_mcp_zone_lock(zone);
            ngx_mcp_workers_dead_locked(zone, ids[i]);
            ngx_mcp_zone_unlock(zone);
        }
    }
}


/*
 * One without a socket can only be asked for by its pid, which another
 * process may have by now: then its sessions stay.
 */

static ngx_uint_t
ngx_mcp_workers_is_dead(u_char *id, ngx_pid_t deaf)
{
    if (deaf) {
        return kill(deaf, 0) == -1 && ngx_errno == NGX_ESRCH;
    }

    return ngx_mcp_wakeup_send(id, ngx_cycle->log) == NGX_DECLINED;
}


static void
ngx_mcp_workers_poll(void *data)
{
    ngx_mcp_workers_drain();

    ngx_mcp_timer_set(&ngx_mcp_workers_poll_timer, NGX_MCP_WORKERS_POLL_MS);
}


/*
 * The record of a worker is made by it and freed by it when it exits, or by
 * whoever notices that it is dead.
 */

#include "ngx_mcp_workers.h"
#include "ngx_mcp_worker_lease.h"
#include "ngx_mcp_inbox.h"
#include "ngx_mcp_announce.h"
#include "ngx_mcp_registry.h"
#include "ngx_mcp_recovery.h"
#include "ngx_mcp_revocation.h"
#include "ngx_mcp_wakeup.h"


#define NGX_HTTP_MCP_SSE_SWEEP       1000
#define NGX_HTTP_MCP_SSE_SWEEP_FAST  20
#define NGX_HTTP_MCP_SSE_WAKE_AGAIN  20


static ngx_uint_t ngx_http_mcp_sse_shm_wake(ngx_http_mcp_sse_peer_t *peer);
static ngx_http_mcp_sse_peer_t *ngx_http_mcp_sse_shm_peer(
    ngx_http_mcp_sse_zone_t *zone);
static void ngx_http_mcp_sse_shm_predecessor(ngx_http_mcp_sse_zone_t *zone);
static void ngx_http_mcp_sse_shm_free_peer(ngx_http_mcp_sse_zone_t *zone,
    ngx_http_mcp_sse_peer_t *peer);
static ngx_uint_t ngx_http_mcp_sse_shm_drain_one(
    ngx_http_mcp_sse_zone_t *zone);
static void ngx_http_mcp_sse_shm_sweep(void *data);
static void ngx_http_mcp_sse_shm_probe(ngx_http_mcp_sse_zone_t *zone);
static ngx_uint_t ngx_http_mcp_sse_shm_is_dead(u_char *id, ngx_pid_t deaf);
static void ngx_http_mcp_sse_shm_sweep_fast(void *data);


static ngx_http_mcp_sse_peer_t        *ngx_http_mcp_sse_self;
static ngx_http_mcp_sse_bus_owner_t   *ngx_http_mcp_sse_owner;
static ngx_http_mcp_sse_session_t   *(*ngx_http_mcp_sse_local)(u_char *key);
static ngx_http_mcp_sse_timer_t        ngx_http_mcp_sse_sweep_timer;
static ngx_http_mcp_sse_timer_t        ngx_http_mcp_sse_fast_timer;


ngx_int_t
ngx_http_mcp_sse_shm_init(ngx_cycle_t *cycle,
    ngx_http_mcp_sse_bus_owner_t *owner,
    ngx_http_mcp_sse_session_t *(*local)(u_char *key))
{
    u_char                    id[NGX_HTTP_MCP_SSE_WORKER_ID];
    ngx_uint_t                deaf;
    ngx_http_mcp_sse_peer_t  *peer;
    ngx_http_mcp_sse_zone_t  *zone;

    zone = ngx_http_mcp_sse_zone();

    ngx_http_mcp_sse_owner = owner;
    ngx_http_mcp_sse_local = local;

    ngx_http_mcp_sse_inbox_init(owner->receive);
    ngx_http_mcp_sse_repair_init(owner);

    if (ngx_http_mcp_sse_random(id, NGX_HTTP_MCP_SSE_WORKER_ID) != NGX_OK) {
        return NGX_ERROR;
    }

    /* first the socket: whoever finds the record may try it at once */

    deaf = (ngx_http_mcp_sse_wakeup_open(cycle, id, ngx_http_mcp_sse_shm_drain)
            != NGX_OK);

    ngx_http_mcp_sse_zone_lock(zone);

    ngx_http_mcp_sse_shm_predecessor(zone);

    peer = ngx_http_mcp_sse_shm_peer(zone);

    if (peer) {
        ngx_memcpy(peer->id, id, NGX_HTTP_MCP_SSE_WORKER_ID);
        peer->deaf = deaf;
    }

    ngx_http_mcp_sse_zone_unlock(zone);

    if (peer == NULL) {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, 0,
                      "mcp sse: more than %d worker processes",
                      NGX_HTTP_MCP_SSE_MAX_PEERS);
        return NGX_ERROR;
    }

    ngx_http_mcp_sse_self = peer;

    if (deaf) {
        ngx_http_mcp_sse_fast_timer.handler = ngx_http_mcp_sse_shm_sweep_fast;
        ngx_http_mcp_sse_tick_set(&ngx_http_mcp_sse_fast_timer,
                                  NGX_HTTP_MCP_SSE_SWEEP_FAST);
    }

    ngx_http_mcp_sse_sweep_timer.handler = ngx_http_mcp_sse_shm_sweep;
    ngx_http_mcp_sse_tick_set(&ngx_http_mcp_sse_sweep_timer,
                              NGX_HTTP_MCP_SSE_SWEEP);

    return NGX_OK;
}


/*
 * Under the mutex: a new record for this worker, or NULL.
 */

static ngx_http_mcp_sse_peer_t *
ngx_http_mcp_sse_shm_peer(ngx_http_mcp_sse_zone_t *zone)
{
    ngx_queue_t              *q;
    ngx_http_mcp_sse_peer_t  *peer;

    if (ngx_queue_empty(&zone->root->free_peers)) {
        return NULL;
    }

    q = ngx_queue_head(&zone->root->free_peers);
    ngx_queue_remove(q);

    peer = ngx_queue_data(q, ngx_http_mcp_sse_peer_t, queue);

    ngx_memzero(peer, sizeof(ngx_http_mcp_sse_peer_t));

    peer->pid = ngx_pid;
    peer->slot = ngx_process_slot;
    peer->phase = ngx_http_mcp_sse_repair_join(zone);
    peer->heard = zone->root->last_news;

    ngx_queue_init(&peer->records);
    ngx_queue_init(&peer->ready);
    ngx_queue_init(&peer->taken);
    ngx_queue_init(&peer->filling);

    ngx_queue_insert_tail(&zone->root->peers, &peer->queue);

    return peer;
}


void
ngx_http_mcp_sse_shm_exit(void)
{
    ngx_http_mcp_sse_zone_t  *zone;

    if (ngx_http_mcp_sse_self == NULL) {
        return;
    }

    zone = ngx_http_mcp_sse_zone();

    ngx_http_mcp_sse_zone_lock(zone);
    ngx_http_mcp_sse_shm_free_peer(zone, ngx_http_mcp_sse_self);
    ngx_http_mcp_sse_zone_unlock(zone);

    ngx_http_mcp_sse_self = NULL;

    /* last the socket: without it the record would be taken for a dead one */

    ngx_http_mcp_sse_wakeup_close();
}


/*
 * The master gives a process slot away only after it has reaped the process
 * that had it.
 */

static void
ngx_http_mcp_sse_shm_predecessor(ngx_http_mcp_sse_zone_t *zone)
{
    ngx_queue_t              *q, *next;
    ngx_http_mcp_sse_peer_t  *peer;

    for (q = ngx_queue_head(&zone->root->peers);
         q != ngx_queue_sentinel(&zone->root->peers);
         q = next)
    {
        next = ngx_queue_next(q);

        peer = ngx_queue_data(q, ngx_http_mcp_sse_peer_t, queue);

        if (peer->slot == ngx_process_slot) {
            ngx_http_mcp_sse_alive_dead(peer->id);
            ngx_http_mcp_sse_shm_free_peer(zone, peer);
        }
    }
}


ngx_http_mcp_sse_peer_t *
ngx_http_mcp_sse_shm_self(void)
{
    return ngx_http_mcp_sse_self;
}


ngx_uint_t
ngx_http_mcp_sse_shm_news(ngx_http_mcp_sse_record_t *record, u_char *wake)
{
    ngx_http_mcp_sse_peer_t  *owner;

    owner = record->owner;

    if (!record->has_news) {
        record->has_news = 1;
        ngx_queue_insert_tail(&owner->ready, &record->ready);
    }

    ngx_memcpy(wake, owner->id, NGX_HTTP_MCP_SSE_WORKER_ID);

    return ngx_http_mcp_sse_shm_wake(owner);
}


/*
 * A socket holds ten datagrams, so that they are sent only while none is
 * known to be on its way.  An old one is not trusted: were the worker dead,
 * nobody would notice.
 */

static ngx_uint_t
ngx_http_mcp_sse_shm_wake(ngx_http_mcp_sse_peer_t *peer)
{
    if (peer->deaf) {
        return 0;
    }

    if (peer->wake_at
        && (ngx_msec_int_t) (ngx_current_msec - peer->wake_at)
           < NGX_HTTP_MCP_SSE_WAKE_AGAIN)
    {
        return 0;
    }

    peer->wake_at = ngx_current_msec ? ngx_current_msec : 1;

    return 1;
}


ngx_uint_t
ngx_http_mcp_sse_shm_wakes(ngx_http_mcp_sse_zone_t *zone,
    u_char (*wakes)[NGX_HTTP_MCP_SSE_WORKER_ID])
{
    ngx_uint_t                n;
    ngx_queue_t              *q;
    ngx_http_mcp_sse_peer_t  *peer;

    n = 0;

    for (q = ngx_queue_head(&zone->root->peers);
         q != ngx_queue_sentinel(&zone->root->peers);
         q = ngx_queue_next(q))
    {
        peer = ngx_queue_data(q, ngx_http_mcp_sse_peer_t, queue);

        if (peer != ngx_http_mcp_sse_self && ngx_http_mcp_sse_shm_wake(peer))
        {
            ngx_memcpy(wakes[n++], peer->id, NGX_HTTP_MCP_SSE_WORKER_ID);
        }
    }

    return n;
}


void
ngx_http_mcp_sse_shm_dead(ngx_http_mcp_sse_zone_t *zone, u_char *id)
{
    ngx_queue_t              *q;
    ngx_http_mcp_sse_peer_t  *peer;

    for (q = ngx_queue_head(&zone->root->peers);
         q != ngx_queue_sentinel(&zone->root->peers);
         q = ngx_queue_next(q))
    {
        peer = ngx_queue_data(q, ngx_http_mcp_sse_peer_t, queue);

        if (ngx_memcmp(peer->id, id, NGX_HTTP_MCP_SSE_WORKER_ID) == 0
            && peer != ngx_http_mcp_sse_self)
        {
            ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                          "mcp sse: worker process %P is dead, its sessions "
                          "are dropped", peer->pid);

            ngx_http_mcp_sse_alive_dead(peer->id);
            ngx_http_mcp_sse_shm_free_peer(zone, peer);
            return;
        }
    }
}


static void
ngx_http_mcp_sse_shm_free_peer(ngx_http_mcp_sse_zone_t *zone,
    ngx_http_mcp_sse_peer_t *peer)
{
    ngx_queue_t                *q;
    ngx_http_mcp_sse_record_t  *record;

    /* what it had in a damaged zone is forgotten already */

    while (peer->phase != NGX_HTTP_MCP_SSE_ZONE_DAMAGED
           && !ngx_queue_empty(&peer->records))
    {
        q = ngx_queue_head(&peer->records);
        record = ngx_queue_data(q, ngx_http_mcp_sse_record_t, queue);

        ngx_http_mcp_sse_inbox_free(zone, &record->inbox);
        ngx_http_mcp_sse_registry_free(zone, record);
    }

    if (peer->phase != NGX_HTTP_MCP_SSE_ZONE_DAMAGED) {
        ngx_http_mcp_sse_inbox_free(zone, &peer->taken);
        ngx_http_mcp_sse_inbox_free(zone, &peer->filling);
    }

    if (peer != ngx_http_mcp_sse_self) {
        ngx_http_mcp_sse_zone_died(zone);
    }

    peer->pid = 0;

    ngx_queue_remove(&peer->queue);
    ngx_queue_insert_tail(&zone->root->free_peers, &peer->queue);
}


void
ngx_http_mcp_sse_shm_drain(void)
{
    ngx_http_mcp_sse_zone_t  *zone;

    /* a probe, or a stranger's datagram: no lock for these */

    if (ngx_http_mcp_sse_self == NULL
        || (ngx_http_mcp_sse_self->wake_at == 0
            && ngx_queue_empty(&ngx_http_mcp_sse_self->ready)
            && !ngx_http_mcp_sse_news_unheard()))
    {
        return;
    }

    zone = ngx_http_mcp_sse_zone();

    while (ngx_http_mcp_sse_shm_drain_one(zone)) { /* void */ }

    if (ngx_http_mcp_sse_news_unheard()) {
        ngx_http_mcp_sse_news_post();
    }
}


static ngx_uint_t
ngx_http_mcp_sse_shm_drain_one(ngx_http_mcp_sse_zone_t *zone)
{
    u_char                       key[NGX_HTTP_MCP_SSE_DIGEST];
    ngx_uint_t                   evicted, replaced;
    ngx_queue_t                 *q;
    ngx_http_mcp_sse_record_t   *record;
    ngx_http_mcp_sse_session_t  *s;

    ngx_http_mcp_sse_zone_lock(zone);

    ngx_http_mcp_sse_self->wake_at = 0;

    if (ngx_queue_empty(&ngx_http_mcp_sse_self->ready)) {
        ngx_http_mcp_sse_zone_unlock(zone);
        return 0;
    }

    q = ngx_queue_head(&ngx_http_mcp_sse_self->ready);
    record = ngx_queue_data(q, ngx_http_mcp_sse_record_t, ready);

    ngx_queue_remove(q);
    record->has_news = 0;

    ngx_memcpy(key, record->key, NGX_HTTP_MCP_SSE_DIGEST);
    evicted = record->evicted;
    replaced = record->replaced;

    ngx_http_mcp_sse_inbox_take(record);

    ngx_http_mcp_sse_zone_unlock(zone);

    s = ngx_http_mcp_sse_local(key);

    if (ngx_http_mcp_sse_inbox_hand_over(zone, s) != NGX_OK) {
        ngx_http_mcp_sse_owner->close(s, NGX_HTTP_MCP_SSE_NO_MEMORY);
        return 1;
    }

    if (s && (evicted || replaced)) {
        ngx_http_mcp_sse_owner->close(s, replaced ? NGX_HTTP_MCP_SSE_REPLACED
                                                  : NGX_HTTP_MCP_SSE_EVICTED);
    }

    return 1;
}


void
ngx_http_mcp_sse_shm_streams(ngx_int_t n)
{
    (void) ngx_atomic_fetch_add(&ngx_http_mcp_sse_self->streams, n);
}


void
ngx_http_mcp_sse_shm_held(ngx_int_t n)
{
    (void) ngx_atomic_fetch_add(&ngx_http_mcp_sse_self->held, n);
}


void
ngx_http_mcp_sse_shm_calls(ngx_int_t n)
{
    (void) ngx_atomic_fetch_add(&ngx_http_mcp_sse_self->calls, n);
}


void
ngx_http_mcp_sse_shm_gauges(ngx_http_mcp_sse_gauges_t *gauges)
{
    ngx_uint_t                held;
    ngx_queue_t              *q;
    ngx_http_mcp_sse_peer_t  *peer;
    ngx_http_mcp_sse_zone_t  *zone;

    zone = ngx_http_mcp_sse_zone();

    ngx_memzero(gauges, sizeof(ngx_http_mcp_sse_gauges_t));

    ngx_http_mcp_sse_zone_lock(zone);

    for (q = ngx_queue_head(&zone->root->peers);
         q != ngx_queue_sentinel(&zone->root->peers);
         q = ngx_queue_next(q))
    {
        peer = ngx_queue_data(q, ngx_http_mcp_sse_peer_t, queue);

        held = peer->held;

        gauges->workers++;
        gauges->streams += peer->streams;
        gauges->pending += peer->posted + peer->pending + held;
        gauges->held += held;
        gauges->calls += peer->calls;
        gauges->redis[peer->redis]++;
    }

    ngx_http_mcp_sse_zone_unlock(zone);
}


static void
ngx_http_mcp_sse_shm_sweep(void *data)
{
    ngx_http_mcp_sse_zone_t  *zone;

    zone = ngx_http_mcp_sse_zone();

    ngx_http_mcp_sse_zone_lock(zone);
    ngx_http_mcp_sse_registry_expire(zone);
    ngx_http_mcp_sse_revoked_expire(zone);
    ngx_http_mcp_sse_news_expire(zone);
    ngx_http_mcp_sse_zone_unlock(zone);

    ngx_http_mcp_sse_shm_probe(zone);
    ngx_http_mcp_sse_shm_drain();

    ngx_http_mcp_sse_tick_set(&ngx_http_mcp_sse_sweep_timer,
                              NGX_HTTP_MCP_SSE_SWEEP);
}


/*
 * A worker that was killed while it shut down is not started again, and
 * nobody may want anything of it: its sessions would stay for ever.
 */

static void
ngx_http_mcp_sse_shm_probe(ngx_http_mcp_sse_zone_t *zone)
{
    u_char                    ids[NGX_HTTP_MCP_SSE_MAX_PEERS]
                                 [NGX_HTTP_MCP_SSE_WORKER_ID];
    ngx_pid_t                 deaf[NGX_HTTP_MCP_SSE_MAX_PEERS];
    ngx_uint_t                i, n;
    ngx_queue_t              *q;
    ngx_http_mcp_sse_peer_t  *peer;

    n = 0;

    ngx_http_mcp_sse_zone_lock(zone);

    for (q = ngx_queue_head(&zone->root->peers);
         q != ngx_queue_sentinel(&zone->root->peers);
         q = ngx_queue_next(q))
    {
        peer = ngx_queue_data(q, ngx_http_mcp_sse_peer_t, queue);

        if (peer != ngx_http_mcp_sse_self && n < NGX_HTTP_MCP_SSE_MAX_PEERS) {
            deaf[n] = peer->deaf ? peer->pid : 0;
            ngx_memcpy(ids[n++], peer->id, NGX_HTTP_MCP_SSE_WORKER_ID);
        }
    }

    ngx_http_mcp_sse_zone_unlock(zone);

    for (i = 0; i < n; i++) {

        if (ngx_http_mcp_sse_shm_is_dead(ids[i], deaf[i])) {
            ngx_http_mcp_sse_zone_lock(zone);
            ngx_http_mcp_sse_shm_dead(zone, ids[i]);
            ngx_http_mcp_sse_zone_unlock(zone);
        }
    }
}


/*
 * One without a socket can only be asked for by its pid, which another
 * process may have by now: then its sessions stay.
 */

static ngx_uint_t
ngx_http_mcp_sse_shm_is_dead(u_char *id, ngx_pid_t deaf)
{
    if (deaf) {
        return kill(deaf, 0) == -1 && ngx_errno == NGX_ESRCH;
    }

    return ngx_http_mcp_sse_wakeup_send(id, ngx_cycle->log) == NGX_DECLINED;
}


static void
ngx_http_mcp_sse_shm_sweep_fast(void *data)
{
    ngx_http_mcp_sse_shm_drain();

    ngx_http_mcp_sse_tick_set(&ngx_http_mcp_sse_fast_timer,
                              NGX_HTTP_MCP_SSE_SWEEP_FAST);
}


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
#include "ngx_mcp_bus.h"
#include "ngx_mcp_wakeup.h"


#define NGX_HTTP_MCP_SSE_REPAIR_STEP  20


static void ngx_http_mcp_sse_repair(ngx_http_mcp_sse_zone_t *zone,
    ngx_pid_t dead);
static void ngx_http_mcp_sse_repair_damaged(ngx_http_mcp_sse_zone_t *zone,
    ngx_pid_t dead);
static void ngx_http_mcp_sse_repair_workers(ngx_http_mcp_sse_zone_t *zone,
    ngx_pid_t dead);
static void ngx_http_mcp_sse_repair_let_go(ngx_http_mcp_sse_peer_t *self);
static void ngx_http_mcp_sse_repair_take(ngx_http_mcp_sse_session_t *s);
static void ngx_http_mcp_sse_repair_next(ngx_http_mcp_sse_zone_t *zone);
static void ngx_http_mcp_sse_repair_sessions(void *data);
static void ngx_http_mcp_sse_repair_session(ngx_http_mcp_sse_session_t *s);


static ngx_http_mcp_sse_bus_owner_t  *ngx_http_mcp_sse_repair_owner;
static ngx_http_mcp_sse_timer_t       ngx_http_mcp_sse_repair_timer;

/* some session has no record */

static ngx_uint_t                     ngx_http_mcp_sse_repair_again;


void
ngx_http_mcp_sse_repair_init(ngx_http_mcp_sse_bus_owner_t *owner)
{
    ngx_http_mcp_sse_repair_owner = owner;
    ngx_http_mcp_sse_repair_timer.handler = ngx_http_mcp_sse_repair_sessions;

    ngx_http_mcp_sse_zone_repair(ngx_http_mcp_sse_repair);
}


ngx_uint_t
ngx_http_mcp_sse_repair_join(ngx_http_mcp_sse_zone_t *zone)
{
    if (zone->root->phase == NGX_HTTP_MCP_SSE_ZONE_WHOLE) {
        return NGX_HTTP_MCP_SSE_ZONE_WHOLE;
    }

    ngx_http_mcp_sse_tick_set(&ngx_http_mcp_sse_repair_timer,
                              NGX_HTTP_MCP_SSE_REPAIR_STEP);

    return NGX_HTTP_MCP_SSE_ZONE_EMPTY;
}


/*
 * Under the mutex, as all that it calls: whenever the zone is entered and is
 * not whole.
 */

static void
ngx_http_mcp_sse_repair(ngx_http_mcp_sse_zone_t *zone, ngx_pid_t dead)
{
    ngx_http_mcp_sse_peer_t  *self;

    if (dead) {
        ngx_http_mcp_sse_repair_damaged(zone, dead);
    }

    self = ngx_http_mcp_sse_shm_self();

    if (self && self->phase == NGX_HTTP_MCP_SSE_ZONE_DAMAGED) {
        ngx_http_mcp_sse_repair_let_go(self);
    }

    ngx_http_mcp_sse_repair_next(zone);
}


static void
ngx_http_mcp_sse_repair_damaged(ngx_http_mcp_sse_zone_t *zone, ngx_pid_t dead)
{
    u_char      wakes[NGX_HTTP_MCP_SSE_MAX_PEERS][NGX_HTTP_MCP_SSE_WORKER_ID];
    ngx_uint_t  i, n;

    ngx_log_error(NGX_LOG_CRIT, ngx_cycle->log, 0,
                  "mcp sse: worker process %P died while it changed "
                  "mcp_sse_zone \"%V\", which is made anew: open sessions go "
                  "on, ended ids and cached look-ups are forgotten",
                  dead, &zone->conf->zone_name);

    zone->root->phase = NGX_HTTP_MCP_SSE_ZONE_DAMAGED;

    ngx_http_mcp_sse_zone_forget(zone->root);
    ngx_http_mcp_sse_repair_workers(zone, dead);

    n = ngx_http_mcp_sse_shm_wakes(zone, wakes);

    for (i = 0; i < n; i++) {

        if (ngx_http_mcp_sse_wakeup_send(wakes[i], ngx_cycle->log)
            == NGX_DECLINED)
        {
            ngx_http_mcp_sse_shm_dead(zone, wakes[i]);
        }
    }
}


/*
 * Their records are not in the heap, but linked.  One that has died without
 * a wake-up is found as ever, and waited for until then.
 */

static void
ngx_http_mcp_sse_repair_workers(ngx_http_mcp_sse_zone_t *zone, ngx_pid_t dead)
{
    ngx_uint_t                i;
    ngx_http_mcp_sse_peer_t  *peer;

    peer = zone->root->workers;

    for (i = 0; i < NGX_HTTP_MCP_SSE_MAX_PEERS; i++) {

        if (peer[i].pid == 0) {
            ngx_queue_insert_tail(&zone->root->free_peers, &peer[i].queue);
            continue;
        }

        ngx_queue_insert_tail(&zone->root->peers, &peer[i].queue);
        peer[i].phase = NGX_HTTP_MCP_SSE_ZONE_DAMAGED;

        if (peer[i].pid == dead) {
            ngx_http_mcp_sse_shm_dead(zone, peer[i].id);
        }
    }
}


/*
 * The heap is as it was: nothing is changed in it before all have let go.
 */

static void
ngx_http_mcp_sse_repair_let_go(ngx_http_mcp_sse_peer_t *self)
{
    ngx_http_mcp_sse_bus_each(ngx_http_mcp_sse_repair_take);

    ngx_queue_init(&self->records);
    ngx_queue_init(&self->ready);
    ngx_queue_init(&self->taken);
    ngx_queue_init(&self->filling);

    self->wake_at = 0;
    self->posted = 0;
    self->phase = NGX_HTTP_MCP_SSE_ZONE_EMPTY;

    ngx_http_mcp_sse_repair_again = 1;

    ngx_http_mcp_sse_tick_set(&ngx_http_mcp_sse_repair_timer, 0);
}


static void
ngx_http_mcp_sse_repair_take(ngx_http_mcp_sse_session_t *s)
{
    ngx_http_mcp_sse_record_t  *record;

    record = s->record;

    if (record == NULL) {
        return;
    }

    if (ngx_http_mcp_sse_inbox_rescue(ngx_http_mcp_sse_zone(), s) != NGX_OK) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "mcp sse: messages of session %*s are lost with the "
                      "zone, its stream is ended",
                      (size_t) NGX_HTTP_MCP_SSE_HASH_LEN, s->sid.hash);

        s->ends = NGX_HTTP_MCP_SSE_NO_MEMORY;

    } else if (record->replaced) {
        s->ends = NGX_HTTP_MCP_SSE_REPLACED;

    } else if (record->evicted) {
        s->ends = NGX_HTTP_MCP_SSE_EVICTED;
    }

    s->accepted = record->messages;
    s->record = NULL;
}


static void
ngx_http_mcp_sse_repair_next(ngx_http_mcp_sse_zone_t *zone)
{
    ngx_uint_t                phase;
    ngx_queue_t              *q;
    ngx_http_mcp_sse_peer_t  *peer;

    phase = NGX_HTTP_MCP_SSE_ZONE_WHOLE;

    for (q = ngx_queue_head(&zone->root->peers);
         q != ngx_queue_sentinel(&zone->root->peers);
         q = ngx_queue_next(q))
    {
        peer = ngx_queue_data(q, ngx_http_mcp_sse_peer_t, queue);
        phase = ngx_min(phase, peer->phase);
    }

    if (zone->root->phase == NGX_HTTP_MCP_SSE_ZONE_DAMAGED
        && phase != NGX_HTTP_MCP_SSE_ZONE_DAMAGED)
    {
        ngx_http_mcp_sse_zone_heap(zone);
    }

    if (phase == NGX_HTTP_MCP_SSE_ZONE_WHOLE) {
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
ngx_http_mcp_sse_repair_sessions(void *data)
{
    ngx_http_mcp_sse_peer_t  *self;
    ngx_http_mcp_sse_zone_t  *zone;

    self = ngx_http_mcp_sse_shm_self();

    if (self == NULL) {
        return;
    }

    zone = ngx_http_mcp_sse_zone();

    ngx_http_mcp_sse_repair_again = 0;

    ngx_http_mcp_sse_bus_each(ngx_http_mcp_sse_repair_session);

    ngx_http_mcp_sse_zone_lock(zone);

    if (zone->root->phase != NGX_HTTP_MCP_SSE_ZONE_DAMAGED
        && !ngx_http_mcp_sse_repair_again)
    {
        self->phase = NGX_HTTP_MCP_SSE_ZONE_WHOLE;
        ngx_http_mcp_sse_repair_next(zone);
    }

    ngx_http_mcp_sse_zone_unlock(zone);

    if (self->phase != NGX_HTTP_MCP_SSE_ZONE_WHOLE) {
        ngx_http_mcp_sse_tick_set(&ngx_http_mcp_sse_repair_timer,
                                  NGX_HTTP_MCP_SSE_REPAIR_STEP);
    }
}


static void
ngx_http_mcp_sse_repair_session(ngx_http_mcp_sse_session_t *s)
{
    ngx_int_t  rc;

    if (s->ends) {
        ngx_http_mcp_sse_repair_owner->close(s, s->ends);
        return;
    }

    if (s->record) {
        return;
    }

    rc = ngx_http_mcp_sse_registry_enter(s, s->user_key,
                                         NGX_HTTP_MCP_SSE_AGAIN);

    if (rc != NGX_OK) {
        ngx_http_mcp_sse_repair_owner->close(s,
                                  rc == NGX_ABORT ? NGX_HTTP_MCP_SSE_REPLACED
                                                : NGX_HTTP_MCP_SSE_NO_MEMORY);
        return;
    }

    /* a zone that was damaged just then, whatever it is by now */

    if (s->record == NULL) {
        ngx_http_mcp_sse_repair_again = 1;
    }
}

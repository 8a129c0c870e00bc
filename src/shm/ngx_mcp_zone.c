
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Shared memory zone: layout, lock, allocation.
 *
 * The zone is owned by the cycles of nginx and lives as long as one of them
 * uses it.  It holds the root, the records of the workers, and an inner slab
 * pool for all that is allocated and freed later.  After a worker has died
 * while it held the mutex, only the inner pool is initialized again: see
 * ngx_mcp_recovery.c.
 */

#include "ngx_mcp_zone.h"
#include "ngx_mcp_recovery.h"
#include "ngx_mcp_workers_dead.h"


/*
 * A worker that waits for the mutex yields at first, then sleeps, twice as long
 * each time.  A section takes microseconds: after a second, the holder has been
 * stopped or is dead.
 */

#define NGX_MCP_ZONE_YIELDS        1024
#define NGX_MCP_ZONE_MAX_SLEEP_MS  16
#define NGX_MCP_ZONE_CHECK_MS      1000

#define NGX_MCP_ZONE_LOG_INTERVAL  10        /* seconds */


static void ngx_mcp_zone_wait(ngx_mcp_zone_t *zone);
static void ngx_mcp_zone_holder(ngx_mcp_zone_t *zone, ngx_uint_t first);


ngx_mcp_zone_t *
ngx_mcp_zone(void)
{
    ngx_http_conf_ctx_t  *ctx;
    ngx_mcp_main_conf_t  *conf;

    ctx = (ngx_http_conf_ctx_t *) ngx_get_conf(ngx_cycle->conf_ctx,
                                               ngx_http_module);
    conf = ngx_http_get_module_main_conf(ctx, ngx_http_mcp_sse_module);

    return conf->zone->data;
}


void
ngx_mcp_zone_lock(ngx_mcp_zone_t *zone)
{
    ngx_pid_t             dead;
    ngx_mcp_zone_root_t  *root;

    root = zone->root;

    ngx_mcp_zone_wait(zone);

    dead = (ngx_pid_t) root->lock_owner;
    root->lock_owner = ngx_pid;

    ngx_memory_barrier();

    if (dead || root->phase != NGX_MCP_ZONE_READY) {
        ngx_mcp_recovery_locked(zone, dead);
    }
}


/*
 * Locks the mutex.  ngx_shmtx_lock() would wait for the semaphore for ever if
 * the holder has died: the master unlocks the zones of its current cycle only
 * (ngx_unlock_mutexes()), and a zone that a reload has replaced must be
 * unlocked by a worker that still uses it.
 */

static void
ngx_mcp_zone_wait(ngx_mcp_zone_t *zone)
{
    ngx_uint_t  n, checks;
    ngx_msec_t  sleep, slept;

    checks = 0;
    slept = 0;
    sleep = 1;

    for (n = 0; !ngx_shmtx_trylock(&zone->shpool->mutex); n++) {

        if (n < NGX_MCP_ZONE_YIELDS) {
            ngx_sched_yield();
            continue;
        }

        ngx_msleep(sleep);

        slept += sleep;
        sleep = ngx_min(2 * sleep, NGX_MCP_ZONE_MAX_SLEEP_MS);

        if (slept >= NGX_MCP_ZONE_CHECK_MS) {
            ngx_mcp_zone_holder(zone, checks++ == 0);
            slept = 0;
        }
    }
}


/*
 * Unlocks the mutex if its holder is dead.  The next one that locks it finds
 * root->lock_owner set, and recovery runs.
 */

static void
ngx_mcp_zone_holder(ngx_mcp_zone_t *zone, ngx_uint_t first)
{
    ngx_pid_t     pid;
    ngx_shmtx_t  *mutex;

    mutex = &zone->shpool->mutex;
    pid = (ngx_pid_t) *mutex->lock;

    if (pid == 0) {
        return;
    }

    if (ngx_mcp_workers_dead_holder(zone, pid)) {
        (void) ngx_shmtx_force_unlock(mutex, pid);
        return;
    }

    if (first) {
        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "mcp sse: worker process %P has locked mcp_sse_zone "
                      "\"%V\" for a second, this worker waits for it",
                      pid, &zone->conf->zone_name);
    }
}


void
ngx_mcp_zone_unlock(ngx_mcp_zone_t *zone)
{
    ngx_memory_barrier();

    zone->root->lock_owner = 0;

    ngx_shmtx_unlock(&zone->shpool->mutex);
}


void
ngx_mcp_zone_pool_locked(ngx_mcp_zone_t *zone)
{
    ngx_slab_pool_t  *pool;

    pool = zone->root->pool;

    ngx_slab_init(pool);

    /* ngx_mcp_zone_nomem() logs instead, at a limited rate */

    pool->log_ctx = zone->shpool->log_ctx;
    pool->log_nomem = 0;
}


void
ngx_mcp_zone_reset_locked(ngx_mcp_zone_root_t *root)
{
    ngx_rbtree_init(&root->records, &root->records_sentinel,
                    ngx_rbtree_insert_value);
    ngx_rbtree_init(&root->users, &root->users_sentinel,
                    ngx_rbtree_insert_value);
    ngx_rbtree_init(&root->leftovers, &root->leftovers_sentinel,
                    ngx_rbtree_insert_value);
    ngx_rbtree_init(&root->in_flight, &root->in_flight_sentinel,
                    ngx_rbtree_insert_value);
    ngx_rbtree_init(&root->place_users, &root->place_users_sentinel,
                    ngx_rbtree_insert_value);
    ngx_rbtree_init(&root->auth_entries, &root->auth_entries_sentinel,
                    ngx_rbtree_insert_value);
    ngx_rbtree_init(&root->discovered_entries, &root->discovered_sentinel,
                    ngx_rbtree_insert_value);

    ngx_rbtree_init(&root->revoked, &root->revoked_sentinel,
                    ngx_rbtree_insert_value);
    ngx_rbtree_init(&root->revoked_ends, &root->revoked_ends_sentinel,
                    ngx_rbtree_insert_value);
    ngx_rbtree_init(&root->revoked_users, &root->revoked_users_sentinel,
                    ngx_rbtree_insert_value);
    ngx_rbtree_init(&root->revoked_shares, &root->revoked_shares_sentinel,
                    ngx_rbtree_insert_value);

    ngx_rbtree_init(&root->subscriptions, &root->subscriptions_sentinel,
                    ngx_rbtree_insert_value);
    ngx_rbtree_init(&root->subscriptions_ends,
                    &root->subscriptions_ends_sentinel,
                    ngx_rbtree_insert_value);
    ngx_rbtree_init(&root->subscriptions_users,
                    &root->subscriptions_users_sentinel,
                    ngx_rbtree_insert_value);

    ngx_queue_init(&root->announcements);
    ngx_queue_init(&root->workers);
    ngx_queue_init(&root->free_workers);
    ngx_queue_init(&root->tombstones);
    ngx_queue_init(&root->leftovers_left);
    ngx_queue_init(&root->place_ring);
    ngx_queue_init(&root->good);
    ngx_queue_init(&root->bad);
    ngx_queue_init(&root->discovered);
    ngx_queue_init(&root->subscriptions_used);

    root->nrecords = 0;
    root->ntombstones = 0;
    root->leftovers_size = 0;
    root->inbox_bytes = 0;
    root->nin_flight = 0;
    root->ngood = 0;
    root->nbad = 0;
    root->discovered_size = 0;
    root->subscriptions_size = 0;
    root->nannouncements = 0;
    root->announcements_size = 0;
    root->nrevoked = 0;
    root->nrevoked_users = 0;
}


void *
ngx_mcp_zone_alloc_locked(ngx_mcp_zone_t *zone, size_t size)
{
    /* the old pool must not change before all workers have released it */

    if (zone->root->phase == NGX_MCP_ZONE_DIRTY) {
        return NULL;
    }

    return ngx_slab_alloc_locked(zone->root->pool, size);
}


void *
ngx_mcp_zone_calloc_locked(ngx_mcp_zone_t *zone, size_t size)
{
    void  *p;

    p = ngx_mcp_zone_alloc_locked(zone, size);

    if (p) {
        ngx_memzero(p, size);
    }

    return p;
}


void
ngx_mcp_zone_free_locked(ngx_mcp_zone_t *zone, void *p)
{
    ngx_slab_free_locked(zone->root->pool, p);
}


ngx_uint_t
ngx_mcp_zone_log_once(ngx_atomic_t *last, time_t sec)
{
    ngx_atomic_uint_t  now, logged;

    logged = *last;
    now = ngx_time();

    /* "now" is less than "logged" after the clock was set back */

    return (now >= logged + sec || now < logged)
           && ngx_atomic_cmp_set(last, logged, now);
}


void
ngx_mcp_zone_nomem(ngx_mcp_zone_t *zone, ngx_log_t *log)
{
    ngx_mcp_zone_root_t  *root;

    root = zone->root;

    if (root->phase == NGX_MCP_ZONE_DIRTY
        || !ngx_mcp_zone_log_once(&root->nomem_logged_at,
                                  NGX_MCP_ZONE_LOG_INTERVAL))
    {
        return;
    }

    /* read without the mutex: the numbers are for a person */

    ngx_log_error(NGX_LOG_WARN, log, 0,
                  "mcp sse: mcp_sse_zone \"%V\" of %uzk is full: "
                  "sessions %ui (without a stream %ui), bytes in inboxes %uz, "
                  "requests in flight %ui, ended session ids %ui, cached "
                  "look-ups %ui, announcements %ui; set a larger size in "
                  "\"mcp_sse_zone\"",
                  &zone->conf->zone_name, zone->size / 1024,
                  root->nrecords, root->ntombstones, root->inbox_bytes,
                  root->nin_flight, root->nrevoked, root->ngood + root->nbad,
                  root->nannouncements);
}


/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * How many look-ups run in all workers together: each of them holds a thread of
 * Frappe.
 *
 * Each worker has the number of its own in its record, and the sum is taken
 * under the mutex when one is to start.  So the number is right after the death
 * of a worker, whose record is freed, and after recovery of the zone, which
 * keeps the records.
 */

#include "ngx_mcp_lookups.h"
#include "ngx_mcp_workers.h"


/*
 * A look-up takes 10 seconds at most (docs/PROTOCOL.md 2.12): a worker that has
 * not started one for so long was stopped, and its look-ups have ended.
 */

#define NGX_MCP_LOOKUPS_MAX_AGE_MS  20000

/* a worker that waits tries every 20 ms, else it is stopped or hangs */

#define NGX_MCP_LOOKUPS_TRIES_MS    200


static ngx_uint_t ngx_mcp_lookups_has_place_locked(ngx_mcp_zone_t *zone,
    ngx_mcp_worker_t *self, ngx_uint_t max);
static ngx_uint_t ngx_mcp_lookups_others_wait_locked(ngx_mcp_zone_t *zone,
    ngx_mcp_worker_t *self, ngx_uint_t share);
static ngx_uint_t ngx_mcp_lookups_before_locked(ngx_mcp_zone_t *zone,
    ngx_mcp_worker_t *self);
static ngx_uint_t ngx_mcp_lookups_run(ngx_mcp_worker_t *worker);


ngx_uint_t
ngx_mcp_lookups_take(ngx_uint_t max)
{
    ngx_uint_t         taken;
    ngx_mcp_zone_t    *zone;
    ngx_mcp_worker_t  *self;

    zone = ngx_mcp_zone();
    taken = 0;

    ngx_mcp_zone_lock(zone);

    self = ngx_mcp_workers_self();

    if (self) {
        self->lookup_tried_at = ngx_current_msec;
        taken = ngx_mcp_lookups_has_place_locked(zone, self, max);
    }

    if (taken) {
        self->lookups++;
        self->lookup_at = ngx_current_msec;
    }

    ngx_mcp_zone_unlock(zone);

    return taken;
}


static ngx_uint_t
ngx_mcp_lookups_has_place_locked(ngx_mcp_zone_t *zone, ngx_mcp_worker_t *self,
    ngx_uint_t max)
{
    ngx_uint_t         all, workers, share;
    ngx_queue_t       *q;
    ngx_mcp_worker_t  *worker;

    all = 0;
    workers = 1;

    for (q = ngx_queue_head(&zone->root->workers);
         q != ngx_queue_sentinel(&zone->root->workers);
         q = ngx_queue_next(q))
    {
        worker = ngx_queue_data(q, ngx_mcp_worker_t, queue);

        all += ngx_mcp_lookups_run(worker);

        if (worker != self
            && (worker->lookups_waiting || ngx_mcp_lookups_run(worker)))
        {
            workers++;
        }
    }

    if (all >= max) {
        return 0;
    }

    share = ngx_max(max / workers, 1);

    if (self->lookups >= share
        && ngx_mcp_lookups_others_wait_locked(zone, self, share))
    {
        return 0;
    }

    return ngx_mcp_lookups_before_locked(zone, self) < max - all;
}


/*
 * Returns whether another worker waits that has less than its share.
 */

static ngx_uint_t
ngx_mcp_lookups_others_wait_locked(ngx_mcp_zone_t *zone,
    ngx_mcp_worker_t *self, ngx_uint_t share)
{
    ngx_queue_t       *q;
    ngx_mcp_worker_t  *worker;

    for (q = ngx_queue_head(&zone->root->workers);
         q != ngx_queue_sentinel(&zone->root->workers);
         q = ngx_queue_next(q))
    {
        worker = ngx_queue_data(q, ngx_mcp_worker_t, queue);

        if (worker != self
            && worker->lookups_waiting
            && ngx_mcp_lookups_run(worker) < share)
        {
            return 1;
        }
    }

    return 0;
}


/*
 * Returns how many workers wait whose turn is before that of this one, which
 * sees first that it has a free place again.
 */

static ngx_uint_t
ngx_mcp_lookups_before_locked(ngx_mcp_zone_t *zone, ngx_mcp_worker_t *self)
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

        if (worker->lookups_waiting
            && (ngx_msec_int_t) (ngx_current_msec - worker->lookup_tried_at)
               < NGX_MCP_LOOKUPS_TRIES_MS
            && (ngx_msec_int_t) (worker->lookup_at - self->lookup_at) < 0
            && ngx_mcp_lookups_run(worker) <= self->lookups)
        {
            n++;
        }
    }

    return n;
}


static ngx_uint_t
ngx_mcp_lookups_run(ngx_mcp_worker_t *worker)
{
    if (worker->lookups
        && (ngx_msec_int_t) (ngx_current_msec - worker->lookup_at)
           > NGX_MCP_LOOKUPS_MAX_AGE_MS)
    {
        return 0;
    }

    return worker->lookups;
}


void
ngx_mcp_lookups_release(void)
{
    ngx_mcp_worker_t  *self;

    self = ngx_mcp_workers_self();

    if (self) {
        (void) ngx_atomic_fetch_add(&self->lookups, -1);
    }
}


void
ngx_mcp_lookups_wait(ngx_uint_t n)
{
    ngx_mcp_worker_t  *self;

    self = ngx_mcp_workers_self();

    if (self) {
        self->lookups_waiting = n;
    }
}

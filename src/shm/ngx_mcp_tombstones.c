
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Tombstones: the records of sessions that have lost their stream.
 *
 * A tombstone is owned by the zone.  It is freed when its time is over, by the
 * worker that looks for its key or sweeps, when a new stream takes its session
 * over, or when its user leaves more of them than he may have.
 */

#include "ngx_mcp_tombstones.h"
#include "ngx_mcp_leftovers.h"
#include "ngx_mcp_registry.h"


void
ngx_mcp_tombstones_add_locked(ngx_mcp_zone_t *zone,
    ngx_mcp_session_record_t *record, ngx_msec_t grace, ngx_uint_t max)
{
    ngx_queue_t               *q;
    ngx_mcp_user_record_t     *user;
    ngx_mcp_session_record_t  *oldest;

    if (record->queued) {
        ngx_queue_remove(&record->ready);
        record->queued = 0;
    }

    user = record->user;

    ngx_queue_remove(&record->user_queue);
    user->count--;
    ngx_queue_insert_tail(&user->tombstones, &record->user_queue);
    user->ntombstones++;

    ngx_queue_remove(&record->queue);
    ngx_queue_insert_tail(&zone->root->tombstones, &record->queue);
    zone->root->ntombstones++;

    record->owner = NULL;
    record->active = ngx_current_msec + grace;
    record->tombstone = ++zone->root->last_tombstone;

    while (user->ntombstones > max) {
        q = ngx_queue_head(&user->tombstones);
        oldest = ngx_queue_data(q, ngx_mcp_session_record_t, user_queue);

        ngx_mcp_leftovers_forget_all_locked(zone, oldest->key);
        ngx_mcp_registry_free_locked(zone, oldest);
    }
}


void
ngx_mcp_tombstones_changed(u_char *key, ngx_uint_t number, ngx_uint_t changed)
{
    ngx_mcp_zone_t            *zone;
    ngx_mcp_session_record_t  *record;

    zone = ngx_mcp_zone();

    ngx_mcp_zone_lock(zone);

    record = ngx_mcp_registry_find_locked(zone, key);

    if (record && record->owner == NULL && record->tombstone == number) {
        record->changed |= changed;
    }

    ngx_mcp_zone_unlock(zone);
}


void
ngx_mcp_tombstones_expire_locked(ngx_mcp_zone_t *zone)
{
    ngx_queue_t               *q, *next;
    ngx_mcp_session_record_t  *record;

    for (q = ngx_queue_head(&zone->root->tombstones);
         q != ngx_queue_sentinel(&zone->root->tombstones);
         q = next)
    {
        next = ngx_queue_next(q);

        record = ngx_queue_data(q, ngx_mcp_session_record_t, queue);

        if ((ngx_msec_int_t) (ngx_current_msec - record->active) >= 0) {
            ngx_mcp_registry_free_locked(zone, record);
        }
    }
}

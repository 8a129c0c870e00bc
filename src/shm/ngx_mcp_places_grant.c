
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * The counts of places in the zone, and whose turn it is.
 *
 * An entry is owned by its worker, the record of a user by its entries: the
 * last one frees it.  See ngx_mcp_places.c.
 */

#include "ngx_mcp_places_grant.h"
#include "ngx_mcp_workers.h"


/* a worker that has not taken a place for that time is stopped or hangs */

#define NGX_MCP_PLACES_TAKE_MS      2000

/*
 * In recovery the users of other workers are not entered yet.  A worker that
 * is stopped must not keep the others from calling Frappe.
 */

#define NGX_MCP_PLACES_RECOVERY_MS  2000


static ngx_mcp_place_user_record_t *ngx_mcp_places_record_locked(
    ngx_mcp_zone_t *zone, u_char *key);
static void ngx_mcp_places_record_free_locked(ngx_mcp_zone_t *zone,
    ngx_mcp_place_user_record_t *record);
static ngx_mcp_place_entry_t *ngx_mcp_places_next_locked(
    ngx_mcp_zone_t *zone);
static void ngx_mcp_places_grant_one_locked(ngx_mcp_zone_t *zone,
    ngx_mcp_place_entry_t *entry);
static void ngx_mcp_places_ungrant_locked(ngx_mcp_place_entry_t *entry,
    ngx_uint_t n);
static void ngx_mcp_places_unwait_locked(ngx_mcp_place_entry_t *entry,
    ngx_uint_t n);
static void ngx_mcp_places_entry_free_locked(ngx_mcp_zone_t *zone,
    ngx_mcp_place_entry_t *entry);


ngx_mcp_place_entry_t *
ngx_mcp_places_entry_locked(ngx_mcp_zone_t *zone, ngx_mcp_place_user_t *user)
{
    ngx_mcp_worker_t             *self;
    ngx_mcp_place_entry_t        *entry;
    ngx_mcp_place_user_record_t  *record;

    record = ngx_mcp_places_record_locked(zone, user->key);
    if (record == NULL) {
        return NULL;
    }

    entry = ngx_mcp_zone_calloc_locked(zone, sizeof(ngx_mcp_place_entry_t));

    if (entry == NULL) {
        ngx_mcp_places_record_free_locked(zone, record);
        return NULL;
    }

    self = ngx_mcp_workers_self();

    entry->user = record;
    entry->worker = self;
    entry->local = user;
    entry->running = user->running;
    record->running += user->running;

    ngx_queue_insert_tail(&record->entries, &entry->queue);
    ngx_queue_insert_tail(&self->place_entries, &entry->owned);

    ngx_mcp_places_wait_locked(zone, entry, user->waiting);

    return entry;
}


/*
 * Finds or makes the record of a user.
 */

static ngx_mcp_place_user_record_t *
ngx_mcp_places_record_locked(ngx_mcp_zone_t *zone, u_char *key)
{
    ngx_rbtree_node_t            *node;
    ngx_mcp_place_user_record_t  *record;

    node = ngx_mcp_tree_find(&zone->root->place_users, key,
                             offsetof(ngx_mcp_place_user_record_t, key));
    if (node) {
        return (ngx_mcp_place_user_record_t *)
                   ((u_char *) node
                    - offsetof(ngx_mcp_place_user_record_t, node));
    }

    record = ngx_mcp_zone_calloc_locked(zone,
                                        sizeof(ngx_mcp_place_user_record_t));
    if (record == NULL) {
        return NULL;
    }

    ngx_memcpy(record->key, key, NGX_MCP_DIGEST_LEN);
    ngx_queue_init(&record->entries);
    ngx_mcp_tree_insert(&zone->root->place_users, &record->node, record->key);

    return record;
}


static void
ngx_mcp_places_record_free_locked(ngx_mcp_zone_t *zone,
    ngx_mcp_place_user_record_t *record)
{
    if (ngx_queue_empty(&record->entries)) {
        ngx_rbtree_delete(&zone->root->place_users, &record->node);
        ngx_mcp_zone_free_locked(zone, record);
    }
}


ngx_uint_t
ngx_mcp_places_free_locked(ngx_mcp_zone_t *zone)
{
    ngx_uint_t            taken;
    ngx_queue_t          *q;
    ngx_mcp_worker_t     *worker;
    ngx_mcp_zone_root_t  *root;

    root = zone->root;

    if (root->phase != NGX_MCP_ZONE_READY
        && (ngx_msec_int_t) (ngx_current_msec - root->recovery_at)
           < NGX_MCP_PLACES_RECOVERY_MS)
    {
        return 0;
    }

    taken = 0;

    for (q = ngx_queue_head(&root->workers);
         q != ngx_queue_sentinel(&root->workers);
         q = ngx_queue_next(q))
    {
        worker = ngx_queue_data(q, ngx_mcp_worker_t, queue);
        taken += worker->places + worker->calls_granted;
    }

    /* 0: a newer cycle is without mcp_sse_backend_calls */

    return root->backend_calls == 0 || taken < root->backend_calls;
}


ngx_uint_t
ngx_mcp_places_may_run_locked(ngx_mcp_zone_t *zone,
    ngx_mcp_place_user_record_t *record)
{
    return zone->root->backend_calls == 0
           || record->running < zone->root->backend_calls_per_user;
}


void
ngx_mcp_places_wait_locked(ngx_mcp_zone_t *zone, ngx_mcp_place_entry_t *entry,
    ngx_uint_t n)
{
    if (n && entry->user->waiting == 0) {
        ngx_queue_insert_tail(&zone->root->place_ring, &entry->user->ring);
    }

    entry->waiting += n;
    entry->user->waiting += n;
}


static void
ngx_mcp_places_unwait_locked(ngx_mcp_place_entry_t *entry, ngx_uint_t n)
{
    entry->waiting -= n;
    entry->user->waiting -= n;

    if (n && entry->user->waiting == 0) {
        ngx_queue_remove(&entry->user->ring);
    }
}


void
ngx_mcp_places_accept_locked(ngx_mcp_place_entry_t *entry)
{
    ngx_mcp_places_ungrant_locked(entry, 1);

    entry->running++;
    entry->user->running++;
}


ngx_mcp_place_entry_t *
ngx_mcp_places_left_locked(ngx_mcp_zone_t *zone, ngx_mcp_place_entry_t *entry)
{
    if (entry->waiting) {
        ngx_mcp_places_unwait_locked(entry, 1);

    } else {
        ngx_mcp_places_ungrant_locked(entry, 1);
    }

    return ngx_mcp_places_ended_locked(zone, entry);
}


ngx_mcp_place_entry_t *
ngx_mcp_places_ended_locked(ngx_mcp_zone_t *zone, ngx_mcp_place_entry_t *entry)
{
    if (entry->waiting || entry->granted || entry->running) {
        return entry;
    }

    ngx_mcp_places_entry_free_locked(zone, entry);

    return NULL;
}


ngx_uint_t
ngx_mcp_places_grant_locked(ngx_mcp_zone_t *zone)
{
    ngx_uint_t              granted;
    ngx_mcp_place_entry_t  *entry;

    granted = 0;

    while (!ngx_queue_empty(&zone->root->place_ring)
           && ngx_mcp_places_free_locked(zone))
    {
        entry = ngx_mcp_places_next_locked(zone);

        if (entry == NULL) {
            break;
        }

        ngx_mcp_places_grant_one_locked(zone, entry);
        granted = 1;
    }

    return granted;
}


/*
 * Returns the entry whose turn it is, or NULL.
 */

static ngx_mcp_place_entry_t *
ngx_mcp_places_next_locked(ngx_mcp_zone_t *zone)
{
    ngx_queue_t                  *q, *e;
    ngx_mcp_place_entry_t        *entry;
    ngx_mcp_place_user_record_t  *record;

    for (q = ngx_queue_head(&zone->root->place_ring);
         q != ngx_queue_sentinel(&zone->root->place_ring);
         q = ngx_queue_next(q))
    {
        record = ngx_queue_data(q, ngx_mcp_place_user_record_t, ring);

        if (!ngx_mcp_places_may_run_locked(zone, record)) {
            continue;
        }

        for (e = ngx_queue_head(&record->entries);
             e != ngx_queue_sentinel(&record->entries);
             e = ngx_queue_next(e))
        {
            entry = ngx_queue_data(e, ngx_mcp_place_entry_t, queue);

            if (entry->waiting && !entry->worker->late) {
                return entry;
            }
        }
    }

    return NULL;
}


static void
ngx_mcp_places_grant_one_locked(ngx_mcp_zone_t *zone,
    ngx_mcp_place_entry_t *entry)
{
    ngx_mcp_place_user_record_t  *record;

    record = entry->user;

    ngx_mcp_places_unwait_locked(entry, 1);

    if (entry->granted++ == 0) {
        entry->granted_at = ngx_current_msec;
        ngx_queue_insert_tail(&entry->worker->place_grants, &entry->grants);
    }

    entry->worker->calls_granted++;
    record->running++;

    /* behind the other users, and the other workers of this one */

    if (record->waiting) {
        ngx_queue_remove(&record->ring);
        ngx_queue_insert_tail(&zone->root->place_ring, &record->ring);
    }

    ngx_queue_remove(&entry->queue);
    ngx_queue_insert_tail(&record->entries, &entry->queue);
}


static void
ngx_mcp_places_ungrant_locked(ngx_mcp_place_entry_t *entry, ngx_uint_t n)
{
    entry->granted -= n;
    entry->worker->calls_granted -= n;
    entry->user->running -= n;

    if (n && entry->granted == 0) {
        ngx_queue_remove(&entry->grants);
    }
}


void
ngx_mcp_places_withdraw_locked(ngx_mcp_zone_t *zone)
{
    ngx_uint_t              n;
    ngx_queue_t            *q, *g;
    ngx_mcp_worker_t       *worker;
    ngx_mcp_place_entry_t  *entry;

    for (q = ngx_queue_head(&zone->root->workers);
         q != ngx_queue_sentinel(&zone->root->workers);
         q = ngx_queue_next(q))
    {
        worker = ngx_queue_data(q, ngx_mcp_worker_t, queue);

        while (!ngx_queue_empty(&worker->place_grants)) {
            g = ngx_queue_head(&worker->place_grants);
            entry = ngx_queue_data(g, ngx_mcp_place_entry_t, grants);

            if ((ngx_msec_int_t) (ngx_current_msec - entry->granted_at)
                < NGX_MCP_PLACES_TAKE_MS)
            {
                break;
            }

            n = entry->granted;

            ngx_mcp_places_ungrant_locked(entry, n);
            ngx_mcp_places_wait_locked(zone, entry, n);

            worker->late = 1;
        }
    }
}


void
ngx_mcp_places_remove_locked(ngx_mcp_zone_t *zone, ngx_mcp_worker_t *worker)
{
    ngx_queue_t            *q;
    ngx_mcp_place_entry_t  *entry;

    while (!ngx_queue_empty(&worker->place_entries)) {
        q = ngx_queue_head(&worker->place_entries);
        entry = ngx_queue_data(q, ngx_mcp_place_entry_t, owned);

        ngx_mcp_places_unwait_locked(entry, entry->waiting);
        ngx_mcp_places_ungrant_locked(entry, entry->granted);
        entry->user->running -= entry->running;

        ngx_mcp_places_entry_free_locked(zone, entry);
    }
}


/*
 * Frees an entry without calls, and the record of its user with the last one.
 */

static void
ngx_mcp_places_entry_free_locked(ngx_mcp_zone_t *zone,
    ngx_mcp_place_entry_t *entry)
{
    ngx_queue_remove(&entry->queue);
    ngx_queue_remove(&entry->owned);

    ngx_mcp_places_record_free_locked(zone, entry->user);
    ngx_mcp_zone_free_locked(zone, entry);
}


/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Requests in flight of Streamable HTTP, for all workers.
 *
 * The zone has a record of each, found by a hash of session and id.  The
 * record is owned by the worker that runs the request: it is freed with the
 * request's id in the memory of that worker, or when the worker is found dead.
 * In recovery of the zone the records are lost, and made again from the ids.
 */

#include "ngx_mcp_in_flight.h"
#include "ngx_mcp_registry.h"
#include "ngx_mcp_workers.h"


/* the part of the zone that records may take */

#define NGX_MCP_IN_FLIGHT_MAX_PART  8


static ngx_int_t ngx_mcp_in_flight_enter_locked(ngx_mcp_zone_t *zone,
    ngx_mcp_in_flight_t *id);
static ngx_mcp_in_flight_record_t *ngx_mcp_in_flight_record_locked(
    ngx_mcp_zone_t *zone, u_char *key);
static void ngx_mcp_in_flight_free_locked(ngx_mcp_zone_t *zone,
    ngx_mcp_in_flight_record_t *record);


/* that this worker has entered */

static ngx_queue_t  ngx_mcp_in_flights = {
    &ngx_mcp_in_flights, &ngx_mcp_in_flights
};


ngx_int_t
ngx_mcp_in_flight_add(ngx_queue_t *ids, u_char *key)
{
    ngx_mcp_in_flight_t  *id;

    id = ngx_calloc(sizeof(ngx_mcp_in_flight_t), ngx_cycle->log);
    if (id == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(id->key, key, NGX_MCP_DIGEST_LEN);
    ngx_queue_insert_tail(ids, &id->siblings);

    return NGX_OK;
}


ngx_int_t
ngx_mcp_in_flight_enter(ngx_queue_t *ids, u_char *session, ngx_uint_t n)
{
    ngx_int_t        rc;
    ngx_queue_t     *q;
    ngx_mcp_zone_t  *zone;

    zone = ngx_mcp_zone();

    rc = NGX_OK;

    ngx_mcp_zone_lock(zone);

    for (q = ngx_queue_head(ids);
         q != ngx_queue_sentinel(ids) && rc == NGX_OK;
         q = ngx_queue_next(q))
    {
        rc = ngx_mcp_in_flight_enter_locked(zone,
                 ngx_queue_data(q, ngx_mcp_in_flight_t, siblings));
    }

    ngx_mcp_registry_active_locked(zone, session, n);

    ngx_mcp_zone_unlock(zone);

    if (rc == NGX_DECLINED) {
        ngx_mcp_zone_nomem(zone, ngx_cycle->log);
    }

    return rc;
}


static ngx_int_t
ngx_mcp_in_flight_enter_locked(ngx_mcp_zone_t *zone, ngx_mcp_in_flight_t *id)
{
    if (ngx_mcp_tree_find(&zone->root->in_flight, id->key,
                          offsetof(ngx_mcp_in_flight_record_t, key)))
    {
        id->used = 1;
        return NGX_OK;
    }

    /* other workers have not entered theirs again */

    if (zone->root->phase != NGX_MCP_ZONE_READY) {
        return NGX_AGAIN;
    }

    id->record = ngx_mcp_in_flight_record_locked(zone, id->key);

    if (id->record == NULL) {
        return NGX_DECLINED;
    }

    id->entered = 1;
    ngx_queue_insert_tail(&ngx_mcp_in_flights, &id->queue);

    return NGX_OK;
}


/*
 * Returns a new record, or NULL if there is no room.
 */

static ngx_mcp_in_flight_record_t *
ngx_mcp_in_flight_record_locked(ngx_mcp_zone_t *zone, u_char *key)
{
    ngx_mcp_in_flight_record_t  *record;

    if (zone->root->nin_flight
        >= zone->size / NGX_MCP_IN_FLIGHT_MAX_PART
           / sizeof(ngx_mcp_in_flight_record_t))
    {
        return NULL;
    }

    record = ngx_mcp_zone_calloc_locked(zone,
                                        sizeof(ngx_mcp_in_flight_record_t));
    if (record == NULL) {
        return NULL;
    }

    ngx_memcpy(record->key, key, NGX_MCP_DIGEST_LEN);

    ngx_mcp_tree_insert(&zone->root->in_flight, &record->node, record->key);
    ngx_queue_insert_tail(&ngx_mcp_workers_self()->in_flight, &record->queue);
    zone->root->nin_flight++;

    return record;
}


ngx_mcp_in_flight_t *
ngx_mcp_in_flight_take(ngx_queue_t *ids)
{
    ngx_queue_t  *q;

    if (ngx_queue_empty(ids)) {
        return NULL;
    }

    q = ngx_queue_head(ids);
    ngx_queue_remove(q);

    return ngx_queue_data(q, ngx_mcp_in_flight_t, siblings);
}


void
ngx_mcp_in_flight_free(ngx_mcp_in_flight_t *id)
{
    ngx_mcp_zone_t  *zone;

    if (id == NULL) {
        return;
    }

    if (id->entered && ngx_mcp_workers_self()) {
        zone = ngx_mcp_zone();

        ngx_mcp_zone_lock(zone);

        if (id->record) {
            ngx_mcp_in_flight_free_locked(zone, id->record);
        }

        ngx_mcp_zone_unlock(zone);
    }

    if (id->entered) {
        ngx_queue_remove(&id->queue);
    }

    ngx_free(id);
}


void
ngx_mcp_in_flight_free_all(ngx_queue_t *ids)
{
    ngx_queue_t  *q, *next;

    for (q = ngx_queue_head(ids); q != ngx_queue_sentinel(ids); q = next) {
        next = ngx_queue_next(q);

        ngx_mcp_in_flight_free(ngx_queue_data(q, ngx_mcp_in_flight_t,
                                              siblings));
    }

    ngx_queue_init(ids);
}


static void
ngx_mcp_in_flight_free_locked(ngx_mcp_zone_t *zone,
    ngx_mcp_in_flight_record_t *record)
{
    ngx_rbtree_delete(&zone->root->in_flight, &record->node);
    ngx_queue_remove(&record->queue);
    zone->root->nin_flight--;

    ngx_mcp_zone_free_locked(zone, record);
}


void
ngx_mcp_in_flight_drop_locked(ngx_mcp_zone_t *zone, ngx_mcp_worker_t *worker)
{
    ngx_queue_t  *q;

    while (!ngx_queue_empty(&worker->in_flight)) {
        q = ngx_queue_head(&worker->in_flight);

        ngx_mcp_in_flight_free_locked(zone,
            ngx_queue_data(q, ngx_mcp_in_flight_record_t, queue));
    }
}


void
ngx_mcp_in_flight_release_locked(void)
{
    ngx_queue_t          *q;
    ngx_mcp_in_flight_t  *id;

    for (q = ngx_queue_head(&ngx_mcp_in_flights);
         q != ngx_queue_sentinel(&ngx_mcp_in_flights);
         q = ngx_queue_next(q))
    {
        id = ngx_queue_data(q, ngx_mcp_in_flight_t, queue);
        id->record = NULL;
    }

    ngx_queue_init(&ngx_mcp_workers_self()->in_flight);
}


void
ngx_mcp_in_flight_restore_locked(ngx_mcp_zone_t *zone)
{
    ngx_queue_t          *q;
    ngx_mcp_in_flight_t  *id;

    for (q = ngx_queue_head(&ngx_mcp_in_flights);
         q != ngx_queue_sentinel(&ngx_mcp_in_flights);
         q = ngx_queue_next(q))
    {
        id = ngx_queue_data(q, ngx_mcp_in_flight_t, queue);

        if (id->record == NULL) {
            id->record = ngx_mcp_in_flight_record_locked(zone, id->key);
        }
    }
}

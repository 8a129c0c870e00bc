
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * The inboxes of sessions in shared memory: messages on their way to the owner
 * of a session.
 *
 * An entry is in exactly one list of one worker's record at any time, so that
 * it is found and freed when that worker dies:
 *
 *     filling   the sender copies the message into it, without the mutex
 *     inbox     the entry waits for the owner of the session
 *     taken     the owner copies the message out of it, without the mutex
 */

#include "ngx_mcp_inbox.h"
#include "ngx_mcp_inbox_lost.h"
#include "ngx_mcp_registry.h"
#include "ngx_mcp_sessions.h"
#include "ngx_mcp_workers.h"
#include "ngx_mcp_workers_dead.h"
#include "ngx_mcp_wakeup.h"


static ngx_mcp_delivery_e ngx_mcp_inbox_check_locked(ngx_mcp_zone_t *zone,
    u_char *key, size_t size, ngx_uint_t n, ngx_mcp_session_record_t **found);
static ngx_mcp_inbox_entry_t *ngx_mcp_inbox_alloc_locked(ngx_mcp_zone_t *zone,
    size_t size);
static void ngx_mcp_inbox_entry_free_locked(ngx_mcp_zone_t *zone,
    ngx_mcp_inbox_entry_t *entry);
static ngx_int_t ngx_mcp_inbox_copy(ngx_mcp_session_t *s,
    ngx_mcp_inbox_entry_t *entry);
static void ngx_mcp_inbox_fill(ngx_mcp_inbox_entry_t *entry, u_char *data);
static ngx_mcp_delivery_e ngx_mcp_inbox_post_locked(ngx_mcp_zone_t *zone,
    ngx_mcp_inbox_entry_t *entry, u_char *id, ngx_uint_t *notify);
static ngx_mcp_delivery_e ngx_mcp_inbox_owner_dead(ngx_mcp_zone_t *zone,
    u_char *key, ngx_uint_t number, u_char *id);


ngx_mcp_delivery_e
ngx_mcp_inbox_deliver(u_char *key, ngx_mcp_envelope_t *env, ngx_log_t *log)
{
    u_char                     id[NGX_MCP_WORKER_ID_LEN];
    ngx_uint_t                 number, notify;
    ngx_mcp_zone_t            *zone;
    ngx_mcp_delivery_e         rc;
    ngx_mcp_inbox_entry_t     *entry;
    ngx_mcp_session_record_t  *record;

    zone = ngx_mcp_zone();

    ngx_mcp_zone_lock(zone);

    rc = ngx_mcp_inbox_check_locked(zone, key, env->size, env->nmessages,
                                    &record);

    if (rc != NGX_MCP_DELIVERY_ACCEPTED) {
        ngx_mcp_zone_unlock(zone);
        return rc;
    }

    entry = ngx_mcp_inbox_alloc_locked(zone, env->size);

    if (entry == NULL) {
        ngx_mcp_zone_unlock(zone);
        ngx_mcp_zone_nomem(zone, log);
        return NGX_MCP_DELIVERY_ZONE_FULL;
    }

    ngx_memcpy(entry->key, key, NGX_MCP_DIGEST_LEN);
    entry->nmessages = env->nmessages;
    entry->received = env->received;
    number = entry->number;

    ngx_mcp_zone_unlock(zone);

    ngx_mcp_inbox_fill(entry, env->data);

    ngx_mcp_zone_lock(zone);
    rc = ngx_mcp_inbox_post_locked(zone, entry, id, &notify);
    ngx_mcp_zone_unlock(zone);

    ngx_log_debug4(NGX_LOG_DEBUG_HTTP, log, 0,
                   "mcp inbox entry %ui: messages %ui, bytes %uz, put into "
                   "the inbox of another worker: %d",
                   number, env->nmessages, env->size, rc);

    if (rc != NGX_MCP_DELIVERY_ACCEPTED
        || !notify
        || ngx_mcp_wakeup_send(id, log) != NGX_DECLINED)
    {
        return rc;
    }

    return ngx_mcp_inbox_owner_dead(zone, key, number, id);
}


/*
 * Finds the record of the session, and checks whether its inbox and the zone
 * have room for "n" messages of "size" bytes together.
 */

static ngx_mcp_delivery_e
ngx_mcp_inbox_check_locked(ngx_mcp_zone_t *zone, u_char *key, size_t size,
    ngx_uint_t n, ngx_mcp_session_record_t **found)
{
    ngx_mcp_session_record_t  *record;

    record = ngx_mcp_registry_find_locked(zone, key);

    if (record == NULL) {

        /* during recovery, its owner may not have registered it yet */

        return zone->root->phase == NGX_MCP_ZONE_READY
               ? NGX_MCP_DELIVERY_NO_SESSION : NGX_MCP_DELIVERY_STREAM_LOST;
    }

    *found = record;

    if (record->owner == NULL || record->leaving) {
        return NGX_MCP_DELIVERY_STREAM_LOST;
    }

    /* an empty inbox takes a POST of any size */

    if (record->pending + n > record->max_inbox && record->pending) {
        return NGX_MCP_DELIVERY_INBOX_FULL;
    }

    if (record->bytes && record->bytes + size > zone->size / 8) {
        return NGX_MCP_DELIVERY_INBOX_FULL;
    }

    if (zone->root->inbox_bytes
        && zone->root->inbox_bytes + size > zone->size / 2)
    {
        return NGX_MCP_DELIVERY_ZONE_FULL;
    }

    return NGX_MCP_DELIVERY_ACCEPTED;
}


/*
 * Allocates an entry with chunks for "size" bytes, in the list "filling" of
 * this worker.  A chunk has at most a page, so that a fragmented pool takes a
 * large message.
 */

static ngx_mcp_inbox_entry_t *
ngx_mcp_inbox_alloc_locked(ngx_mcp_zone_t *zone, size_t size)
{
    size_t                  n, max;
    ngx_mcp_inbox_chunk_t  *chunk, **last;
    ngx_mcp_inbox_entry_t  *entry;

    entry = ngx_mcp_zone_calloc_locked(zone, sizeof(ngx_mcp_inbox_entry_t));
    if (entry == NULL) {
        return NULL;
    }

    entry->number = ++zone->root->last_entry;
    entry->size = size;

    ngx_queue_insert_tail(&ngx_mcp_workers_self()->filling, &entry->queue);
    zone->root->inbox_bytes += size;

    max = ngx_pagesize - sizeof(ngx_mcp_inbox_chunk_t);
    last = &entry->chunks;

    while (size) {
        n = ngx_min(size, max);

        chunk = ngx_mcp_zone_alloc_locked(zone,
                                          sizeof(ngx_mcp_inbox_chunk_t) + n);
        if (chunk == NULL) {
            ngx_queue_remove(&entry->queue);
            ngx_mcp_inbox_entry_free_locked(zone, entry);
            return NULL;
        }

        chunk->next = NULL;
        chunk->size = n;

        *last = chunk;
        last = &chunk->next;

        size -= n;
    }

    return entry;
}


/*
 * Frees an entry that is in no list.
 */

static void
ngx_mcp_inbox_entry_free_locked(ngx_mcp_zone_t *zone,
    ngx_mcp_inbox_entry_t *entry)
{
    ngx_mcp_inbox_chunk_t  *chunk, *next;

    zone->root->inbox_bytes -= entry->size;

    for (chunk = entry->chunks; chunk; chunk = next) {
        next = chunk->next;
        ngx_mcp_zone_free_locked(zone, chunk);
    }

    ngx_mcp_zone_free_locked(zone, entry);
}


static void
ngx_mcp_inbox_fill(ngx_mcp_inbox_entry_t *entry, u_char *data)
{
    ngx_mcp_inbox_chunk_t  *chunk;

    for (chunk = entry->chunks; chunk; chunk = chunk->next) {
        ngx_memcpy(chunk + 1, data, chunk->size);
        data += chunk->size;
    }
}


/*
 * Links a filled entry into the inbox of its session.  If *notify is set, the
 * caller wakes the worker with that "id".  The entry is freed unless ACCEPTED
 * is returned.
 */

static ngx_mcp_delivery_e
ngx_mcp_inbox_post_locked(ngx_mcp_zone_t *zone, ngx_mcp_inbox_entry_t *entry,
    u_char *id, ngx_uint_t *notify)
{
    ngx_mcp_delivery_e         rc;
    ngx_mcp_session_record_t  *record;

    /*
     * The mutex was not held while the entry was filled.  If this worker has
     * released the old pool since, the entry is gone.
     */

    if (ngx_queue_empty(&ngx_mcp_workers_self()->filling)) {
        return NGX_MCP_DELIVERY_STREAM_LOST;
    }

    ngx_queue_remove(&entry->queue);

    zone->root->inbox_bytes -= entry->size;

    rc = ngx_mcp_inbox_check_locked(zone, entry->key, entry->size,
                                    entry->nmessages, &record);

    zone->root->inbox_bytes += entry->size;

    if (rc != NGX_MCP_DELIVERY_ACCEPTED) {
        ngx_mcp_inbox_entry_free_locked(zone, entry);
        return rc;
    }

    ngx_queue_insert_tail(&record->inbox, &entry->queue);

    record->messages += entry->nmessages;
    record->active = ngx_current_msec;

    (void) ngx_atomic_fetch_add(&record->bytes, entry->size);
    (void) ngx_atomic_fetch_add(&record->pending, entry->nmessages);
    record->owner->posted += entry->nmessages;

    *notify = ngx_mcp_workers_notify_locked(record, id);

    return NGX_MCP_DELIVERY_ACCEPTED;
}


/*
 * The owner of the session, to which an entry was just posted, is dead.  The
 * message is accepted only if the owner has taken it before it died.
 */

static ngx_mcp_delivery_e
ngx_mcp_inbox_owner_dead(ngx_mcp_zone_t *zone, u_char *key, ngx_uint_t number,
    u_char *id)
{
    ngx_queue_t               *q;
    ngx_mcp_delivery_e         rc;
    ngx_mcp_inbox_entry_t     *entry;
    ngx_mcp_session_record_t  *record;

    ngx_mcp_zone_lock(zone);

    record = ngx_mcp_registry_find_locked(zone, key);

    /* a new owner of the session, if any, does not have the message */

    if (record
        && (record->owner == NULL
            || ngx_memcmp(record->owner->id, id, NGX_MCP_WORKER_ID_LEN)
               != 0))
    {
        record = NULL;
    }

    rc = record ? NGX_MCP_DELIVERY_ACCEPTED : NGX_MCP_DELIVERY_NO_SESSION;

    for (q = record ? ngx_queue_head(&record->inbox) : NULL;
         q && q != ngx_queue_sentinel(&record->inbox);
         q = ngx_queue_next(q))
    {
        entry = ngx_queue_data(q, ngx_mcp_inbox_entry_t, queue);

        if (entry->number == number) {
            rc = NGX_MCP_DELIVERY_NO_SESSION;
            break;
        }
    }

    ngx_mcp_workers_dead_locked(zone, id);

    ngx_mcp_zone_unlock(zone);

    return rc;
}


void
ngx_mcp_inbox_free_locked(ngx_mcp_zone_t *zone, ngx_queue_t *entries)
{
    ngx_queue_t            *q;
    ngx_mcp_inbox_entry_t  *entry;

    while (!ngx_queue_empty(entries)) {
        q = ngx_queue_head(entries);
        ngx_queue_remove(q);

        entry = ngx_queue_data(q, ngx_mcp_inbox_entry_t, queue);
        ngx_mcp_inbox_entry_free_locked(zone, entry);
    }
}


void
ngx_mcp_inbox_take_locked(ngx_mcp_session_record_t *record)
{
    ngx_queue_t            *q;
    ngx_mcp_worker_t       *self;
    ngx_mcp_inbox_entry_t  *entry;

    self = ngx_mcp_workers_self();

    while (!ngx_queue_empty(&record->inbox)) {
        q = ngx_queue_head(&record->inbox);

        ngx_queue_remove(q);
        ngx_queue_insert_tail(&self->taken, q);

        entry = ngx_queue_data(q, ngx_mcp_inbox_entry_t, queue);

        self->posted -= entry->nmessages;
        (void) ngx_atomic_fetch_add(&self->pending, entry->nmessages);
    }
}


ngx_int_t
ngx_mcp_inbox_rescue_locked(ngx_mcp_zone_t *zone, ngx_mcp_session_t *s)
{
    ngx_uint_t                 n;
    ngx_queue_t               *q;
    ngx_mcp_inbox_entry_t     *entry;
    ngx_mcp_session_record_t  *record;

    record = s->record;
    n = 0;

    for (q = ngx_queue_head(&record->inbox);
         q != ngx_queue_sentinel(&record->inbox);
         q = ngx_queue_next(q))
    {
        entry = ngx_queue_data(q, ngx_mcp_inbox_entry_t, queue);

        /* the dead worker may have left the entry half linked */

        if ((u_char *) entry < zone->root->pool->start
            || (u_char *) (entry + 1) > zone->root->pool->end
            || ngx_memcmp(entry->key, record->key, NGX_MCP_DIGEST_LEN)
               != 0
            || n++ > record->max_inbox)
        {
            return NGX_ERROR;
        }

        (void) ngx_atomic_fetch_add(&ngx_mcp_workers_self()->pending,
                                    entry->nmessages);

        if (ngx_mcp_inbox_copy(s, entry) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


ngx_int_t
ngx_mcp_inbox_hand_over(ngx_mcp_zone_t *zone, ngx_mcp_session_t *s)
{
    ngx_int_t               rc;
    ngx_queue_t            *q;
    ngx_mcp_inbox_entry_t  *entry;

    if (ngx_queue_empty(&ngx_mcp_workers_self()->taken)) {
        return NGX_OK;
    }

    rc = NGX_OK;

    for (q = ngx_queue_head(&ngx_mcp_workers_self()->taken);
         s && q != ngx_queue_sentinel(&ngx_mcp_workers_self()->taken);
         q = ngx_queue_next(q))
    {
        entry = ngx_queue_data(q, ngx_mcp_inbox_entry_t, queue);

        if (ngx_mcp_inbox_copy(s, entry) != NGX_OK) {
            rc = NGX_ERROR;
        }
    }

    ngx_mcp_zone_lock(zone);
    ngx_mcp_inbox_free_locked(zone, &ngx_mcp_workers_self()->taken);
    ngx_mcp_zone_unlock(zone);

    return rc;
}


/*
 * Gives a copy of the entry to the session.
 */

static ngx_int_t
ngx_mcp_inbox_copy(ngx_mcp_session_t *s, ngx_mcp_inbox_entry_t *entry)
{
    u_char                 *p;
    ngx_mcp_inbox_chunk_t  *chunk;
    ngx_mcp_envelope_t     *env;

    env = ngx_mcp_envelope_alloc(entry->size, entry->nmessages,
                                 ngx_cycle->log);
    if (env == NULL) {
        return ngx_mcp_inbox_lost(s, entry);
    }

    env->received = entry->received;
    p = env->data;

    for (chunk = entry->chunks; chunk; chunk = chunk->next) {
        p = ngx_cpymem(p, chunk + 1, chunk->size);
    }

    s->pending += entry->nmessages;
    s->bytes += entry->size;

    ngx_mcp_sessions_receive(s, env);

    return NGX_OK;
}


ngx_mcp_delivery_e
ngx_mcp_inbox_accept(ngx_mcp_session_t *s, ngx_mcp_envelope_t *env)
{
    ngx_uint_t                 n;
    ngx_mcp_zone_t            *zone;
    ngx_mcp_session_record_t  *record;

    zone = ngx_mcp_zone();
    record = s->record;
    n = env->nmessages;

    if (record->pending
        && (record->pending + n > record->max_inbox
            || record->bytes + env->size > zone->size / 8))
    {
        return NGX_MCP_DELIVERY_INBOX_FULL;
    }

    record->messages += n;
    record->active = ngx_current_msec;

    (void) ngx_atomic_fetch_add(&record->bytes, env->size);
    (void) ngx_atomic_fetch_add(&record->pending, n);
    (void) ngx_atomic_fetch_add(&ngx_mcp_workers_self()->pending, n);

    s->pending += n;
    s->bytes += env->size;

    return NGX_MCP_DELIVERY_ACCEPTED;
}


void
ngx_mcp_inbox_move(ngx_mcp_session_t *from, ngx_mcp_session_t *to)
{
    ngx_mcp_session_record_t  *record;

    record = to->record;

    if (record) {
        (void) ngx_atomic_fetch_add(&record->pending, from->pending);
        (void) ngx_atomic_fetch_add(&record->bytes, from->bytes);
    }

    to->pending += from->pending;
    to->bytes += from->bytes;

    from->pending = 0;
    from->bytes = 0;
}


void
ngx_mcp_inbox_started(ngx_mcp_session_t *s, ngx_mcp_envelope_t *env)
{
    ngx_mcp_session_record_t  *record;

    record = s->record;

    env->unstarted--;
    s->pending--;

    if (env->unstarted == 0) {
        s->bytes -= env->size;
    }

    if (record) {
        (void) ngx_atomic_fetch_add(&record->pending, -1);

        /* the envelope is in memory until its last message starts */

        if (env->unstarted == 0) {
            (void) ngx_atomic_fetch_add(&record->bytes,
                                        -(ngx_atomic_int_t) env->size);
        }
    }

    (void) ngx_atomic_fetch_add(&ngx_mcp_workers_self()->pending, -1);
}


/*
 * An entry is always in exactly one list of one worker's record, so that it
 * is found whenever that worker dies: filling while its producer copies, the
 * inbox of a session, taken while its owner copies it out.
 */

#include "ngx_mcp_inbox.h"
#include "ngx_mcp_registry.h"
#include "ngx_mcp_sessions.h"
#include "ngx_mcp_workers.h"
#include "ngx_mcp_wakeup.h"


static ngx_int_t ngx_mcp_inbox_room(ngx_mcp_zone_t *zone, u_char *key,
    size_t size, ngx_uint_t n, ngx_mcp_session_record_t **record);
static ngx_mcp_inbox_entry_t *ngx_mcp_inbox_entry(ngx_mcp_zone_t *zone,
    size_t size);
static void ngx_mcp_inbox_entry_free(ngx_mcp_zone_t *zone,
    ngx_mcp_inbox_entry_t *entry);
static ngx_int_t ngx_mcp_inbox_copy(ngx_mcp_session_t *s,
    ngx_mcp_inbox_entry_t *entry);
static void ngx_mcp_inbox_fill(ngx_mcp_inbox_entry_t *entry, u_char *data);
static ngx_int_t ngx_mcp_inbox_post(ngx_mcp_zone_t *zone,
    ngx_mcp_inbox_entry_t *entry, u_char *wake);
static ngx_int_t ngx_mcp_inbox_refused(ngx_mcp_zone_t *zone, u_char *key,
    ngx_uint_t number, u_char *id);


ngx_int_t
ngx_mcp_inbox_deliver(u_char *key, ngx_mcp_envelope_t *env, ngx_log_t *log)
{
    u_char                     wake[NGX_MCP_WORKER_ID_LEN];
    ngx_int_t                  rc;
    ngx_uint_t                 number;
    ngx_mcp_zone_t            *zone;
    ngx_mcp_inbox_entry_t     *entry;
    ngx_mcp_session_record_t  *record;

    zone = ngx_mcp_zone();

    ngx_mcp_zone_lock(zone);

    rc = ngx_mcp_inbox_room(zone, key, env->size, env->nmessages, &record);

    if (rc != NGX_OK) {
        ngx_mcp_zone_unlock(zone);
        return rc;
    }

    entry = ngx_mcp_inbox_entry(zone, env->size);

    if (entry == NULL) {
        ngx_mcp_zone_unlock(zone);
        ngx_mcp_zone_nomem(zone, log);
        return NGX_ERROR;
    }

    ngx_memcpy(entry->key, key, NGX_MCP_DIGEST_LEN);
    entry->nmessages = env->nmessages;
    entry->received = env->received;
    number = entry->number;

    ngx_mcp_zone_unlock(zone);

    ngx_mcp_inbox_fill(entry, env->data);

    ngx_mcp_zone_lock(zone);
    rc = ngx_mcp_inbox_post(zone, entry, wake);
    ngx_mcp_zone_unlock(zone);

    if (rc != NGX_DONE) {
        return rc;
    }

    if (ngx_mcp_wakeup_send(wake, log) != NGX_DECLINED) {
        return NGX_OK;
    }

    return ngx_mcp_inbox_refused(zone, key, number, wake);
}


/*
 * Under the mutex: whether "size" bytes may go to the session now.
 */

static ngx_int_t
ngx_mcp_inbox_room(ngx_mcp_zone_t *zone, u_char *key, size_t size,
    ngx_uint_t n, ngx_mcp_session_record_t **record)
{
    ngx_mcp_session_record_t  *r;

    r = ngx_mcp_registry_find_locked(zone, key);

    if (r == NULL) {

        /* its owner may not have come to register it again */

        return zone->root->phase == NGX_MCP_ZONE_READY
               ? NGX_DECLINED : NGX_AGAIN;
    }

    *record = r;

    if (r->owner == NULL) {
        return NGX_AGAIN;
    }

    if (r->pending + n > r->max_inbox && r->pending) {
        return NGX_BUSY;
    }

    /* one message always has room, however large it is */

    if (r->bytes && r->bytes + size > zone->size / 8) {
        return NGX_BUSY;
    }

    if (zone->root->inboxes && zone->root->inboxes + size > zone->size / 2) {
        return NGX_ERROR;
    }

    return NGX_OK;
}


/*
 * Under the mutex: a new entry with chunks for "size" bytes, in the list of
 * what this worker fills.
 */

static ngx_mcp_inbox_entry_t *
ngx_mcp_inbox_entry(ngx_mcp_zone_t *zone, size_t size)
{
    size_t                      n, room;
    ngx_mcp_inbox_chunk_t      *chunk, **last;
    ngx_mcp_inbox_entry_t      *entry;

    entry = ngx_mcp_zone_calloc_locked(zone, sizeof(ngx_mcp_inbox_entry_t));
    if (entry == NULL) {
        return NULL;
    }

    entry->number = ++zone->root->serial;
    entry->size = size;

    ngx_queue_insert_tail(&ngx_mcp_workers_self()->filling, &entry->queue);
    zone->root->inboxes += size;

    room = ngx_pagesize - sizeof(ngx_mcp_inbox_chunk_t);
    last = &entry->chunks;

    while (size) {
        n = ngx_min(size, room);

        chunk = ngx_mcp_zone_alloc_locked(zone,
                                       sizeof(ngx_mcp_inbox_chunk_t) + n);
        if (chunk == NULL) {
            ngx_queue_remove(&entry->queue);
            ngx_mcp_inbox_entry_free(zone, entry);
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
 * Under the mutex; the entry is in no list any more.
 */

static void
ngx_mcp_inbox_entry_free(ngx_mcp_zone_t *zone, ngx_mcp_inbox_entry_t *entry)
{
    ngx_mcp_inbox_chunk_t  *chunk, *next;

    zone->root->inboxes -= entry->size;

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
 * Under the mutex: links a filled entry into the inbox.  NGX_OK: done;
 * NGX_DONE: done, and the worker named in "wake" is to be woken; else why
 * not, and the entry is freed.
 */

static ngx_int_t
ngx_mcp_inbox_post(ngx_mcp_zone_t *zone, ngx_mcp_inbox_entry_t *entry,
    u_char *wake)
{
    ngx_int_t                  rc;
    ngx_mcp_session_record_t  *record;

    /* a lot may have happened while it was filled */

    if (ngx_queue_empty(&ngx_mcp_workers_self()->filling)) {
        return NGX_AGAIN;
    }

    ngx_queue_remove(&entry->queue);

    zone->root->inboxes -= entry->size;

    rc = ngx_mcp_inbox_room(zone, entry->key, entry->size,
                                   entry->nmessages, &record);

    zone->root->inboxes += entry->size;

    if (rc != NGX_OK) {
        ngx_mcp_inbox_entry_free(zone, entry);
        return rc;
    }

    ngx_queue_insert_tail(&record->inbox, &entry->queue);

    record->messages += entry->nmessages;
    record->active = ngx_current_msec;

    (void) ngx_atomic_fetch_add(&record->bytes, entry->size);
    (void) ngx_atomic_fetch_add(&record->pending, entry->nmessages);
    record->owner->posted += entry->nmessages;

    return ngx_mcp_workers_notify_locked(record, wake) ? NGX_DONE : NGX_OK;
}


/*
 * The owner of a message just posted is dead.  The message counts as
 * accepted only if it was taken before.
 */

static ngx_int_t
ngx_mcp_inbox_refused(ngx_mcp_zone_t *zone, u_char *key, ngx_uint_t number,
    u_char *id)
{
    ngx_int_t                  rc;
    ngx_queue_t               *q;
    ngx_mcp_inbox_entry_t     *entry;
    ngx_mcp_session_record_t  *record;

    ngx_mcp_zone_lock(zone);

    record = ngx_mcp_registry_find_locked(zone, key);

    /* the session may be another worker's by now: that one does not have it */

    if (record
        && (record->owner == NULL
            || ngx_memcmp(record->owner->id, id, NGX_MCP_WORKER_ID_LEN)
               != 0))
    {
        record = NULL;
    }

    rc = record ? NGX_OK : NGX_DECLINED;

    for (q = record ? ngx_queue_head(&record->inbox) : NULL;
         q && q != ngx_queue_sentinel(&record->inbox);
         q = ngx_queue_next(q))
    {
        entry = ngx_queue_data(q, ngx_mcp_inbox_entry_t, queue);

        if (entry->number == number) {
            rc = NGX_DECLINED;
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
        ngx_mcp_inbox_entry_free(zone, entry);
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

        /* who died may have linked it by half */

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
 * Gives the session a copy of what is in an entry.
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
        (void) ngx_atomic_fetch_add(&ngx_mcp_workers_self()->pending,
                                    -(ngx_atomic_int_t) entry->nmessages);
        return NGX_ERROR;
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


ngx_int_t
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
        return NGX_BUSY;
    }

    record->messages += n;
    record->active = ngx_current_msec;

    (void) ngx_atomic_fetch_add(&record->bytes, env->size);
    (void) ngx_atomic_fetch_add(&record->pending, n);
    (void) ngx_atomic_fetch_add(&ngx_mcp_workers_self()->pending, n);

    s->pending += n;
    s->bytes += env->size;

    return NGX_OK;
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

        /* the whole of it stays in memory until its last message starts */

        if (env->unstarted == 0) {
            (void) ngx_atomic_fetch_add(&record->bytes,
                                        -(ngx_atomic_int_t) env->size);
        }
    }

    (void) ngx_atomic_fetch_add(&ngx_mcp_workers_self()->pending, -1);
}

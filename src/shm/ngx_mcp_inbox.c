
/*
 * An entry is always in exactly one list of one worker's record, so that it
 * is found whenever that worker dies: filling while its producer copies, the
 * inbox of a session, taken while its owner copies it out.
 */

#include "ngx_mcp_inbox.h"
#include "ngx_mcp_registry.h"
#include "ngx_mcp_workers.h"
#include "ngx_mcp_wakeup.h"


static ngx_int_t ngx_http_mcp_sse_inbox_room(ngx_http_mcp_sse_zone_t *zone,
    u_char *key, size_t size, ngx_uint_t n,
    ngx_http_mcp_sse_record_t **record);
static ngx_http_mcp_sse_entry_t *ngx_http_mcp_sse_inbox_entry(
    ngx_http_mcp_sse_zone_t *zone, size_t size);
static void ngx_http_mcp_sse_inbox_entry_free(ngx_http_mcp_sse_zone_t *zone,
    ngx_http_mcp_sse_entry_t *entry);
static ngx_int_t ngx_http_mcp_sse_inbox_copy(ngx_http_mcp_sse_session_t *s,
    ngx_http_mcp_sse_entry_t *entry);
static void ngx_http_mcp_sse_inbox_fill(ngx_http_mcp_sse_entry_t *entry,
    u_char *data);
static ngx_int_t ngx_http_mcp_sse_inbox_post(ngx_http_mcp_sse_zone_t *zone,
    ngx_http_mcp_sse_entry_t *entry, u_char *wake);
static ngx_int_t ngx_http_mcp_sse_inbox_refused(
    ngx_http_mcp_sse_zone_t *zone, u_char *key, ngx_uint_t number,
    u_char *id);


static ngx_http_mcp_sse_receive_pt  ngx_http_mcp_sse_inbox_receive;


void
ngx_http_mcp_sse_inbox_init(ngx_http_mcp_sse_receive_pt receive)
{
    ngx_http_mcp_sse_inbox_receive = receive;
}


ngx_int_t
ngx_http_mcp_sse_inbox_deliver(u_char *key, ngx_http_mcp_sse_envelope_t *env,
    ngx_log_t *log)
{
    u_char                      wake[NGX_HTTP_MCP_SSE_WORKER_ID];
    ngx_int_t                   rc;
    ngx_uint_t                  number;
    ngx_http_mcp_sse_zone_t    *zone;
    ngx_http_mcp_sse_entry_t   *entry;
    ngx_http_mcp_sse_record_t  *record;

    zone = ngx_http_mcp_sse_zone();

    ngx_http_mcp_sse_zone_lock(zone);

    rc = ngx_http_mcp_sse_inbox_room(zone, key, env->size, env->nmessages,
                                   &record);

    if (rc != NGX_OK) {
        ngx_http_mcp_sse_zone_unlock(zone);
        return rc;
    }

    entry = ngx_http_mcp_sse_inbox_entry(zone, env->size);

    if (entry == NULL) {
        ngx_http_mcp_sse_zone_unlock(zone);
        ngx_http_mcp_sse_zone_nomem(zone, log);
        return NGX_ERROR;
    }

    ngx_memcpy(entry->key, key, NGX_HTTP_MCP_SSE_DIGEST);
    entry->nmessages = env->nmessages;
    entry->received = env->received;
    number = entry->number;

    ngx_http_mcp_sse_zone_unlock(zone);

    ngx_http_mcp_sse_inbox_fill(entry, env->data);

    ngx_http_mcp_sse_zone_lock(zone);
    rc = ngx_http_mcp_sse_inbox_post(zone, entry, wake);
    ngx_http_mcp_sse_zone_unlock(zone);

    if (rc != NGX_DONE) {
        return rc;
    }

    if (ngx_http_mcp_sse_wakeup_send(wake, log) != NGX_DECLINED) {
        return NGX_OK;
    }

    return ngx_http_mcp_sse_inbox_refused(zone, key, number, wake);
}


/*
 * Under the mutex: whether "size" bytes may go to the session now.
 */

static ngx_int_t
ngx_http_mcp_sse_inbox_room(ngx_http_mcp_sse_zone_t *zone, u_char *key,
    size_t size, ngx_uint_t n, ngx_http_mcp_sse_record_t **record)
{
    ngx_http_mcp_sse_record_t  *r;

    r = ngx_http_mcp_sse_registry_find(zone, key);

    if (r == NULL) {

        /* its owner may not have come to register it again */

        return zone->root->phase == NGX_HTTP_MCP_SSE_ZONE_WHOLE
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

static ngx_http_mcp_sse_entry_t *
ngx_http_mcp_sse_inbox_entry(ngx_http_mcp_sse_zone_t *zone, size_t size)
{
    size_t                      n, room;
    ngx_http_mcp_sse_chunk_t   *chunk, **last;
    ngx_http_mcp_sse_entry_t   *entry;

    entry = ngx_http_mcp_sse_zone_calloc(zone,
                                         sizeof(ngx_http_mcp_sse_entry_t));
    if (entry == NULL) {
        return NULL;
    }

    entry->number = ++zone->root->serial;
    entry->size = size;

    ngx_queue_insert_tail(&ngx_http_mcp_sse_shm_self()->filling, &entry->queue);
    zone->root->inboxes += size;

    room = ngx_pagesize - sizeof(ngx_http_mcp_sse_chunk_t);
    last = &entry->chunks;

    while (size) {
        n = ngx_min(size, room);

        chunk = ngx_http_mcp_sse_zone_alloc(zone,
                                       sizeof(ngx_http_mcp_sse_chunk_t) + n);
        if (chunk == NULL) {
            ngx_queue_remove(&entry->queue);
            ngx_http_mcp_sse_inbox_entry_free(zone, entry);
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
ngx_http_mcp_sse_inbox_entry_free(ngx_http_mcp_sse_zone_t *zone,
    ngx_http_mcp_sse_entry_t *entry)
{
    ngx_http_mcp_sse_chunk_t  *chunk, *next;

    zone->root->inboxes -= entry->size;

    for (chunk = entry->chunks; chunk; chunk = next) {
        next = chunk->next;
        ngx_http_mcp_sse_zone_free(zone, chunk);
    }

    ngx_http_mcp_sse_zone_free(zone, entry);
}


static void
ngx_http_mcp_sse_inbox_fill(ngx_http_mcp_sse_entry_t *entry, u_char *data)
{
    ngx_http_mcp_sse_chunk_t  *chunk;

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
ngx_http_mcp_sse_inbox_post(ngx_http_mcp_sse_zone_t *zone,
    ngx_http_mcp_sse_entry_t *entry, u_char *wake)
{
    ngx_int_t                   rc;
    ngx_http_mcp_sse_record_t  *record;

    /* a lot may have happened while it was filled */

    if (ngx_queue_empty(&ngx_http_mcp_sse_shm_self()->filling)) {
        return NGX_AGAIN;
    }

    ngx_queue_remove(&entry->queue);

    zone->root->inboxes -= entry->size;

    rc = ngx_http_mcp_sse_inbox_room(zone, entry->key, entry->size,
                                   entry->nmessages, &record);

    zone->root->inboxes += entry->size;

    if (rc != NGX_OK) {
        ngx_http_mcp_sse_inbox_entry_free(zone, entry);
        return rc;
    }

    ngx_queue_insert_tail(&record->inbox, &entry->queue);

    record->messages += entry->nmessages;
    record->active = ngx_current_msec;

    (void) ngx_atomic_fetch_add(&record->bytes, entry->size);
    (void) ngx_atomic_fetch_add(&record->pending, entry->nmessages);
    record->owner->posted += entry->nmessages;

    return ngx_http_mcp_sse_shm_news(record, wake) ? NGX_DONE : NGX_OK;
}


/*
 * The owner of a message just posted is dead.  The message counts as
 * accepted only if it was taken before.
 */

static ngx_int_t
ngx_http_mcp_sse_inbox_refused(ngx_http_mcp_sse_zone_t *zone, u_char *key,
    ngx_uint_t number, u_char *id)
{
    ngx_int_t                   rc;
    ngx_queue_t                *q;
    ngx_http_mcp_sse_entry_t   *entry;
    ngx_http_mcp_sse_record_t  *record;

    ngx_http_mcp_sse_zone_lock(zone);

    record = ngx_http_mcp_sse_registry_find(zone, key);

    /* the session may be another worker's by now: that one does not have it */

    if (record
        && (record->owner == NULL
            || ngx_memcmp(record->owner->id, id, NGX_HTTP_MCP_SSE_WORKER_ID)
               != 0))
    {
        record = NULL;
    }

    rc = record ? NGX_OK : NGX_DECLINED;

    for (q = record ? ngx_queue_head(&record->inbox) : NULL;
         q && q != ngx_queue_sentinel(&record->inbox);
         q = ngx_queue_next(q))
    {
        entry = ngx_queue_data(q, ngx_http_mcp_sse_entry_t, queue);

        if (entry->number == number) {
            rc = NGX_DECLINED;
            break;
        }
    }

    ngx_http_mcp_sse_shm_dead(zone, id);

    ngx_http_mcp_sse_zone_unlock(zone);

    return rc;
}


void
ngx_http_mcp_sse_inbox_free(ngx_http_mcp_sse_zone_t *zone,
    ngx_queue_t *entries)
{
    ngx_queue_t               *q;
    ngx_http_mcp_sse_entry_t  *entry;

    while (!ngx_queue_empty(entries)) {
        q = ngx_queue_head(entries);
        ngx_queue_remove(q);

        entry = ngx_queue_data(q, ngx_http_mcp_sse_entry_t, queue);
        ngx_http_mcp_sse_inbox_entry_free(zone, entry);
    }
}


void
ngx_http_mcp_sse_inbox_take(ngx_http_mcp_sse_record_t *record)
{
    ngx_queue_t               *q;
    ngx_http_mcp_sse_peer_t   *self;
    ngx_http_mcp_sse_entry_t  *entry;

    self = ngx_http_mcp_sse_shm_self();

    while (!ngx_queue_empty(&record->inbox)) {
        q = ngx_queue_head(&record->inbox);

        ngx_queue_remove(q);
        ngx_queue_insert_tail(&self->taken, q);

        entry = ngx_queue_data(q, ngx_http_mcp_sse_entry_t, queue);

        self->posted -= entry->nmessages;
        (void) ngx_atomic_fetch_add(&self->pending, entry->nmessages);
    }
}


ngx_int_t
ngx_http_mcp_sse_inbox_rescue(ngx_http_mcp_sse_zone_t *zone,
    ngx_http_mcp_sse_session_t *s)
{
    ngx_uint_t                  n;
    ngx_queue_t                *q;
    ngx_http_mcp_sse_entry_t   *entry;
    ngx_http_mcp_sse_record_t  *record;

    record = s->record;
    n = 0;

    for (q = ngx_queue_head(&record->inbox);
         q != ngx_queue_sentinel(&record->inbox);
         q = ngx_queue_next(q))
    {
        entry = ngx_queue_data(q, ngx_http_mcp_sse_entry_t, queue);

        /* who died may have linked it by half */

        if ((u_char *) entry < zone->root->heap->start
            || (u_char *) (entry + 1) > zone->root->heap->end
            || ngx_memcmp(entry->key, record->key, NGX_HTTP_MCP_SSE_DIGEST)
               != 0
            || n++ > record->max_inbox)
        {
            return NGX_ERROR;
        }

        (void) ngx_atomic_fetch_add(&ngx_http_mcp_sse_shm_self()->pending,
                                    entry->nmessages);

        if (ngx_http_mcp_sse_inbox_copy(s, entry) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_mcp_sse_inbox_hand_over(ngx_http_mcp_sse_zone_t *zone,
    ngx_http_mcp_sse_session_t *s)
{
    ngx_int_t                  rc;
    ngx_queue_t               *q;
    ngx_http_mcp_sse_entry_t  *entry;

    if (ngx_queue_empty(&ngx_http_mcp_sse_shm_self()->taken)) {
        return NGX_OK;
    }

    rc = NGX_OK;

    for (q = ngx_queue_head(&ngx_http_mcp_sse_shm_self()->taken);
         s && q != ngx_queue_sentinel(&ngx_http_mcp_sse_shm_self()->taken);
         q = ngx_queue_next(q))
    {
        entry = ngx_queue_data(q, ngx_http_mcp_sse_entry_t, queue);

        if (ngx_http_mcp_sse_inbox_copy(s, entry) != NGX_OK) {
            rc = NGX_ERROR;
        }
    }

    ngx_http_mcp_sse_zone_lock(zone);
    ngx_http_mcp_sse_inbox_free(zone, &ngx_http_mcp_sse_shm_self()->taken);
    ngx_http_mcp_sse_zone_unlock(zone);

    return rc;
}


/*
 * Gives the session a copy of what is in an entry.
 */

static ngx_int_t
ngx_http_mcp_sse_inbox_copy(ngx_http_mcp_sse_session_t *s,
    ngx_http_mcp_sse_entry_t *entry)
{
    u_char                       *p;
    ngx_http_mcp_sse_chunk_t     *chunk;
    ngx_http_mcp_sse_envelope_t  *env;

    env = ngx_http_mcp_sse_envelope_alloc(entry->size, entry->nmessages,
                                          ngx_cycle->log);
    if (env == NULL) {
        (void) ngx_atomic_fetch_add(&ngx_http_mcp_sse_shm_self()->pending,
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

    ngx_http_mcp_sse_inbox_receive(s, env);

    return NGX_OK;
}


ngx_int_t
ngx_http_mcp_sse_inbox_accept(ngx_http_mcp_sse_session_t *s,
    ngx_http_mcp_sse_envelope_t *env)
{
    ngx_uint_t                  n;
    ngx_http_mcp_sse_zone_t    *zone;
    ngx_http_mcp_sse_record_t  *record;

    zone = ngx_http_mcp_sse_zone();
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
    (void) ngx_atomic_fetch_add(&ngx_http_mcp_sse_shm_self()->pending, n);

    s->pending += n;
    s->bytes += env->size;

    return NGX_OK;
}


void
ngx_http_mcp_sse_inbox_started(ngx_http_mcp_sse_session_t *s,
    ngx_http_mcp_sse_envelope_t *env)
{
    ngx_http_mcp_sse_record_t  *record;

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

    (void) ngx_atomic_fetch_add(&ngx_http_mcp_sse_shm_self()->pending, -1);
}

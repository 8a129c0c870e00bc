
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Announcements between the workers of an nginx: a bounded list in shared
 * memory, with a read position for each worker.
 *
 * Announcements in the list are numbered and owned by the zone.  Each worker
 * has, in its record, the number of the last one that it has read.  A worker
 * that finds a gap between that number and the first one in the list has
 * missed some, and announces RESYNC to itself.
 *
 * Announcements of a worker to itself are in its own memory and freed after
 * the handler has run.
 */

#include "ngx_mcp_announce.h"
#include "ngx_mcp_workers.h"
#include "ngx_mcp_wakeup.h"


typedef struct {
    ngx_queue_t    queue;
    ngx_uint_t     number;
    ngx_uint_t     kind;
    ngx_msec_t     when;
    size_t         len;
    u_char         from[NGX_MCP_WORKER_ID_LEN];
    u_char         key[NGX_MCP_DIGEST_LEN];
} ngx_mcp_announcement_t;              /* followed by the data */


static ngx_mcp_announcement_t *ngx_mcp_announce_add_locked(ngx_mcp_zone_t *zone,
    size_t len, ngx_uint_t *lost);
static ngx_uint_t ngx_mcp_announce_drop_locked(ngx_mcp_zone_t *zone);
static ngx_uint_t ngx_mcp_announce_read_by_all_locked(ngx_mcp_zone_t *zone);
static ngx_uint_t ngx_mcp_announce_has_missed(ngx_mcp_zone_t *zone);
static ngx_uint_t ngx_mcp_announce_next(ngx_mcp_zone_t *zone,
    ngx_mcp_announcement_t *item, u_char *data);
static void ngx_mcp_announce_event(ngx_event_t *ev);
static void ngx_mcp_announce_read_zone(void);


static ngx_mcp_announce_pt  ngx_mcp_announce_handler;

static ngx_event_t  ngx_mcp_announce_ev;
static ngx_queue_t  ngx_mcp_announce_self_queue = {
    &ngx_mcp_announce_self_queue, &ngx_mcp_announce_self_queue
};


void
ngx_mcp_announce_init(ngx_mcp_announce_pt handler)
{
    ngx_mcp_announce_handler = handler;

    ngx_mcp_announce_ev.handler = ngx_mcp_announce_event;
    ngx_mcp_announce_ev.log = ngx_cycle->log;
}


ngx_int_t
ngx_mcp_announce(ngx_uint_t kind, u_char *key, u_char *data, size_t len)
{
    u_char                  *id;
    ngx_uint_t               n, lost;
    ngx_mcp_announcement_t  *item;
    ngx_mcp_zone_t          *zone;

    ngx_mcp_announce_self(kind, key, data, len);

    zone = ngx_mcp_zone();

    id = NULL;
    n = 0;
    lost = 0;

    ngx_mcp_zone_lock(zone);

    item = ngx_mcp_announce_add_locked(zone, len, &lost);

    if (item) {
        item->kind = kind;
        ngx_memcpy(item->key, key, NGX_MCP_DIGEST_LEN);

        if (len) {
            ngx_memcpy(item + 1, data, len);
        }

        id = ngx_mcp_workers_wake_all_locked(zone, &n);
    }

    ngx_mcp_zone_unlock(zone);

    ngx_log_debug2(NGX_LOG_DEBUG_CORE, ngx_cycle->log, 0,
                   "mcp announcement of kind %ui, workers to wake %ui",
                   kind, n);

    for ( /* void */ ; n; n--, id += NGX_MCP_WORKER_ID_LEN) {
        (void) ngx_mcp_wakeup_send(id, ngx_cycle->log);
    }

    if (lost) {
        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "mcp sse: too many announcements between workers, %ui of "
                      "them are lost", lost);
    }

    if (item == NULL) {
        ngx_mcp_zone_nomem(zone, ngx_cycle->log);
        return NGX_ERROR;
    }

    return NGX_OK;
}


void
ngx_mcp_announce_self(ngx_uint_t kind, u_char *key, u_char *data, size_t len)
{
    ngx_mcp_announcement_t  *item;

    item = ngx_alloc(sizeof(ngx_mcp_announcement_t) + len, ngx_cycle->log);
    if (item == NULL) {
        return;
    }

    item->kind = kind;
    item->len = len;
    ngx_memcpy(item->key, key, NGX_MCP_DIGEST_LEN);

    if (len) {
        ngx_memcpy(item + 1, data, len);
    }

    ngx_queue_insert_tail(&ngx_mcp_announce_self_queue, &item->queue);

    ngx_mcp_announce_post();
}


void
ngx_mcp_announce_resync(void)
{
    u_char  key[NGX_MCP_DIGEST_LEN];

    ngx_memzero(key, NGX_MCP_DIGEST_LEN);

    ngx_mcp_announce_self(NGX_MCP_ANNOUNCE_RESYNC, key, NULL, 0);
}


void
ngx_mcp_announce_post(void)
{
    ngx_post_event(&ngx_mcp_announce_ev, &ngx_posted_events);
}


static void
ngx_mcp_announce_event(ngx_event_t *ev)
{
    ngx_queue_t             *q;
    ngx_mcp_announcement_t  *item;

    while (!ngx_queue_empty(&ngx_mcp_announce_self_queue)) {
        q = ngx_queue_head(&ngx_mcp_announce_self_queue);
        ngx_queue_remove(q);

        item = ngx_queue_data(q, ngx_mcp_announcement_t, queue);

        ngx_mcp_announce_handler(item->kind, item->key,
                                 (u_char *) (item + 1), item->len);
        ngx_free(item);
    }

    if (ngx_mcp_workers_self() && ngx_mcp_announce_has_unread()) {
        ngx_mcp_announce_read_zone();
    }
}


/*
 * Appends an announcement to the list, or returns NULL.  The oldest ones are
 * removed for it; "lost" is increased by those that a worker has not read.
 */

static ngx_mcp_announcement_t *
ngx_mcp_announce_add_locked(ngx_mcp_zone_t *zone, size_t len, ngx_uint_t *lost)
{
    size_t                   size, max;
    ngx_mcp_announcement_t  *item;

    size = sizeof(ngx_mcp_announcement_t) + len;

    /*
     * the size depends on ids that clients choose; the slab allocator may use
     * twice as much, 1/8 of the zone
     */

    max = zone->size / 16;

    ngx_mcp_announce_expire_locked(zone);

    for ( ;; ) {

        item = NULL;

        if (zone->root->nannouncements < NGX_MCP_ANNOUNCE_MAX
            && zone->root->announcements_size + size <= max)
        {
            item = ngx_mcp_zone_alloc_locked(zone, size);
        }

        if (item) {
            break;
        }

        if (zone->root->nannouncements == 0) {
            return NULL;
        }

        *lost += ngx_mcp_announce_drop_locked(zone);
    }

    item->number = ++zone->root->last_announcement;
    item->when = ngx_current_msec;
    item->len = len;
    ngx_memcpy(item->from, ngx_mcp_workers_self()->id, NGX_MCP_WORKER_ID_LEN);

    ngx_queue_insert_tail(&zone->root->announcements, &item->queue);
    zone->root->nannouncements++;
    zone->root->announcements_size += size;

    return item;
}


/*
 * Removes the oldest announcement.  Returns 1 if a worker has not read it.
 */

static ngx_uint_t
ngx_mcp_announce_drop_locked(ngx_mcp_zone_t *zone)
{
    ngx_uint_t               lost;
    ngx_queue_t             *q;
    ngx_mcp_announcement_t  *item;

    q = ngx_queue_head(&zone->root->announcements);
    item = ngx_queue_data(q, ngx_mcp_announcement_t, queue);

    lost = (item->number > ngx_mcp_announce_read_by_all_locked(zone));

    ngx_queue_remove(q);
    zone->root->nannouncements--;
    zone->root->announcements_size -= sizeof(ngx_mcp_announcement_t)
                                      + item->len;

    ngx_mcp_zone_free_locked(zone, item);

    return lost;
}


/*
 * Returns the number of the last announcement that all workers have read.
 */

static ngx_uint_t
ngx_mcp_announce_read_by_all_locked(ngx_mcp_zone_t *zone)
{
    ngx_uint_t         last_read;
    ngx_queue_t       *q;
    ngx_mcp_worker_t  *worker;

    last_read = zone->root->last_announcement;

    for (q = ngx_queue_head(&zone->root->workers);
         q != ngx_queue_sentinel(&zone->root->workers);
         q = ngx_queue_next(q))
    {
        worker = ngx_queue_data(q, ngx_mcp_worker_t, queue);
        last_read = ngx_min(last_read, worker->announcement_read);
    }

    return last_read;
}


void
ngx_mcp_announce_expire_locked(ngx_mcp_zone_t *zone)
{
    ngx_uint_t               last_read;
    ngx_queue_t             *q;
    ngx_mcp_announcement_t  *item;

    if (zone->root->nannouncements == 0) {
        return;
    }

    last_read = ngx_mcp_announce_read_by_all_locked(zone);

    while (zone->root->nannouncements) {
        q = ngx_queue_head(&zone->root->announcements);
        item = ngx_queue_data(q, ngx_mcp_announcement_t, queue);

        /* "when" may be ahead: it is ngx_current_msec of another worker */

        if (item->number > last_read
            && (ngx_msec_int_t) (ngx_current_msec - item->when)
               < NGX_MCP_ANNOUNCE_MAX_AGE_MS)
        {
            return;
        }

        (void) ngx_mcp_announce_drop_locked(zone);
    }
}


ngx_uint_t
ngx_mcp_announce_has_unread(void)
{
    return ngx_mcp_zone()->root->last_announcement
           != ngx_mcp_workers_self()->announcement_read;
}


static void
ngx_mcp_announce_read_zone(void)
{
    u_char                  data[NGX_MCP_ANNOUNCE_MAX_LEN];
    ngx_mcp_announcement_t  item;
    ngx_mcp_zone_t         *zone;

    zone = ngx_mcp_zone();

    if (ngx_mcp_announce_has_missed(zone)) {
        ngx_mcp_announce_resync();
    }

    while (ngx_mcp_announce_next(zone, &item, data)) {
        ngx_log_debug2(NGX_LOG_DEBUG_CORE, ngx_cycle->log, 0,
                       "mcp announcement %ui of kind %ui read", item.number,
                       item.kind);

        ngx_mcp_announce_handler(item.kind, item.key, data, item.len);
    }
}


/*
 * Returns whether announcements were removed that this worker has not read.
 */

static ngx_uint_t
ngx_mcp_announce_has_missed(ngx_mcp_zone_t *zone)
{
    ngx_uint_t               first;
    ngx_queue_t             *q;
    ngx_mcp_announcement_t  *item;

    ngx_mcp_zone_lock(zone);

    first = zone->root->last_announcement + 1;

    if (zone->root->nannouncements) {
        q = ngx_queue_head(&zone->root->announcements);
        item = ngx_queue_data(q, ngx_mcp_announcement_t, queue);
        first = item->number;
    }

    ngx_mcp_zone_unlock(zone);

    return first > ngx_mcp_workers_self()->announcement_read + 1;
}


/*
 * Copies the next announcement of another worker to "item" and "data".  Returns
 * 0 if there is none.
 */

static ngx_uint_t
ngx_mcp_announce_next(ngx_mcp_zone_t *zone, ngx_mcp_announcement_t *item,
    u_char *data)
{
    ngx_queue_t             *q;
    ngx_mcp_announcement_t  *next;
    ngx_mcp_worker_t        *self;

    self = ngx_mcp_workers_self();

    ngx_mcp_zone_lock(zone);

    for (q = ngx_queue_head(&zone->root->announcements);
         q != ngx_queue_sentinel(&zone->root->announcements);
         q = ngx_queue_next(q))
    {
        next = ngx_queue_data(q, ngx_mcp_announcement_t, queue);

        if (next->number <= self->announcement_read) {
            continue;
        }

        self->announcement_read = next->number;

        if (ngx_memcmp(next->from, self->id, NGX_MCP_WORKER_ID_LEN) == 0) {
            continue;
        }

        *item = *next;
        ngx_memcpy(data, next + 1, next->len);

        ngx_mcp_zone_unlock(zone);

        return 1;
    }

    /* announcements up to this one were removed */

    self->announcement_read = zone->root->last_announcement;

    ngx_mcp_zone_unlock(zone);

    return 0;
}

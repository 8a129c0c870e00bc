
/*
 * Announcements in the zone belong to the list there; each worker remembers,
 * in its record, up to which one it has heard them.  Those of a worker to
 * itself are in its own memory until they are heard.
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
} ngx_mcp_announcement_t;              /* the data follow */


static ngx_mcp_announcement_t *ngx_mcp_announce_add(ngx_mcp_zone_t *zone,
    size_t len, ngx_uint_t *lost);
static ngx_uint_t ngx_mcp_announce_drop(ngx_mcp_zone_t *zone);
static ngx_uint_t ngx_mcp_announce_known(ngx_mcp_zone_t *zone);
static ngx_uint_t ngx_mcp_announce_missed(ngx_mcp_zone_t *zone);
static ngx_uint_t ngx_mcp_announce_next(ngx_mcp_zone_t *zone,
    ngx_mcp_announcement_t *news, u_char *data);
static void ngx_mcp_announce_event(ngx_event_t *ev);
static void ngx_mcp_announce_run(void);


static ngx_mcp_announce_pt  ngx_mcp_announce_handler;

static ngx_event_t  ngx_mcp_announce_running;
static ngx_queue_t  ngx_mcp_announce_own_queue = {
    &ngx_mcp_announce_own_queue, &ngx_mcp_announce_own_queue
};


void
ngx_mcp_announce_init(ngx_mcp_announce_pt listener)
{
    ngx_mcp_announce_handler = listener;

    ngx_mcp_announce_running.handler = ngx_mcp_announce_event;
    ngx_mcp_announce_running.log = ngx_cycle->log;
}


ngx_int_t
ngx_mcp_announce(ngx_uint_t kind, u_char *key, u_char *data, size_t len)
{
    u_char                    wakes[NGX_MCP_MAX_WORKERS]
                                   [NGX_MCP_WORKER_ID_LEN];
    ngx_uint_t               i, n, lost;
    ngx_mcp_announcement_t  *news;
    ngx_mcp_zone_t          *zone;

    ngx_mcp_announce_self(kind, key, data, len);

    zone = ngx_mcp_zone();

    n = 0;
    lost = 0;

    ngx_mcp_zone_lock(zone);

    news = ngx_mcp_announce_add(zone, len, &lost);

    if (news) {
        news->kind = kind;
        ngx_memcpy(news->key, key, NGX_MCP_DIGEST_LEN);

        if (len) {
            ngx_memcpy(news + 1, data, len);
        }

        n = ngx_mcp_workers_wake_all_locked(zone, wakes);
    }

    ngx_mcp_zone_unlock(zone);

    for (i = 0; i < n; i++) {
        (void) ngx_mcp_wakeup_send(wakes[i], ngx_cycle->log);
    }

    if (lost) {
        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "mcp sse: too many announcements between workers, %ui "
                      "lost", lost);
    }

    if (news == NULL) {
        ngx_mcp_zone_nomem(zone, ngx_cycle->log);
        return NGX_ERROR;
    }

    return NGX_OK;
}


void
ngx_mcp_announce_self(ngx_uint_t kind, u_char *key, u_char *data, size_t len)
{
    ngx_mcp_announcement_t  *news;

    news = ngx_alloc(sizeof(ngx_mcp_announcement_t) + len, ngx_cycle->log);
    if (news == NULL) {
        return;
    }

    news->kind = kind;
    news->len = len;
    ngx_memcpy(news->key, key, NGX_MCP_DIGEST_LEN);

    if (len) {
        ngx_memcpy(news + 1, data, len);
    }

    ngx_queue_insert_tail(&ngx_mcp_announce_own_queue, &news->queue);

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
    ngx_post_event(&ngx_mcp_announce_running, &ngx_posted_events);
}


static void
ngx_mcp_announce_event(ngx_event_t *ev)
{
    ngx_queue_t             *q;
    ngx_mcp_announcement_t  *news;

    while (!ngx_queue_empty(&ngx_mcp_announce_own_queue)) {
        q = ngx_queue_head(&ngx_mcp_announce_own_queue);
        ngx_queue_remove(q);

        news = ngx_queue_data(q, ngx_mcp_announcement_t, queue);

        ngx_mcp_announce_handler(news->kind, news->key,
                                 (u_char *) (news + 1), news->len);
        ngx_free(news);
    }

    if (ngx_mcp_workers_self() && ngx_mcp_announce_has_unread()) {
        ngx_mcp_announce_run();
    }
}


/*
 * Under the mutex: a new one at the end of the list, or NULL; the oldest make
 * room for it.  "lost" counts those of them that somebody has not heard.
 */

static ngx_mcp_announcement_t *
ngx_mcp_announce_add(ngx_mcp_zone_t *zone, size_t len, ngx_uint_t *lost)
{
    size_t                   size, max;
    ngx_mcp_announcement_t  *news;

    size = sizeof(ngx_mcp_announcement_t) + len;

    /* clients choose the ids in them; the slab may take twice as much */

    max = zone->size / 16;

    ngx_mcp_announce_expire_locked(zone);

    for ( ;; ) {

        news = NULL;

        if (zone->root->nannouncements < NGX_MCP_ANNOUNCE_MAX
            && zone->root->announcements_size + size <= max)
        {
            news = ngx_mcp_zone_alloc_locked(zone, size);
        }

        if (news) {
            break;
        }

        if (zone->root->nannouncements == 0) {
            return NULL;
        }

        *lost += ngx_mcp_announce_drop(zone);
    }

    news->number = ++zone->root->last_announcement;
    news->when = ngx_current_msec;
    news->len = len;
    ngx_memcpy(news->from, ngx_mcp_workers_self()->id, NGX_MCP_WORKER_ID_LEN);

    ngx_queue_insert_tail(&zone->root->announcements, &news->queue);
    zone->root->nannouncements++;
    zone->root->announcements_size += size;

    return news;
}


/*
 * Under the mutex: takes the oldest off; returns whether that is a loss.
 */

static ngx_uint_t
ngx_mcp_announce_drop(ngx_mcp_zone_t *zone)
{
    ngx_uint_t               loss;
    ngx_queue_t             *q;
    ngx_mcp_announcement_t  *news;

    q = ngx_queue_head(&zone->root->announcements);
    news = ngx_queue_data(q, ngx_mcp_announcement_t, queue);

    loss = (news->number > ngx_mcp_announce_known(zone));

    ngx_queue_remove(q);
    zone->root->nannouncements--;
    zone->root->announcements_size -= sizeof(ngx_mcp_announcement_t)
                                      + news->len;

    ngx_mcp_zone_free_locked(zone, news);

    return loss;
}


/*
 * Under the mutex: up to which one all workers have heard them.
 */

static ngx_uint_t
ngx_mcp_announce_known(ngx_mcp_zone_t *zone)
{
    ngx_uint_t         known;
    ngx_queue_t       *q;
    ngx_mcp_worker_t  *worker;

    known = zone->root->last_announcement;

    for (q = ngx_queue_head(&zone->root->workers);
         q != ngx_queue_sentinel(&zone->root->workers);
         q = ngx_queue_next(q))
    {
        worker = ngx_queue_data(q, ngx_mcp_worker_t, queue);
        known = ngx_min(known, worker->announcement_read);
    }

    return known;
}


void
ngx_mcp_announce_expire_locked(ngx_mcp_zone_t *zone)
{
    ngx_uint_t               known;
    ngx_queue_t             *q;
    ngx_mcp_announcement_t  *news;

    if (zone->root->nannouncements == 0) {
        return;
    }

    known = ngx_mcp_announce_known(zone);

    while (zone->root->nannouncements) {
        q = ngx_queue_head(&zone->root->announcements);
        news = ngx_queue_data(q, ngx_mcp_announcement_t, queue);

        /* the clock of the worker that told it may be ahead of this one's */

        if (news->number > known
            && (ngx_msec_int_t) (ngx_current_msec - news->when)
               < NGX_MCP_ANNOUNCE_MAX_AGE_MS)
        {
            return;
        }

        (void) ngx_mcp_announce_drop(zone);
    }
}


ngx_uint_t
ngx_mcp_announce_has_unread(void)
{
    return ngx_mcp_zone()->root->last_announcement
           != ngx_mcp_workers_self()->announcement_read;
}


static void
ngx_mcp_announce_run(void)
{
    u_char                  data[NGX_MCP_ANNOUNCE_MAX_LEN];
    ngx_mcp_announcement_t  news;
    ngx_mcp_zone_t         *zone;

    zone = ngx_mcp_zone();

    if (ngx_mcp_announce_missed(zone)) {
        ngx_mcp_announce_resync();
    }

    while (ngx_mcp_announce_next(zone, &news, data)) {
        ngx_mcp_announce_handler(news.kind, news.key, data, news.len);
    }
}


/*
 * Whether some that this worker has not heard were dropped.
 */

static ngx_uint_t
ngx_mcp_announce_missed(ngx_mcp_zone_t *zone)
{
    ngx_uint_t               first;
    ngx_queue_t             *q;
    ngx_mcp_announcement_t  *news;

    ngx_mcp_zone_lock(zone);

    first = zone->root->last_announcement + 1;

    if (zone->root->nannouncements) {
        q = ngx_queue_head(&zone->root->announcements);
        news = ngx_queue_data(q, ngx_mcp_announcement_t, queue);
        first = news->number;
    }

    ngx_mcp_zone_unlock(zone);

    return first > ngx_mcp_workers_self()->announcement_read + 1;
}


/*
 * The next one of others that this worker has not heard is copied.
 */

static ngx_uint_t
ngx_mcp_announce_next(ngx_mcp_zone_t *zone, ngx_mcp_announcement_t *news,
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

        *news = *next;
        ngx_memcpy(data, next + 1, next->len);

        ngx_mcp_zone_unlock(zone);

        return 1;
    }

    /* those between were dropped */

    self->announcement_read = zone->root->last_announcement;

    ngx_mcp_zone_unlock(zone);

    return 0;
}

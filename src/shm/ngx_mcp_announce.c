
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
    u_char         from[NGX_HTTP_MCP_SSE_WORKER_ID];
    u_char         key[NGX_HTTP_MCP_SSE_DIGEST];
} ngx_http_mcp_sse_news_t;             /* the data follow */


static ngx_http_mcp_sse_news_t *ngx_http_mcp_sse_news_add(
    ngx_http_mcp_sse_zone_t *zone, size_t len, ngx_uint_t *lost);
static ngx_uint_t ngx_http_mcp_sse_news_drop(ngx_http_mcp_sse_zone_t *zone);
static ngx_uint_t ngx_http_mcp_sse_news_known(ngx_http_mcp_sse_zone_t *zone);
static ngx_uint_t ngx_http_mcp_sse_news_missed(ngx_http_mcp_sse_zone_t *zone);
static ngx_uint_t ngx_http_mcp_sse_news_next(ngx_http_mcp_sse_zone_t *zone,
    ngx_http_mcp_sse_news_t *news, u_char *data);
static void ngx_http_mcp_sse_news_event(ngx_event_t *ev);
static void ngx_http_mcp_sse_news_hear(void);


static ngx_http_mcp_sse_listener_pt  ngx_http_mcp_sse_news_listener;

static ngx_event_t                   ngx_http_mcp_sse_news_hearing;
static ngx_queue_t                   ngx_http_mcp_sse_news_to_self = {
    &ngx_http_mcp_sse_news_to_self, &ngx_http_mcp_sse_news_to_self
};


void
ngx_http_mcp_sse_news_init(ngx_http_mcp_sse_listener_pt listener)
{
    ngx_http_mcp_sse_news_listener = listener;

    ngx_http_mcp_sse_news_hearing.handler = ngx_http_mcp_sse_news_event;
    ngx_http_mcp_sse_news_hearing.log = ngx_cycle->log;
}


ngx_int_t
ngx_http_mcp_sse_news_tell(ngx_uint_t kind, u_char *key, u_char *data,
    size_t len)
{
    u_char                    wakes[NGX_HTTP_MCP_SSE_MAX_PEERS]
                                   [NGX_HTTP_MCP_SSE_WORKER_ID];
    ngx_uint_t                i, n, lost;
    ngx_http_mcp_sse_news_t  *news;
    ngx_http_mcp_sse_zone_t  *zone;

    ngx_http_mcp_sse_news_tell_self(kind, key, data, len);

    zone = ngx_http_mcp_sse_zone();

    n = 0;
    lost = 0;

    ngx_http_mcp_sse_zone_lock(zone);

    news = ngx_http_mcp_sse_news_add(zone, len, &lost);

    if (news) {
        news->kind = kind;
        ngx_memcpy(news->key, key, NGX_HTTP_MCP_SSE_DIGEST);

        if (len) {
            ngx_memcpy(news + 1, data, len);
        }

        n = ngx_http_mcp_sse_shm_wakes(zone, wakes);
    }

    ngx_http_mcp_sse_zone_unlock(zone);

    for (i = 0; i < n; i++) {
        (void) ngx_http_mcp_sse_wakeup_send(wakes[i], ngx_cycle->log);
    }

    if (lost) {
        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "mcp sse: too many announcements between workers, %ui "
                      "lost", lost);
    }

    if (news == NULL) {
        ngx_http_mcp_sse_zone_nomem(zone, ngx_cycle->log);
        return NGX_ERROR;
    }

    return NGX_OK;
}


void
ngx_http_mcp_sse_news_tell_self(ngx_uint_t kind, u_char *key, u_char *data,
    size_t len)
{
    ngx_http_mcp_sse_news_t  *news;

    news = ngx_alloc(sizeof(ngx_http_mcp_sse_news_t) + len, ngx_cycle->log);
    if (news == NULL) {
        return;
    }

    news->kind = kind;
    news->len = len;
    ngx_memcpy(news->key, key, NGX_HTTP_MCP_SSE_DIGEST);

    if (len) {
        ngx_memcpy(news + 1, data, len);
    }

    ngx_queue_insert_tail(&ngx_http_mcp_sse_news_to_self, &news->queue);

    ngx_http_mcp_sse_news_post();
}


void
ngx_http_mcp_sse_news_look(void)
{
    u_char  key[NGX_HTTP_MCP_SSE_DIGEST];

    ngx_memzero(key, NGX_HTTP_MCP_SSE_DIGEST);

    ngx_http_mcp_sse_news_tell_self(NGX_HTTP_MCP_SSE_NEWS_LOOK, key, NULL, 0);
}


void
ngx_http_mcp_sse_news_post(void)
{
    ngx_post_event(&ngx_http_mcp_sse_news_hearing, &ngx_posted_events);
}


static void
ngx_http_mcp_sse_news_event(ngx_event_t *ev)
{
    ngx_queue_t              *q;
    ngx_http_mcp_sse_news_t  *news;

    while (!ngx_queue_empty(&ngx_http_mcp_sse_news_to_self)) {
        q = ngx_queue_head(&ngx_http_mcp_sse_news_to_self);
        ngx_queue_remove(q);

        news = ngx_queue_data(q, ngx_http_mcp_sse_news_t, queue);

        ngx_http_mcp_sse_news_listener(news->kind, news->key,
                                       (u_char *) (news + 1), news->len);
        ngx_free(news);
    }

    if (ngx_http_mcp_sse_shm_self() && ngx_http_mcp_sse_news_unheard()) {
        ngx_http_mcp_sse_news_hear();
    }
}


/*
 * Under the mutex: a new one at the end of the list, or NULL; the oldest make
 * room for it.  "lost" counts those of them that somebody has not heard.
 */

static ngx_http_mcp_sse_news_t *
ngx_http_mcp_sse_news_add(ngx_http_mcp_sse_zone_t *zone, size_t len,
    ngx_uint_t *lost)
{
    size_t                    size, max;
    ngx_http_mcp_sse_news_t  *news;

    size = sizeof(ngx_http_mcp_sse_news_t) + len;

    /* clients choose the ids in them; the slab may take twice as much */

    max = zone->size / 16;

    ngx_http_mcp_sse_news_expire(zone);

    for ( ;; ) {

        news = NULL;

        if (zone->root->nnews < NGX_HTTP_MCP_SSE_MAX_NEWS
            && zone->root->news_size + size <= max)
        {
            news = ngx_http_mcp_sse_zone_alloc(zone, size);
        }

        if (news) {
            break;
        }

        if (zone->root->nnews == 0) {
            return NULL;
        }

        *lost += ngx_http_mcp_sse_news_drop(zone);
    }

    news->number = ++zone->root->last_news;
    news->when = ngx_current_msec;
    news->len = len;
    ngx_memcpy(news->from, ngx_http_mcp_sse_shm_self()->id,
               NGX_HTTP_MCP_SSE_WORKER_ID);

    ngx_queue_insert_tail(&zone->root->news, &news->queue);
    zone->root->nnews++;
    zone->root->news_size += size;

    return news;
}


/*
 * Under the mutex: takes the oldest off; returns whether that is a loss.
 */

static ngx_uint_t
ngx_http_mcp_sse_news_drop(ngx_http_mcp_sse_zone_t *zone)
{
    ngx_uint_t                loss;
    ngx_queue_t              *q;
    ngx_http_mcp_sse_news_t  *news;

    q = ngx_queue_head(&zone->root->news);
    news = ngx_queue_data(q, ngx_http_mcp_sse_news_t, queue);

    loss = (news->number > ngx_http_mcp_sse_news_known(zone));

    ngx_queue_remove(q);
    zone->root->nnews--;
    zone->root->news_size -= sizeof(ngx_http_mcp_sse_news_t) + news->len;

    ngx_http_mcp_sse_zone_free(zone, news);

    return loss;
}


/*
 * Under the mutex: up to which one all workers have heard them.
 */

static ngx_uint_t
ngx_http_mcp_sse_news_known(ngx_http_mcp_sse_zone_t *zone)
{
    ngx_uint_t                known;
    ngx_queue_t              *q;
    ngx_http_mcp_sse_peer_t  *peer;

    known = zone->root->last_news;

    for (q = ngx_queue_head(&zone->root->peers);
         q != ngx_queue_sentinel(&zone->root->peers);
         q = ngx_queue_next(q))
    {
        peer = ngx_queue_data(q, ngx_http_mcp_sse_peer_t, queue);
        known = ngx_min(known, peer->heard);
    }

    return known;
}


void
ngx_http_mcp_sse_news_expire(ngx_http_mcp_sse_zone_t *zone)
{
    ngx_uint_t                known;
    ngx_queue_t              *q;
    ngx_http_mcp_sse_news_t  *news;

    if (zone->root->nnews == 0) {
        return;
    }

    known = ngx_http_mcp_sse_news_known(zone);

    while (zone->root->nnews) {
        q = ngx_queue_head(&zone->root->news);
        news = ngx_queue_data(q, ngx_http_mcp_sse_news_t, queue);

        /* the clock of the worker that told it may be ahead of this one's */

        if (news->number > known
            && (ngx_msec_int_t) (ngx_current_msec - news->when)
               < NGX_HTTP_MCP_SSE_NEWS_AGE)
        {
            return;
        }

        (void) ngx_http_mcp_sse_news_drop(zone);
    }
}


ngx_uint_t
ngx_http_mcp_sse_news_unheard(void)
{
    return ngx_http_mcp_sse_zone()->root->last_news
           != ngx_http_mcp_sse_shm_self()->heard;
}


static void
ngx_http_mcp_sse_news_hear(void)
{
    u_char                    data[NGX_HTTP_MCP_SSE_MAX_NEWS_LEN];
    ngx_http_mcp_sse_news_t   news;
    ngx_http_mcp_sse_zone_t  *zone;

    zone = ngx_http_mcp_sse_zone();

    if (ngx_http_mcp_sse_news_missed(zone)) {
        ngx_http_mcp_sse_news_look();
    }

    while (ngx_http_mcp_sse_news_next(zone, &news, data)) {
        ngx_http_mcp_sse_news_listener(news.kind, news.key, data, news.len);
    }
}


/*
 * Whether some that this worker has not heard were dropped.
 */

static ngx_uint_t
ngx_http_mcp_sse_news_missed(ngx_http_mcp_sse_zone_t *zone)
{
    ngx_uint_t                first;
    ngx_queue_t              *q;
    ngx_http_mcp_sse_news_t  *news;

    ngx_http_mcp_sse_zone_lock(zone);

    first = zone->root->last_news + 1;

    if (zone->root->nnews) {
        q = ngx_queue_head(&zone->root->news);
        news = ngx_queue_data(q, ngx_http_mcp_sse_news_t, queue);
        first = news->number;
    }

    ngx_http_mcp_sse_zone_unlock(zone);

    return first > ngx_http_mcp_sse_shm_self()->heard + 1;
}


/*
 * The next one of others that this worker has not heard is copied.
 */

static ngx_uint_t
ngx_http_mcp_sse_news_next(ngx_http_mcp_sse_zone_t *zone,
    ngx_http_mcp_sse_news_t *news, u_char *data)
{
    ngx_queue_t              *q;
    ngx_http_mcp_sse_news_t  *next;
    ngx_http_mcp_sse_peer_t  *self;

    self = ngx_http_mcp_sse_shm_self();

    ngx_http_mcp_sse_zone_lock(zone);

    for (q = ngx_queue_head(&zone->root->news);
         q != ngx_queue_sentinel(&zone->root->news);
         q = ngx_queue_next(q))
    {
        next = ngx_queue_data(q, ngx_http_mcp_sse_news_t, queue);

        if (next->number <= self->heard) {
            continue;
        }

        self->heard = next->number;

        if (ngx_memcmp(next->from, self->id, NGX_HTTP_MCP_SSE_WORKER_ID)
            == 0)
        {
            continue;
        }

        *news = *next;
        ngx_memcpy(data, next + 1, next->len);

        ngx_http_mcp_sse_zone_unlock(zone);

        return 1;
    }

    /* those between were dropped */

    self->heard = zone->root->last_news;

    ngx_http_mcp_sse_zone_unlock(zone);

    return 0;
}

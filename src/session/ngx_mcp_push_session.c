
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * What Frappe has published for a user or a site, to the streams of this
 * worker.
 *
 * A site can have thousands of streams here, and each costs a write: a message
 * goes to some of them in each turn of the event loop.  Messages are in one
 * queue and go one after the other, so that no session gets them in another
 * order.  A message has a pointer to the next session, which a session that
 * leaves moves on.
 */

#include "ngx_mcp_push_session.h"
#include "ngx_mcp_counters.h"
#include "ngx_mcp_list_changed.h"
#include "ngx_mcp_log_level.h"
#include "ngx_mcp_primary.h"
#include "ngx_mcp_push_event.h"
#include "ngx_mcp_receivers.h"
#include "ngx_mcp_subscribe_check.h"
#include "ngx_mcp_subscriptions.h"


/* sessions that get a message in one turn of the event loop */

#define NGX_MCP_PUSH_SESSION_SLICE    128

/* that may wait in a worker */

#define NGX_MCP_PUSH_SESSION_MAX      1024                  /* messages */
#define NGX_MCP_PUSH_SESSION_MAX_LEN  (16 * 1024 * 1024)    /* bytes */

/* sessions of a worker whose streams were lost: of more, changes are dropped */

#define NGX_MCP_PUSH_SESSION_LOST     16384


/* a message on its way; in its own pool */

typedef struct {
    ngx_queue_t            queue;
    ngx_pool_t            *pool;
    ngx_mcp_pushed_t       pushed;
    ngx_mcp_event_t       *event;          /* that all share, or NULL */
    ngx_mcp_receiver_t    *next;           /* that has not got it, or NULL */
    ngx_uint_t             level;          /* of a log message */
    ngx_uint_t             number;         /* see ngx_mcp_primary.h */
    size_t                 size;
    u_char                 uri[NGX_MCP_DIGEST_LEN];
} ngx_mcp_push_walk_t;


static void ngx_mcp_push_session_lost(ngx_mcp_receiver_t *r);
static void ngx_mcp_push_session_expired(void *data);
static void ngx_mcp_push_session_free(ngx_mcp_receiver_t *r);
static ngx_mcp_push_walk_t *ngx_mcp_push_session_walk(ngx_pool_t *pool,
    ngx_mcp_pushed_t *pushed);
static void ngx_mcp_push_session_event(ngx_event_t *ev);
static void ngx_mcp_push_session_turn(void);
static ngx_int_t ngx_mcp_push_session_some(ngx_mcp_push_walk_t *walk);
static void ngx_mcp_push_session_start(ngx_mcp_push_walk_t *walk);
static void ngx_mcp_push_session_done(ngx_mcp_push_walk_t *walk);
static ngx_mcp_receiver_t *ngx_mcp_push_session_next(
    ngx_mcp_push_walk_t *walk);
static void ngx_mcp_push_session_to(ngx_mcp_push_walk_t *walk,
    ngx_mcp_receiver_t *r);
static void ngx_mcp_push_session_updated(ngx_mcp_session_t *s,
    ngx_str_t *raw_uri);
static void ngx_mcp_push_session_send(ngx_mcp_session_t *s,
    ngx_mcp_pushed_t *pushed, ngx_mcp_event_t **first);


static ngx_queue_t   ngx_mcp_push_walks;
static ngx_uint_t    ngx_mcp_push_nwalks;
static size_t        ngx_mcp_push_walks_size;
static ngx_event_t   ngx_mcp_push_walks_event;

static ngx_uint_t    ngx_mcp_push_session_nlost;

/* sessions that have got a message at that time */

static ngx_uint_t    ngx_mcp_push_session_n;
static ngx_msec_t    ngx_mcp_push_session_at;


ngx_int_t
ngx_mcp_push_session_init(void)
{
    ngx_queue_init(&ngx_mcp_push_walks);

    ngx_mcp_push_walks_event.handler = ngx_mcp_push_session_event;
    ngx_mcp_push_walks_event.log = ngx_cycle->log;

    return ngx_mcp_receivers_init();
}


ngx_int_t
ngx_mcp_push_session_enter(ngx_mcp_session_t *s)
{
    return ngx_mcp_events_used() ? ngx_mcp_receivers_enter(s) : NGX_OK;
}


void
ngx_mcp_push_session_leave(ngx_mcp_session_t *s)
{
    ngx_mcp_receiver_t  *r;

    ngx_mcp_primary_leave(s);

    r = s->receiver;

    if (r == NULL) {
        return;
    }

    s->receiver = NULL;

    ngx_mcp_timer_del(&r->timer);

    if (s->tombstone && ngx_mcp_push_session_nlost < NGX_MCP_PUSH_SESSION_LOST)
    {
        ngx_mcp_push_session_lost(r);
        return;
    }

    ngx_mcp_push_session_free(r);
}


static void
ngx_mcp_push_session_lost(ngx_mcp_receiver_t *r)
{
    ngx_mcp_session_t  *s;

    s = r->session;

    r->session = NULL;
    r->tombstone = s->tombstone;
    ngx_memcpy(r->key, s->sid.key, NGX_MCP_DIGEST_LEN);

    r->timer.handler = ngx_mcp_push_session_expired;
    r->timer.data = r;
    ngx_mcp_timer_set(&r->timer, s->conf->grace);

    ngx_mcp_push_session_nlost++;

    if (r->changed) {
        ngx_mcp_list_changed(r, r->changed);
    }
}


static void
ngx_mcp_push_session_expired(void *data)
{
    ngx_mcp_push_session_nlost--;

    ngx_mcp_push_session_free(data);
}


static void
ngx_mcp_push_session_free(ngx_mcp_receiver_t *r)
{
    ngx_queue_t          *q;
    ngx_mcp_push_walk_t  *walk;

    /* the other messages have not started */

    if (!ngx_queue_empty(&ngx_mcp_push_walks)) {
        q = ngx_queue_head(&ngx_mcp_push_walks);
        walk = ngx_queue_data(q, ngx_mcp_push_walk_t, queue);

        if (walk->next == r) {
            walk->next = ngx_mcp_push_session_next(walk);
        }
    }

    ngx_mcp_receivers_leave(r);
}


ngx_uint_t
ngx_mcp_push_session_has(ngx_str_t *site, ngx_str_t *user)
{
    return ngx_mcp_receivers_find(site, user) != NULL;
}


void
ngx_mcp_push_session(ngx_pool_t *pool, ngx_mcp_pushed_t *pushed)
{
    ngx_uint_t            first;
    ngx_mcp_push_walk_t  *walk;

    walk = ngx_mcp_push_session_walk(pool, pushed);

    if (walk == NULL) {
        ngx_destroy_pool(pool);
        return;
    }

    if (ngx_mcp_push_nwalks == NGX_MCP_PUSH_SESSION_MAX
        || ngx_mcp_push_walks_size + walk->size > NGX_MCP_PUSH_SESSION_MAX_LEN)
    {
        ngx_mcp_push_drop(NGX_MCP_COUNT_EVENTS_QUEUE, &pushed->to,
                          "too many messages wait for their turn");
        ngx_destroy_pool(pool);
        return;
    }

    first = ngx_queue_empty(&ngx_mcp_push_walks);

    ngx_queue_insert_tail(&ngx_mcp_push_walks, &walk->queue);
    ngx_mcp_push_walks_size += walk->size;
    ngx_mcp_push_nwalks++;

    if (first) {
        ngx_mcp_push_session_start(walk);
        ngx_mcp_push_session_turn();
    }
}


static ngx_mcp_push_walk_t *
ngx_mcp_push_session_walk(ngx_pool_t *pool, ngx_mcp_pushed_t *pushed)
{
    ngx_mcp_push_walk_t  *walk;

    walk = ngx_pcalloc(pool, sizeof(ngx_mcp_push_walk_t));
    if (walk == NULL) {
        return NULL;
    }

    walk->pool = pool;
    walk->pushed = *pushed;
    walk->size = ngx_mcp_push_event_size(pushed);
    walk->number = ngx_mcp_primary_message();

    if (pushed->method == NGX_MCP_PUSHED_MESSAGE) {
        walk->level = ngx_mcp_log_level(&pushed->level);
    }

    if (pushed->method == NGX_MCP_PUSHED_UPDATED
        && ngx_mcp_subscribe_digest(&pushed->uri, walk->uri) != NGX_OK)
    {
        return NULL;
    }

    return walk;
}


static void
ngx_mcp_push_session_event(ngx_event_t *ev)
{
    ngx_mcp_push_session_n = 0;

    ngx_mcp_push_session_turn();
}


/*
 * What is sent to streams is written in this turn of the event loop, before
 * the next one begins.
 */

static void
ngx_mcp_push_session_turn(void)
{
    ngx_queue_t          *q, *next;
    ngx_mcp_push_walk_t  *walk;

    if (ngx_mcp_push_session_at != ngx_current_msec) {
        ngx_mcp_push_session_at = ngx_current_msec;
        ngx_mcp_push_session_n = 0;
    }

    for (q = ngx_queue_head(&ngx_mcp_push_walks);
         q != ngx_queue_sentinel(&ngx_mcp_push_walks);
         q = next)
    {
        walk = ngx_queue_data(q, ngx_mcp_push_walk_t, queue);

        if (ngx_mcp_push_session_some(walk) == NGX_AGAIN) {
            ngx_post_event(&ngx_mcp_push_walks_event,
                           &ngx_posted_next_events);
            return;
        }

        next = ngx_queue_next(q);

        ngx_mcp_push_session_done(walk);
    }
}


/*
 * Sends to some of the sessions: NGX_AGAIN if others are left for another turn,
 * or NGX_OK.
 */

static ngx_int_t
ngx_mcp_push_session_some(ngx_mcp_push_walk_t *walk)
{
    ngx_mcp_receiver_t  *r;

    while (walk->next) {

        if (ngx_mcp_push_session_n == NGX_MCP_PUSH_SESSION_SLICE) {
            return NGX_AGAIN;
        }

        ngx_mcp_push_session_n++;

        r = walk->next;
        walk->next = ngx_mcp_push_session_next(walk);

        ngx_mcp_push_session_to(walk, r);
    }

    return NGX_OK;
}


static void
ngx_mcp_push_session_start(ngx_mcp_push_walk_t *walk)
{
    ngx_mcp_pushed_address_t  *to;

    to = &walk->pushed.to;

    walk->next = ngx_mcp_receivers_find(&to->site,
                                        to->user.data ? &to->user : NULL);
}


static ngx_mcp_receiver_t *
ngx_mcp_push_session_next(ngx_mcp_push_walk_t *walk)
{
    return ngx_mcp_receivers_next(walk->next,
                                  walk->pushed.to.user.data != NULL);
}


/*
 * All sessions have got the first message: the next one starts.
 */

static void
ngx_mcp_push_session_done(ngx_mcp_push_walk_t *walk)
{
    ngx_queue_t  *q;

    ngx_queue_remove(&walk->queue);
    ngx_mcp_push_walks_size -= walk->size;
    ngx_mcp_push_nwalks--;

    if (walk->event) {
        ngx_mcp_event_free(walk->event);
    }

    ngx_destroy_pool(walk->pool);

    if (!ngx_queue_empty(&ngx_mcp_push_walks)) {
        q = ngx_queue_head(&ngx_mcp_push_walks);

        ngx_mcp_push_session_start(ngx_queue_data(q, ngx_mcp_push_walk_t,
                                                  queue));
    }
}


static void
ngx_mcp_push_session_to(ngx_mcp_push_walk_t *walk, ngx_mcp_receiver_t *r)
{
    ngx_mcp_pushed_t   *pushed;
    ngx_mcp_session_t  *s;

    s = r->session;
    pushed = &walk->pushed;

    if (s
        && !(ngx_mcp_push_event_receives(s, pushed)
             && ngx_mcp_primary_sends(s, walk->number)))
    {
        return;
    }

    if (pushed->method >= NGX_MCP_PUSHED_TOOLS
        && pushed->method <= NGX_MCP_PUSHED_RESOURCES)
    {
        ngx_mcp_list_changed(r, ngx_mcp_list_changed_bit(pushed->method));
        return;
    }

    /* its stream was lost */

    if (s == NULL) {
        return;
    }

    if (pushed->method == NGX_MCP_PUSHED_UPDATED) {
        ngx_mcp_subscribe_updated(s, walk->uri, &pushed->raw_uri,
                                  ngx_mcp_push_session_updated);
        return;
    }

    if (pushed->method == NGX_MCP_PUSHED_MESSAGE
        && !ngx_mcp_subscriptions_wants(s->sid.key, walk->level))
    {
        return;
    }

    ngx_mcp_push_session_send(s, pushed, &walk->event);
}


/*
 * The backend may have been asked first, and the message may be gone.
 */

static void
ngx_mcp_push_session_updated(ngx_mcp_session_t *s, ngx_str_t *raw_uri)
{
    ngx_mcp_pushed_t  pushed;

    ngx_memzero(&pushed, sizeof(ngx_mcp_pushed_t));

    pushed.method = NGX_MCP_PUSHED_UPDATED;
    ngx_str_set(&pushed.raw_method, "\"notifications/resources/updated\"");
    pushed.raw_uri = *raw_uri;

    if (ngx_mcp_push_event_receives(s, &pushed)) {
        ngx_mcp_push_session_send(s, &pushed, NULL);
    }
}


static void
ngx_mcp_push_session_send(ngx_mcp_session_t *s, ngx_mcp_pushed_t *pushed,
    ngx_mcp_event_t **first)
{
    ngx_mcp_pushed_address_t  to;

    /* the zone was locked, and recovery may have closed the session */

    if (s->stream == NULL) {
        return;
    }

    if (ngx_mcp_push_event_send(s, pushed, first) == NGX_BUSY) {

        ngx_str_null(&to.call);
        to.site = s->events_site;
        to.user = s->user;

        ngx_mcp_push_drop(NGX_MCP_COUNT_EVENTS_QUEUE, &to,
                          "the client does not read its stream");
    }
}


/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Delivers the message of a POST, which stays pending while other instances
 * are asked or the stream of its session may come back.
 *
 * DESIGN.  A delivery is tried at once: in this instance by the bus; if that
 * does not have the session or its stream, in another instance.  If the
 * outcome is not final, the request is suspended, and its context is linked
 * into the list of pending requests of the worker.  A timer tries all of them
 * again, in the order of their arrival, until they get a final outcome, reach
 * the deadline (mcp_sse_grace), or are cancelled.  A request for which another
 * instance is asked is not tried here: the message may be executed there.
 *
 * The pending requests of a session are a queue.  In each round its first
 * request that waits is tried; if it goes on waiting, the others do, too, and
 * the one question to Redis that it asks is answered for all of them, in their
 * order.  A request that arrives while others wait is queued behind them.
 *
 * They are limited like the inbox of the session, and counted in a block that
 * is freed with the last of them.
 */

#include "ngx_mcp_pending.h"
#include "ngx_mcp_bus.h"
#include "ngx_mcp_suspend.h"
#include "ngx_mcp_json_text.h"


#define NGX_MCP_PENDING_RETRY_MS         50
#define NGX_MCP_PENDING_RETRY_REMOTE_MS  200

/* the least time for an acknowledgement, docs/PROTOCOL.md 11.3 */

#define NGX_MCP_PENDING_MIN_WAIT_MS      1000


/* the pending requests of one session */

struct ngx_mcp_pending_session_s {
    ngx_rbtree_node_t   node;
    u_char              key[NGX_MCP_DIGEST_LEN];
    ngx_int_t           n;
    ngx_int_t           nsending;      /* of these: with an attempt */
    size_t              size;          /* of their envelopes, bytes */
    ngx_msec_t          asked;         /* Redis, the last time */

    /* of the first one that waits */

    ngx_uint_t          round;         /* in which it was tried */
    ngx_uint_t          question;      /* that it asked then, or 0 */
    ngx_mcp_delivery_e  outcome;
    unsigned            stream_lost:1;
};


static ngx_mcp_delivery_e ngx_mcp_pending_try(ngx_mcp_pending_t *p);
static ngx_uint_t ngx_mcp_pending_follows(ngx_mcp_pending_t *p,
    ngx_mcp_pending_session_t *session);
static ngx_mcp_delivery_e ngx_mcp_pending_follow(ngx_mcp_pending_t *p,
    ngx_mcp_pending_session_t *session);
static ngx_mcp_delivery_e ngx_mcp_pending_first(ngx_mcp_pending_t *p);
static ngx_mcp_delivery_e ngx_mcp_pending_ask(ngx_mcp_pending_t *p,
    ngx_uint_t *question);
static void ngx_mcp_pending_remote_done(void *data, ngx_mcp_delivery_e rc);
static ngx_uint_t ngx_mcp_pending_can_retry(ngx_mcp_delivery_e rc);
static ngx_uint_t ngx_mcp_pending_is_new_id(ngx_mcp_pending_t *p);
static ngx_uint_t ngx_mcp_pending_executes_nothing(ngx_mcp_pending_t *p);
static ngx_int_t ngx_mcp_pending_suspend(ngx_mcp_pending_t *p,
    ngx_mcp_resume_pt answer);
static ngx_mcp_pending_session_t *ngx_mcp_pending_find(u_char *key);
static ngx_uint_t ngx_mcp_pending_is_full(ngx_mcp_pending_t *p,
    ngx_mcp_pending_session_t *session);
static ngx_int_t ngx_mcp_pending_add(ngx_mcp_pending_t *p,
    ngx_mcp_pending_session_t *session);
static void ngx_mcp_pending_retry_all(void *data);
static void ngx_mcp_pending_retry(ngx_mcp_pending_t *p);
static void ngx_mcp_pending_done(ngx_mcp_pending_t *p, ngx_mcp_delivery_e rc);


static ngx_queue_t  ngx_mcp_pending_requests = {
    &ngx_mcp_pending_requests, &ngx_mcp_pending_requests
};

static ngx_rbtree_node_t  ngx_mcp_pending_sessions_sentinel;

static ngx_rbtree_t  ngx_mcp_pending_sessions = {
    &ngx_mcp_pending_sessions_sentinel, &ngx_mcp_pending_sessions_sentinel,
    ngx_rbtree_insert_value
};

static ngx_mcp_timer_t  ngx_mcp_pending_timer;
static ngx_uint_t       ngx_mcp_pending_round;


ngx_int_t
ngx_mcp_pending_deliver(ngx_http_request_t *r, ngx_mcp_resume_pt answer)
{
    ngx_mcp_ctx_t       *ctx;
    ngx_mcp_pending_t   *p;
    ngx_mcp_loc_conf_t  *conf;

    ctx = ngx_http_get_module_ctx(r, ngx_http_mcp_sse_module);
    conf = ngx_http_get_module_loc_conf(r, ngx_http_mcp_sse_module);

    p = ctx->pending;

    p->deadline = ngx_current_msec + conf->grace;
    p->outcome = ngx_mcp_pending_try(p);

    if (p->outcome == NGX_MCP_DELIVERY_PENDING
        || ngx_mcp_pending_can_retry(p->outcome))
    {
        return ngx_mcp_pending_suspend(p, answer);
    }

    return answer(r);
}


static ngx_mcp_delivery_e
ngx_mcp_pending_try(ngx_mcp_pending_t *p)
{
    ngx_mcp_delivery_e          rc;
    ngx_mcp_pending_session_t  *session;

    session = p->session ? p->session : ngx_mcp_pending_find(p->ctx->sid.key);

    rc = ngx_mcp_pending_follows(p, session)
         ? ngx_mcp_pending_follow(p, session) : ngx_mcp_pending_first(p);

    /* a POST that executes nothing does not wait for a lost Redis */

    if ((rc == NGX_MCP_DELIVERY_UNREACHABLE
         || (ngx_mcp_pending_can_retry(rc)
             && !p->stream_lost
             && ngx_mcp_bus_maybe_lost()))
        && ngx_mcp_pending_executes_nothing(p))
    {
        return NGX_MCP_DELIVERY_ACCEPTED;
    }

    return rc;
}


/*
 * Whether an earlier request of the session waits: for a new one, any that
 * waits or has waited, though all of them may just ask Redis; in a round, one
 * that was tried in it.
 */

static ngx_uint_t
ngx_mcp_pending_follows(ngx_mcp_pending_t *p,
    ngx_mcp_pending_session_t *session)
{
    if (session == NULL) {
        return 0;
    }

    if (p->session) {
        return session->round == ngx_mcp_pending_round;
    }

    return session->round || session->n > session->nsending;
}


static ngx_mcp_delivery_e
ngx_mcp_pending_follow(ngx_mcp_pending_t *p,
    ngx_mcp_pending_session_t *session)
{
    p->stream_lost = session->stream_lost;

    if (p->session && session->question) {
        return ngx_mcp_pending_ask(p, &session->question);
    }

    return session->outcome;
}


static ngx_mcp_delivery_e
ngx_mcp_pending_first(ngx_mcp_pending_t *p)
{
    ngx_uint_t                  question;
    ngx_mcp_delivery_e          rc;
    ngx_mcp_pending_session_t  *session;

    session = p->session;
    question = 0;

    rc = ngx_mcp_bus_deliver(p->ctx->sid.key, p->envelope, 0,
                             p->ctx->request->connection->log);

    if (rc == NGX_MCP_DELIVERY_ACCEPTED) {
        p->envelope = NULL;
    }

    if (rc != NGX_MCP_DELIVERY_NO_SESSION
        && rc != NGX_MCP_DELIVERY_STREAM_LOST)
    {
        return rc;
    }

    p->stream_lost = (rc == NGX_MCP_DELIVERY_STREAM_LOST);

    rc = p->outcome;

    if (session == NULL
        || ngx_current_msec - session->asked >= NGX_MCP_PENDING_RETRY_REMOTE_MS)
    {
        rc = ngx_mcp_pending_ask(p, &question);
    }

    if (session
        && (rc == NGX_MCP_DELIVERY_PENDING || ngx_mcp_pending_can_retry(rc)))
    {
        session->round = ngx_mcp_pending_round;
        session->question = question;
        session->stream_lost = p->stream_lost;

        if (rc != NGX_MCP_DELIVERY_PENDING) {
            session->outcome = rc;
        }
    }

    return rc;
}


static ngx_mcp_delivery_e
ngx_mcp_pending_ask(ngx_mcp_pending_t *p, ngx_uint_t *question)
{
    ngx_msec_t          deadline;
    ngx_mcp_delivery_e  rc;

    deadline = ngx_current_msec + NGX_MCP_PENDING_MIN_WAIT_MS;

    if ((ngx_msec_int_t) (p->deadline - deadline) > 0) {
        deadline = p->deadline;
    }

    rc = ngx_mcp_remote_send(&p->remote_send, p->ctx->sid.key, p->envelope,
                             deadline, ngx_mcp_pending_remote_done, p,
                             question);

    if (p->session) {
        p->session->asked = ngx_current_msec;

        if (p->remote_send) {
            p->session->nsending++;
        }
    }

    /* the stream may come back to this instance */

    if (p->stream_lost) {

        if (rc == NGX_MCP_DELIVERY_NO_SESSION) {
            return NGX_MCP_DELIVERY_STREAM_LOST;
        }

        if (rc == NGX_MCP_DELIVERY_UNREACHABLE) {
            return NGX_MCP_DELIVERY_RETRY;
        }
    }

    return rc;
}


static void
ngx_mcp_pending_remote_done(void *data, ngx_mcp_delivery_e rc)
{
    ngx_mcp_pending_t  *p = data;

    ngx_log_debug3(NGX_LOG_DEBUG_HTTP, p->ctx->request->connection->log, 0,
                   "mcp pending: session %*s, other instance:%d",
                   (size_t) NGX_MCP_HASH_LEN, p->ctx->sid.hash, (int) rc);

    p->remote_send = NULL;
    p->session->nsending--;

    if (rc == NGX_MCP_DELIVERY_NO_SESSION
        && (p->stream_lost || ngx_mcp_pending_is_new_id(p)))
    {
        rc = NGX_MCP_DELIVERY_STREAM_LOST;
    }

    if (ngx_mcp_pending_can_retry(rc)) {
        p->session->outcome = rc;
    }

    ngx_mcp_pending_done(p, rc);
}


static ngx_uint_t
ngx_mcp_pending_can_retry(ngx_mcp_delivery_e rc)
{
    return rc == NGX_MCP_DELIVERY_STREAM_LOST || rc == NGX_MCP_DELIVERY_RETRY;
}


/*
 * Whether another instance has made the id so recently that it may not be in
 * Redis yet.
 */

static ngx_uint_t
ngx_mcp_pending_is_new_id(ngx_mcp_pending_t *p)
{
    ngx_mcp_loc_conf_t  *conf;

    conf = ngx_http_get_module_loc_conf(p->ctx->request,
                                        ngx_http_mcp_sse_module);

    return ngx_time() - p->ctx->sid.issued <= (time_t) (conf->grace / 1000)
           && ngx_memcmp(p->ctx->sid.instance, ngx_mcp_zone()->root->instance,
                         NGX_MCP_INSTANCE_LEN)
              != 0;
}


/*
 * Whether it makes no difference that the owner receives the messages.
 */

static ngx_uint_t
ngx_mcp_pending_executes_nothing(ngx_mcp_pending_t *p)
{
    u_char                      *pos;
    ngx_mcp_jsonrpc_message_t    message;

    pos = NULL;

    while (ngx_mcp_envelope_message(p->envelope, &pos, &message) == NGX_OK) {
        if (message.type != NGX_MCP_JSONRPC_RESPONSE
            && !ngx_mcp_str_is(&message.method,
                               "notifications/initialized"))
        {
            return 0;
        }
    }

    return 1;
}


static ngx_int_t
ngx_mcp_pending_suspend(ngx_mcp_pending_t *p, ngx_mcp_resume_pt answer)
{
    ngx_http_request_t         *r;
    ngx_mcp_pending_session_t  *session;

    r = p->ctx->request;

    ngx_log_debug3(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "mcp pending: session %*s, outcome:%d",
                   (size_t) NGX_MCP_HASH_LEN, p->ctx->sid.hash,
                   (int) p->outcome);

    session = ngx_mcp_pending_find(p->ctx->sid.key);

    if (session && ngx_mcp_pending_is_full(p, session)) {
        ngx_mcp_pending_cancel(p);

        p->outcome = NGX_MCP_DELIVERY_INBOX_FULL;
        return answer(r);
    }

    if (ngx_mcp_pending_add(p, session) != NGX_OK
        || ngx_mcp_suspend(r, answer) != NGX_OK)
    {
        ngx_mcp_pending_cancel(p);
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (!ngx_mcp_pending_timer.set) {
        ngx_mcp_pending_timer.handler = ngx_mcp_pending_retry_all;
        ngx_mcp_timer_set(&ngx_mcp_pending_timer, NGX_MCP_PENDING_RETRY_MS);
    }

    return NGX_DONE;
}


static ngx_mcp_pending_session_t *
ngx_mcp_pending_find(u_char *key)
{
    ngx_rbtree_node_t  *node;

    node = ngx_mcp_tree_find(&ngx_mcp_pending_sessions, key,
                                offsetof(ngx_mcp_pending_session_t, key));

    return node ? ngx_rbtree_data(node, ngx_mcp_pending_session_t, node)
                : NULL;
}


/*
 * The limits are those of an inbox.
 */

static ngx_uint_t
ngx_mcp_pending_is_full(ngx_mcp_pending_t *p,
    ngx_mcp_pending_session_t *session)
{
    ngx_mcp_zone_t  *zone;

    zone = ngx_mcp_zone();

    return session->n >= zone->conf->max_inbox
           || session->size + p->envelope->size > zone->size / 8;
}


/*
 * ngx_mcp_pending_cancel() is the reverse.
 */

static ngx_int_t
ngx_mcp_pending_add(ngx_mcp_pending_t *p, ngx_mcp_pending_session_t *session)
{
    if (session == NULL) {
        session = ngx_calloc(sizeof(ngx_mcp_pending_session_t),
                             p->ctx->request->connection->log);
        if (session == NULL) {
            return NGX_ERROR;
        }

        ngx_memcpy(session->key, p->ctx->sid.key, NGX_MCP_DIGEST_LEN);
        session->asked = ngx_current_msec;
        session->stream_lost = p->stream_lost;
        session->outcome = ngx_mcp_pending_can_retry(p->outcome)
                           ? p->outcome : NGX_MCP_DELIVERY_RETRY;

        ngx_mcp_tree_insert(&ngx_mcp_pending_sessions, &session->node,
                            session->key);
    }

    p->session = session;
    p->size = p->envelope->size;
    p->round = ngx_mcp_pending_round;

    session->n++;
    session->size += p->size;

    if (p->remote_send) {
        session->nsending++;
    }

    ngx_queue_insert_tail(&ngx_mcp_pending_requests, &p->queue);
    ngx_mcp_workers_held(1);

    return NGX_OK;
}


/*
 * Each request that stays pending moves to the end of the list, since
 * resuming one may end others: the next one is always the head.
 */

static void
ngx_mcp_pending_retry_all(void *data)
{
    ngx_queue_t    *q;
    ngx_mcp_pending_t  *p;

    ngx_mcp_pending_round++;

    while (!ngx_queue_empty(&ngx_mcp_pending_requests)) {

        q = ngx_queue_head(&ngx_mcp_pending_requests);
        p = ngx_queue_data(q, ngx_mcp_pending_t, queue);

        if (p->round == ngx_mcp_pending_round) {
            ngx_mcp_timer_set(&ngx_mcp_pending_timer,
                              NGX_MCP_PENDING_RETRY_MS);
            return;
        }

        p->round = ngx_mcp_pending_round;

        ngx_queue_remove(q);
        ngx_queue_insert_tail(&ngx_mcp_pending_requests, q);

        ngx_mcp_pending_retry(p);
    }
}


static void
ngx_mcp_pending_retry(ngx_mcp_pending_t *p)
{
    ngx_mcp_delivery_e  rc;

    /* another instance may have the message */

    if (p->remote_send) {
        return;
    }

    rc = ngx_mcp_pending_try(p);

    if (rc != NGX_MCP_DELIVERY_PENDING) {
        ngx_mcp_pending_done(p, rc);
    }
}


static void
ngx_mcp_pending_done(ngx_mcp_pending_t *p, ngx_mcp_delivery_e rc)
{
    p->outcome = rc;

    if (ngx_mcp_pending_can_retry(rc)) {

        if ((ngx_msec_int_t) (p->deadline - ngx_current_msec) > 0) {
            return;
        }

        rc = (rc == NGX_MCP_DELIVERY_RETRY || ngx_mcp_bus_maybe_lost())
             ? NGX_MCP_DELIVERY_UNREACHABLE : NGX_MCP_DELIVERY_NO_SESSION;
    }

    if ((rc == NGX_MCP_DELIVERY_UNREACHABLE
         || rc == NGX_MCP_DELIVERY_UNACKNOWLEDGED)
        && ngx_mcp_pending_executes_nothing(p))
    {
        rc = NGX_MCP_DELIVERY_ACCEPTED;
    }

    ngx_log_debug3(NGX_LOG_DEBUG_HTTP, p->ctx->request->connection->log, 0,
                   "mcp pending: session %*s, final outcome:%d",
                   (size_t) NGX_MCP_HASH_LEN, p->ctx->sid.hash, (int) rc);

    p->outcome = rc;

    ngx_mcp_pending_cancel(p);

    ngx_mcp_resume(p->ctx->request);
}


void
ngx_mcp_pending_cancel(ngx_mcp_pending_t *p)
{
    ngx_mcp_pending_session_t  *session;

    session = p->session;

    if (p->remote_send) {
        p->outcome = ngx_mcp_remote_send_cancel(p->remote_send);
        p->remote_send = NULL;

        if (session) {
            session->nsending--;
        }
    }

    if (session == NULL) {
        return;
    }

    p->session = NULL;

    ngx_queue_remove(&p->queue);
    ngx_mcp_workers_held(-1);

    session->size -= p->size;

    if (--session->n == 0) {
        ngx_rbtree_delete(&ngx_mcp_pending_sessions, &session->node);
        ngx_free(session);
    }
}

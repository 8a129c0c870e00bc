
/*
 * The request belongs to nginx; the list of those that are held only links
 * its context.  Whoever frees the envelope calls hold_let_go() before.  What
 * is held for a session is counted in a block that is freed with the last.
 */

#include "ngx_mcp_pending.h"
#include "ngx_mcp_bus.h"
#include "ngx_mcp_suspend.h"
#include "ngx_mcp_json_text.h"


#define NGX_MCP_PENDING_RETRY_MS      50
#define NGX_MCP_PENDING_ASK_AGAIN_MS  200      /* other instances */
#define NGX_MCP_PENDING_MIN_WAIT_MS   1000     /* of another instance */


/* what is held for one session; there as long as anything is */

struct ngx_mcp_pending_session_s {
    ngx_rbtree_node_t   node;
    u_char              key[NGX_MCP_DIGEST_LEN];
    ngx_int_t           n;             /* POSTs */
    size_t              size;          /* of their envelopes */
};


static ngx_int_t ngx_mcp_pending_try(ngx_mcp_ctx_t *ctx);
static ngx_int_t ngx_mcp_pending_remote(ngx_mcp_ctx_t *ctx, ngx_int_t rc);
static void ngx_mcp_pending_remote_done(void *data, ngx_int_t rc);
static ngx_uint_t ngx_mcp_pending_is_new_id(ngx_mcp_ctx_t *ctx);
static ngx_uint_t ngx_mcp_pending_runs_nothing(ngx_mcp_ctx_t *ctx);
static ngx_int_t ngx_mcp_pending_suspend(ngx_http_request_t *r,
    ngx_mcp_resume_pt answer);
static ngx_mcp_pending_session_t *ngx_mcp_pending_find(u_char *key);
static ngx_uint_t ngx_mcp_pending_full(ngx_mcp_ctx_t *ctx,
    ngx_mcp_pending_session_t *pending);
static ngx_int_t ngx_mcp_pending_enter(ngx_mcp_ctx_t *ctx,
    ngx_mcp_pending_session_t *pending);
static void ngx_mcp_pending_again(void *data);
static void ngx_mcp_pending_retry(ngx_mcp_ctx_t *ctx);
static void ngx_mcp_pending_done(ngx_mcp_ctx_t *ctx, ngx_int_t rc);


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
    ngx_int_t            rc;
    ngx_mcp_ctx_t       *ctx;
    ngx_mcp_loc_conf_t  *conf;

    ctx = ngx_http_get_module_ctx(r, ngx_http_mcp_sse_module);
    conf = ngx_http_get_module_loc_conf(r, ngx_http_mcp_sse_module);

    ctx->deadline = ngx_current_msec + conf->grace;

    rc = ngx_mcp_pending_try(ctx);

    if (rc == NGX_DONE || rc == NGX_AGAIN) {

        /* it may be woken before anything is decided */

        ctx->outcome = NGX_AGAIN;

        return ngx_mcp_pending_suspend(r, answer);
    }

    ctx->outcome = rc;

    return answer(r);
}


/*
 * What this instance says of the message or, when it does not have the
 * session, the others: NGX_DONE, if they are still being asked.
 */

static ngx_int_t
ngx_mcp_pending_try(ngx_mcp_ctx_t *ctx)
{
    ngx_int_t  rc;

    rc = ngx_mcp_bus_deliver(ctx->sid.key, ctx->envelope,
                             ctx->request->connection->log);
    if (rc == NGX_OK) {
        ctx->envelope = NULL;
    }

    if (rc == NGX_DECLINED || rc == NGX_AGAIN) {
        ctx->stream_lost = (rc == NGX_AGAIN);
        rc = ngx_mcp_pending_remote(ctx, rc);
    }

    /* what has nothing to run need not wait for a Redis that is not there */

    if ((rc == NGX_ABORT
         || (rc == NGX_AGAIN && !ctx->stream_lost && ngx_mcp_bus_maybe_lost()))
        && ngx_mcp_pending_runs_nothing(ctx))
    {
        return NGX_OK;
    }

    return rc;
}


static ngx_int_t
ngx_mcp_pending_remote(ngx_mcp_ctx_t *ctx, ngx_int_t rc)
{
    ngx_int_t               far;
    ngx_msec_t              deadline;
    ngx_mcp_remote_send_t  *d;

    if (ctx->asked
        && ngx_current_msec - ctx->asked < NGX_MCP_PENDING_ASK_AGAIN_MS)
    {
        return NGX_AGAIN;
    }

    ctx->asked = ngx_current_msec ? ngx_current_msec : 1;

    deadline = ngx_current_msec + NGX_MCP_PENDING_MIN_WAIT_MS;

    if ((ngx_msec_int_t) (ctx->deadline - deadline) > 0) {
        deadline = ctx->deadline;
    }

    d = &ctx->remote_send;

    d->key = ctx->sid.key;
    d->envelope = ctx->envelope;
    d->deadline = deadline;
    d->handler = ngx_mcp_pending_remote_done;
    d->data = ctx;

    far = ngx_mcp_bus_deliver_far(d);

    if (far == NGX_DECLINED || (far == NGX_ABORT && rc == NGX_AGAIN)) {
        return rc;
    }

    return far;
}


/*
 * The others have said something.
 */

static void
ngx_mcp_pending_remote_done(void *data, ngx_int_t rc)
{
    ngx_mcp_ctx_t  *ctx = data;

    if (rc == NGX_DECLINED
        && (ctx->stream_lost || ngx_mcp_pending_is_new_id(ctx)))
    {
        rc = NGX_AGAIN;
    }

    ngx_mcp_pending_done(ctx, rc);
}


/*
 * An id that another instance has given out so recently that Redis may not
 * have heard of it.
 */

static ngx_uint_t
ngx_mcp_pending_is_new_id(ngx_mcp_ctx_t *ctx)
{
    ngx_mcp_loc_conf_t  *conf;

    conf = ngx_http_get_module_loc_conf(ctx->request, ngx_http_mcp_sse_module);

    return ngx_time() - ctx->sid.issued <= (time_t) (conf->grace / 1000)
           && ngx_memcmp(ngx_mcp_session_id_instance(&ctx->sid),
                         ngx_mcp_zone()->root->instance,
                         NGX_MCP_INSTANCE_LEN)
              != 0;
}


/*
 * There is nothing to run, whether its owner hears of it or not.
 */

static ngx_uint_t
ngx_mcp_pending_runs_nothing(ngx_mcp_ctx_t *ctx)
{
    u_char                      *pos;
    ngx_mcp_jsonrpc_message_t    message;

    pos = NULL;

    while (ngx_mcp_envelope_message(ctx->envelope, &pos, &message) == NGX_OK) {
        if (message.type != NGX_MCP_JSONRPC_RESPONSE
            && !ngx_mcp_str_is(&message.method,
                               "notifications/initialized"))
        {
            return 0;
        }
    }

    return 1;
}


/*
 * The stream was lost a moment ago and may come back, or others are asked.
 */

static ngx_int_t
ngx_mcp_pending_suspend(ngx_http_request_t *r, ngx_mcp_resume_pt answer)
{
    ngx_mcp_ctx_t              *ctx;
    ngx_mcp_pending_session_t  *pending;

    ctx = ngx_http_get_module_ctx(r, ngx_http_mcp_sse_module);

    pending = ngx_mcp_pending_find(ctx->sid.key);

    if (pending && ngx_mcp_pending_full(ctx, pending)) {
        ctx->outcome = NGX_BUSY;
        return answer(r);
    }

    if (ngx_mcp_pending_enter(ctx, pending) != NGX_OK
        || ngx_mcp_suspend(r, answer) != NGX_OK)
    {
        ngx_mcp_pending_cancel(ctx);
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (!ngx_mcp_pending_timer.set) {
        ngx_mcp_pending_timer.handler = ngx_mcp_pending_again;
        ngx_mcp_timer_set(&ngx_mcp_pending_timer, NGX_MCP_PENDING_RETRY_MS);
    }

    return NGX_DONE;
}


static ngx_mcp_pending_session_t *
ngx_mcp_pending_find(u_char *key)
{
    ngx_rbtree_node_t  *node;

    node = ngx_mcp_zone_find(&ngx_mcp_pending_sessions, key,
                                offsetof(ngx_mcp_pending_session_t, key));

    return node ? ngx_rbtree_data(node, ngx_mcp_pending_session_t, node)
                : NULL;
}


/*
 * Are as many held for the session as its inbox takes?
 */

static ngx_uint_t
ngx_mcp_pending_full(ngx_mcp_ctx_t *ctx, ngx_mcp_pending_session_t *pending)
{
    ngx_mcp_zone_t  *zone;

    zone = ngx_mcp_zone();

    return pending->n >= zone->conf->max_inbox
           || pending->size + ctx->envelope->size > zone->size / 8;
}


/*
 * hold_let_go() undoes it.
 */

static ngx_int_t
ngx_mcp_pending_enter(ngx_mcp_ctx_t *ctx, ngx_mcp_pending_session_t *pending)
{
    if (pending == NULL) {
        pending = ngx_alloc(sizeof(ngx_mcp_pending_session_t),
                            ctx->request->connection->log);
        if (pending == NULL) {
            return NGX_ERROR;
        }

        ngx_memcpy(pending->key, ctx->sid.key, NGX_MCP_DIGEST_LEN);
        pending->n = 0;
        pending->size = 0;

        ngx_mcp_zone_insert(&ngx_mcp_pending_sessions,
                                   &pending->node, pending->key);
    }

    ctx->pending = pending;
    ctx->pending_size = ctx->envelope->size;
    ctx->round = ngx_mcp_pending_round;

    pending->n++;
    pending->size += ctx->pending_size;

    ngx_queue_insert_tail(&ngx_mcp_pending_requests, &ctx->pending_queue);
    ngx_mcp_workers_held(1);

    return NGX_OK;
}


/*
 * All of them in the order in which they came.  Each that goes on waiting is
 * put behind the others, since waking one may end others as well.
 */

static void
ngx_mcp_pending_again(void *data)
{
    ngx_queue_t    *q;
    ngx_mcp_ctx_t  *ctx;

    ngx_mcp_pending_round++;

    while (!ngx_queue_empty(&ngx_mcp_pending_requests)) {

        q = ngx_queue_head(&ngx_mcp_pending_requests);
        ctx = ngx_queue_data(q, ngx_mcp_ctx_t, pending_queue);

        if (ctx->round == ngx_mcp_pending_round) {
            ngx_mcp_timer_set(&ngx_mcp_pending_timer,
                              NGX_MCP_PENDING_RETRY_MS);
            return;
        }

        ctx->round = ngx_mcp_pending_round;

        ngx_queue_remove(q);
        ngx_queue_insert_tail(&ngx_mcp_pending_requests, q);

        ngx_mcp_pending_retry(ctx);
    }
}


static void
ngx_mcp_pending_retry(ngx_mcp_ctx_t *ctx)
{
    ngx_int_t  rc;

    /* another instance may have it already */

    if (ctx->remote_send.attempt) {
        return;
    }

    rc = ngx_mcp_pending_try(ctx);

    if (rc != NGX_DONE) {
        ngx_mcp_pending_done(ctx, rc);
    }
}


static void
ngx_mcp_pending_done(ngx_mcp_ctx_t *ctx, ngx_int_t rc)
{
    if (rc == NGX_AGAIN) {

        if ((ngx_msec_int_t) (ctx->deadline - ngx_current_msec) > 0) {
            return;
        }

        rc = (ctx->remote_send.maybe_alive || ngx_mcp_bus_maybe_lost())
             ? NGX_ABORT : NGX_DECLINED;
    }

    if (rc == NGX_ABORT && ngx_mcp_pending_runs_nothing(ctx)) {
        rc = NGX_OK;
    }

    ctx->outcome = rc;

    ngx_mcp_pending_cancel(ctx);

    ngx_mcp_resume(ctx->request);
}


void
ngx_mcp_pending_cancel(ngx_mcp_ctx_t *ctx)
{
    ngx_mcp_pending_session_t  *pending;

    ngx_mcp_remote_send_cancel(&ctx->remote_send);

    pending = ctx->pending;

    if (pending == NULL) {
        return;
    }

    ctx->pending = NULL;

    ngx_queue_remove(&ctx->pending_queue);
    ngx_mcp_workers_held(-1);

    pending->size -= ctx->pending_size;

    if (--pending->n == 0) {
        ngx_rbtree_delete(&ngx_mcp_pending_sessions, &pending->node);
        ngx_free(pending);
    }
}

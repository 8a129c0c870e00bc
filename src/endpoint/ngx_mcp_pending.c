
/*
 * The request belongs to nginx; the list of those that are held only links
 * its context.  Whoever frees the envelope calls hold_let_go() before.  What
 * is held for a session is counted in a block that is freed with the last.
 */

#include "ngx_mcp_pending.h"
#include "ngx_mcp_bus.h"
#include "ngx_mcp_suspend.h"
#include "ngx_mcp_json_text.h"


#define NGX_HTTP_MCP_SSE_TRY_AGAIN   50
#define NGX_HTTP_MCP_SSE_ASK_AGAIN   200      /* other instances */
#define NGX_HTTP_MCP_SSE_ANSWER_MIN  1000     /* of another instance */


/* what is held for one session; there as long as anything is */

struct ngx_http_mcp_sse_holding_s {
    ngx_rbtree_node_t   node;
    u_char              key[NGX_HTTP_MCP_SSE_DIGEST];
    ngx_int_t           n;             /* POSTs */
    size_t              size;          /* of their envelopes */
};


static ngx_int_t ngx_http_mcp_sse_hold_try(ngx_http_mcp_sse_ctx_t *ctx);
static ngx_int_t ngx_http_mcp_sse_hold_far(ngx_http_mcp_sse_ctx_t *ctx,
    ngx_int_t rc);
static void ngx_http_mcp_sse_hold_delivered(void *data, ngx_int_t rc);
static ngx_uint_t ngx_http_mcp_sse_hold_early(ngx_http_mcp_sse_ctx_t *ctx);
static ngx_uint_t ngx_http_mcp_sse_hold_idle(ngx_http_mcp_sse_ctx_t *ctx);
static ngx_int_t ngx_http_mcp_sse_hold_sleep(ngx_http_request_t *r,
    ngx_http_mcp_sse_step_pt answer);
static ngx_http_mcp_sse_holding_t *ngx_http_mcp_sse_hold_find(u_char *key);
static ngx_uint_t ngx_http_mcp_sse_hold_full(ngx_http_mcp_sse_ctx_t *ctx,
    ngx_http_mcp_sse_holding_t *holding);
static ngx_int_t ngx_http_mcp_sse_hold_enter(ngx_http_mcp_sse_ctx_t *ctx,
    ngx_http_mcp_sse_holding_t *holding);
static void ngx_http_mcp_sse_hold_again(void *data);
static void ngx_http_mcp_sse_hold_retry(ngx_http_mcp_sse_ctx_t *ctx);
static void ngx_http_mcp_sse_hold_decided(ngx_http_mcp_sse_ctx_t *ctx,
    ngx_int_t rc);


static ngx_queue_t  ngx_http_mcp_sse_held = {
    &ngx_http_mcp_sse_held, &ngx_http_mcp_sse_held
};

static ngx_rbtree_node_t  ngx_http_mcp_sse_holdings_sentinel;

static ngx_rbtree_t  ngx_http_mcp_sse_holdings = {
    &ngx_http_mcp_sse_holdings_sentinel, &ngx_http_mcp_sse_holdings_sentinel,
    ngx_rbtree_insert_value
};

static ngx_http_mcp_sse_timer_t  ngx_http_mcp_sse_held_timer;
static ngx_uint_t                ngx_http_mcp_sse_held_round;


ngx_int_t
ngx_http_mcp_sse_hold(ngx_http_request_t *r, ngx_http_mcp_sse_step_pt answer)
{
    ngx_int_t                     rc;
    ngx_http_mcp_sse_ctx_t       *ctx;
    ngx_http_mcp_sse_loc_conf_t  *conf;

    ctx = ngx_http_get_module_ctx(r, ngx_http_mcp_sse_module);
    conf = ngx_http_get_module_loc_conf(r, ngx_http_mcp_sse_module);

    ctx->deadline = ngx_current_msec + conf->grace;

    rc = ngx_http_mcp_sse_hold_try(ctx);

    if (rc == NGX_DONE || rc == NGX_AGAIN) {

        /* it may be woken before anything is decided */

        ctx->outcome = NGX_AGAIN;

        return ngx_http_mcp_sse_hold_sleep(r, answer);
    }

    ctx->outcome = rc;

    return answer(r);
}


/*
 * What this instance says of the message or, when it does not have the
 * session, the others: NGX_DONE, if they are still being asked.
 */

static ngx_int_t
ngx_http_mcp_sse_hold_try(ngx_http_mcp_sse_ctx_t *ctx)
{
    ngx_int_t  rc;

    rc = ngx_http_mcp_sse_bus_deliver(ctx->sid.key, ctx->envelope,
                                      ctx->request->connection->log);
    if (rc == NGX_OK) {
        ctx->envelope = NULL;
    }

    if (rc == NGX_DECLINED || rc == NGX_AGAIN) {
        ctx->lost = (rc == NGX_AGAIN);
        rc = ngx_http_mcp_sse_hold_far(ctx, rc);
    }

    /* what has nothing to run need not wait for a Redis that is not there */

    if ((rc == NGX_ABORT
         || (rc == NGX_AGAIN && !ctx->lost && ngx_http_mcp_sse_bus_unsure()))
        && ngx_http_mcp_sse_hold_idle(ctx))
    {
        return NGX_OK;
    }

    return rc;
}


static ngx_int_t
ngx_http_mcp_sse_hold_far(ngx_http_mcp_sse_ctx_t *ctx, ngx_int_t rc)
{
    ngx_int_t                     far;
    ngx_msec_t                    deadline;
    ngx_http_mcp_sse_delivery_t  *d;

    if (ctx->asked
        && ngx_current_msec - ctx->asked < NGX_HTTP_MCP_SSE_ASK_AGAIN)
    {
        return NGX_AGAIN;
    }

    ctx->asked = ngx_current_msec ? ngx_current_msec : 1;

    deadline = ngx_current_msec + NGX_HTTP_MCP_SSE_ANSWER_MIN;

    if ((ngx_msec_int_t) (ctx->deadline - deadline) > 0) {
        deadline = ctx->deadline;
    }

    d = &ctx->delivery;

    d->key = ctx->sid.key;
    d->envelope = ctx->envelope;
    d->deadline = deadline;
    d->handler = ngx_http_mcp_sse_hold_delivered;
    d->data = ctx;

    far = ngx_http_mcp_sse_bus_deliver_far(d);

    if (far == NGX_DECLINED || (far == NGX_ABORT && rc == NGX_AGAIN)) {
        return rc;
    }

    return far;
}


/*
 * The others have said something.
 */

static void
ngx_http_mcp_sse_hold_delivered(void *data, ngx_int_t rc)
{
    ngx_http_mcp_sse_ctx_t  *ctx = data;

    if (rc == NGX_DECLINED
        && (ctx->lost || ngx_http_mcp_sse_hold_early(ctx)))
    {
        rc = NGX_AGAIN;
    }

    ngx_http_mcp_sse_hold_decided(ctx, rc);
}


/*
 * An id that another instance has given out so recently that Redis may not
 * have heard of it.
 */

static ngx_uint_t
ngx_http_mcp_sse_hold_early(ngx_http_mcp_sse_ctx_t *ctx)
{
    ngx_http_mcp_sse_loc_conf_t  *conf;

    conf = ngx_http_get_module_loc_conf(ctx->request, ngx_http_mcp_sse_module);

    return ngx_time() - ctx->sid.issued <= (time_t) (conf->grace / 1000)
           && ngx_memcmp(ngx_http_mcp_sse_sid_instance(&ctx->sid),
                         ngx_http_mcp_sse_zone()->root->instance,
                         NGX_HTTP_MCP_SSE_INSTANCE)
              != 0;
}


/*
 * There is nothing to run, whether its owner hears of it or not.
 */

static ngx_uint_t
ngx_http_mcp_sse_hold_idle(ngx_http_mcp_sse_ctx_t *ctx)
{
    u_char                      *pos;
    ngx_http_mcp_sse_message_t   message;

    pos = NULL;

    while (ngx_http_mcp_sse_envelope_message(ctx->envelope, &pos, &message)
           == NGX_OK)
    {
        if (message.type != NGX_HTTP_MCP_SSE_RESPONSE
            && !ngx_http_mcp_sse_is(&message.method,
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
ngx_http_mcp_sse_hold_sleep(ngx_http_request_t *r,
    ngx_http_mcp_sse_step_pt answer)
{
    ngx_http_mcp_sse_ctx_t      *ctx;
    ngx_http_mcp_sse_holding_t  *holding;

    ctx = ngx_http_get_module_ctx(r, ngx_http_mcp_sse_module);

    holding = ngx_http_mcp_sse_hold_find(ctx->sid.key);

    if (holding && ngx_http_mcp_sse_hold_full(ctx, holding)) {
        ctx->outcome = NGX_BUSY;
        return answer(r);
    }

    if (ngx_http_mcp_sse_hold_enter(ctx, holding) != NGX_OK
        || ngx_http_mcp_sse_sleep(r, answer) != NGX_OK)
    {
        ngx_http_mcp_sse_hold_let_go(ctx);
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (!ngx_http_mcp_sse_held_timer.set) {
        ngx_http_mcp_sse_held_timer.handler = ngx_http_mcp_sse_hold_again;
        ngx_http_mcp_sse_tick_set(&ngx_http_mcp_sse_held_timer,
                                  NGX_HTTP_MCP_SSE_TRY_AGAIN);
    }

    return NGX_DONE;
}


static ngx_http_mcp_sse_holding_t *
ngx_http_mcp_sse_hold_find(u_char *key)
{
    ngx_rbtree_node_t  *node;

    node = ngx_http_mcp_sse_zone_find(&ngx_http_mcp_sse_holdings, key,
                                offsetof(ngx_http_mcp_sse_holding_t, key));

    return node ? ngx_rbtree_data(node, ngx_http_mcp_sse_holding_t, node)
                : NULL;
}


/*
 * Are as many held for the session as its inbox takes?
 */

static ngx_uint_t
ngx_http_mcp_sse_hold_full(ngx_http_mcp_sse_ctx_t *ctx,
    ngx_http_mcp_sse_holding_t *holding)
{
    ngx_http_mcp_sse_zone_t  *zone;

    zone = ngx_http_mcp_sse_zone();

    return holding->n >= zone->conf->max_inbox
           || holding->size + ctx->envelope->size > zone->size / 8;
}


/*
 * hold_let_go() undoes it.
 */

static ngx_int_t
ngx_http_mcp_sse_hold_enter(ngx_http_mcp_sse_ctx_t *ctx,
    ngx_http_mcp_sse_holding_t *holding)
{
    if (holding == NULL) {
        holding = ngx_alloc(sizeof(ngx_http_mcp_sse_holding_t),
                            ctx->request->connection->log);
        if (holding == NULL) {
            return NGX_ERROR;
        }

        ngx_memcpy(holding->key, ctx->sid.key, NGX_HTTP_MCP_SSE_DIGEST);
        holding->n = 0;
        holding->size = 0;

        ngx_http_mcp_sse_zone_insert(&ngx_http_mcp_sse_holdings,
                                     &holding->node, holding->key);
    }

    ctx->holding = holding;
    ctx->held_size = ctx->envelope->size;
    ctx->round = ngx_http_mcp_sse_held_round;

    holding->n++;
    holding->size += ctx->held_size;

    ngx_queue_insert_tail(&ngx_http_mcp_sse_held, &ctx->held);
    ngx_http_mcp_sse_shm_held(1);

    return NGX_OK;
}


/*
 * All of them in the order in which they came.  Each that goes on waiting is
 * put behind the others, since waking one may end others as well.
 */

static void
ngx_http_mcp_sse_hold_again(void *data)
{
    ngx_queue_t             *q;
    ngx_http_mcp_sse_ctx_t  *ctx;

    ngx_http_mcp_sse_held_round++;

    while (!ngx_queue_empty(&ngx_http_mcp_sse_held)) {

        q = ngx_queue_head(&ngx_http_mcp_sse_held);
        ctx = ngx_queue_data(q, ngx_http_mcp_sse_ctx_t, held);

        if (ctx->round == ngx_http_mcp_sse_held_round) {
            ngx_http_mcp_sse_tick_set(&ngx_http_mcp_sse_held_timer,
                                      NGX_HTTP_MCP_SSE_TRY_AGAIN);
            return;
        }

        ctx->round = ngx_http_mcp_sse_held_round;

        ngx_queue_remove(q);
        ngx_queue_insert_tail(&ngx_http_mcp_sse_held, q);

        ngx_http_mcp_sse_hold_retry(ctx);
    }
}


static void
ngx_http_mcp_sse_hold_retry(ngx_http_mcp_sse_ctx_t *ctx)
{
    ngx_int_t  rc;

    /* another instance may have it already */

    if (ctx->delivery.job) {
        return;
    }

    rc = ngx_http_mcp_sse_hold_try(ctx);

    if (rc != NGX_DONE) {
        ngx_http_mcp_sse_hold_decided(ctx, rc);
    }
}


static void
ngx_http_mcp_sse_hold_decided(ngx_http_mcp_sse_ctx_t *ctx, ngx_int_t rc)
{
    if (rc == NGX_AGAIN) {

        if ((ngx_msec_int_t) (ctx->deadline - ngx_current_msec) > 0) {
            return;
        }

        rc = (ctx->delivery.unsure || ngx_http_mcp_sse_bus_unsure())
             ? NGX_ABORT : NGX_DECLINED;
    }

    if (rc == NGX_ABORT && ngx_http_mcp_sse_hold_idle(ctx)) {
        rc = NGX_OK;
    }

    ctx->outcome = rc;

    ngx_http_mcp_sse_hold_let_go(ctx);

    ngx_http_mcp_sse_wake(ctx->request);
}


void
ngx_http_mcp_sse_hold_let_go(ngx_http_mcp_sse_ctx_t *ctx)
{
    ngx_http_mcp_sse_holding_t  *holding;

    ngx_http_mcp_sse_delivery_forget(&ctx->delivery);

    holding = ctx->holding;

    if (holding == NULL) {
        return;
    }

    ctx->holding = NULL;

    ngx_queue_remove(&ctx->held);
    ngx_http_mcp_sse_shm_held(-1);

    holding->size -= ctx->held_size;

    if (--holding->n == 0) {
        ngx_rbtree_delete(&ngx_http_mcp_sse_holdings, &holding->node);
        ngx_free(holding);
    }
}


/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Authentication of client requests: the cache, the look-up at Frappe, stale
 * entries.
 *
 * DESIGN
 *
 * The result is known at once without a credential, with mcp_sse_principal, or
 * from the cache.  Otherwise the request is suspended and waits for a look-up,
 * which all requests with the same credential share:
 *
 *     ngx_mcp_auth()
 *       |
 *       +---- the result is known: step()
 *       |
 *       +---- the queue of look-ups is full: busy(), as if Frappe was
 *       |     unavailable
 *       |
 *       | suspend
 *       v
 *     look-up runs ---- slow(): 1 s, there is a stale entry: resume
 *       |      ^
 *       |      |
 *       |      +---------------------------------------------------- retry()
 *       v                                                               ^
 *     answered() ---- accepted, or refused (401): resume                |
 *       |                                                               |
 *       +---- Frappe is unavailable, there is a stale entry: resume     |
 *       |                                                               |
 *       +---- it is a GET, and ctx->auth.deadline is more than 1 s away -----+
 *       |     (ctx->auth.retry): wait 1 s, or as long as Frappe asks for
 *       |
 *       +---- else: resume, the status is 502, 503 or 504
 *
 * Resuming runs step().  ctx->suspend->timer is the timer of slow() while a
 * look-up runs, and of retry() between two look-ups.  A request that ends, for
 * one since its client leaves, leaves its look-up, which completes for the
 * cache.  If the worker stops, the request is resumed with 503, and ignores a
 * result that comes before it ends.
 *
 * The result is in the context of the request, its strings in the pool.
 */

#include "ngx_mcp_auth.h"
#include "ngx_mcp_credential.h"
#include "ngx_mcp_session_timers.h"
#include "ngx_mcp_auth_lookup.h"
#include "ngx_mcp_response.h"
#include "ngx_mcp_session.h"
#include "ngx_mcp_suspend.h"
#include "ngx_mcp_json_text.h"
#include "ngx_mcp_registry.h"
#include "ngx_mcp_auth_cache.h"
#include "ngx_mcp_zone.h"


/* the pause between look-ups of a GET (docs/PROTOCOL.md 2.10) */

#define NGX_MCP_AUTH_RETRY_MS        1000

/* how long a request with a stale entry waits (docs/PROTOCOL.md 2.9) */

#define NGX_MCP_AUTH_STALE_AFTER_MS  1000


static ngx_int_t ngx_mcp_auth_begin(ngx_http_request_t *r,
    ngx_mcp_resume_pt step);
static ngx_int_t ngx_mcp_auth_wait(ngx_mcp_ctx_t *ctx, ngx_mcp_resume_pt step);
static ngx_uint_t ngx_mcp_auth_busy(ngx_mcp_ctx_t *ctx);
static ngx_int_t ngx_mcp_auth_principal(ngx_http_request_t *r,
    ngx_mcp_ctx_t *ctx, ngx_http_complex_value_t *principal);
static ngx_int_t ngx_mcp_auth_start_lookup(ngx_mcp_ctx_t *ctx);
static ngx_int_t ngx_mcp_auth_stale(ngx_mcp_ctx_t *ctx);
static void ngx_mcp_auth_answered(void *data, ngx_mcp_auth_result_t *result);
static ngx_msec_t ngx_mcp_auth_pause(ngx_mcp_ctx_t *ctx,
    ngx_mcp_auth_result_t *result);
static ngx_int_t ngx_mcp_auth_copy(ngx_mcp_ctx_t *ctx,
    ngx_mcp_auth_result_t *result);
static void ngx_mcp_auth_set_retry(ngx_mcp_ctx_t *ctx, ngx_msec_t pause);
static void ngx_mcp_auth_retry(void *data);
static void ngx_mcp_auth_slow(void *data);
static void ngx_mcp_auth_resume(ngx_mcp_ctx_t *ctx);
static void ngx_mcp_auth_cleanup(void *data);


ngx_int_t
ngx_mcp_auth(ngx_http_request_t *r, ngx_mcp_resume_pt step)
{
    ngx_int_t  rc;

    rc = ngx_mcp_auth_begin(r, step);

    if (rc == NGX_AGAIN) {
        return NGX_DONE;
    }

    rc = (rc == NGX_OK) ? step(r) : NGX_HTTP_INTERNAL_SERVER_ERROR;

    return ngx_mcp_error_result(r, rc);
}


/*
 * Returns NGX_OK if the result is known, NGX_AGAIN if the request waits for
 * it.
 */

static ngx_int_t
ngx_mcp_auth_begin(ngx_http_request_t *r, ngx_mcp_resume_pt step)
{
    ngx_int_t            rc;
    ngx_mcp_ctx_t       *ctx;
    ngx_mcp_zone_t      *zone;
    ngx_mcp_loc_conf_t  *conf;

    ctx = ngx_http_get_module_ctx(r, ngx_http_mcp_sse_module);
    conf = ngx_http_get_module_loc_conf(r, ngx_http_mcp_sse_module);
    zone = ngx_mcp_zone();

    rc = ngx_mcp_credential_read(r, &ctx->auth.credential);

    if (rc == NGX_ERROR) {
        return NGX_ERROR;
    }

    if (conf->principal) {
        return ngx_mcp_auth_principal(r, ctx, conf->principal);
    }

    if (rc == NGX_DECLINED) {
        ngx_log_debug0(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                       "mcp auth: no credential");

        ctx->auth.result.status = NGX_HTTP_UNAUTHORIZED;
        return NGX_OK;
    }

    if (ngx_mcp_credential_digest(&ctx->auth.credential,
                                  zone->secrets->elts,
                                  &ctx->vars.site, conf)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    rc = ngx_mcp_auth_cache_get(ctx->auth.credential.digest,
                                conf->auth_cache, r->pool,
                                &ctx->auth.result);

    ngx_mcp_count(rc == NGX_DECLINED
                               ? NGX_MCP_COUNT_AUTH_MISS
                  : ctx->auth.result.status
                               ? NGX_MCP_COUNT_AUTH_BAD
                               : NGX_MCP_COUNT_AUTH_GOOD);

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "mcp auth: cache %s, status:%ui",
                   rc == NGX_DECLINED ? "miss" : "hit",
                   ctx->auth.result.status);

    if (rc != NGX_DECLINED) {
        ngx_mcp_credential_judged(&ctx->auth.credential, zone->secrets->elts,
                                  &ctx->vars.site, conf,
                                  ctx->auth.result.status == 0);

        ctx->vars.user = ctx->auth.result.principal;
        return rc;
    }

    ctx->auth.deadline = ngx_current_msec + conf->auth_wait;

    return ngx_mcp_auth_wait(ctx, step);
}


static ngx_int_t
ngx_mcp_auth_wait(ngx_mcp_ctx_t *ctx, ngx_mcp_resume_pt step)
{
    ngx_int_t            rc;
    ngx_http_cleanup_t  *cln;

    cln = ngx_http_cleanup_add(ctx->request, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    if (ctx->auth.waiter == NULL) {
        ctx->auth.waiter = ngx_pcalloc(ctx->request->pool,
                                       sizeof(ngx_mcp_auth_waiter_t));
        if (ctx->auth.waiter == NULL) {
            return NGX_ERROR;
        }
    }

    rc = ngx_mcp_auth_start_lookup(ctx);

    if (rc == NGX_BUSY && !ngx_mcp_auth_busy(ctx)) {
        ctx->vars.user = ctx->auth.result.principal;
        return NGX_OK;
    }

    if (rc == NGX_ERROR || ngx_mcp_suspend(ctx->request, step) != NGX_OK) {
        ngx_mcp_auth_lookup_leave(ctx->auth.waiter);
        return NGX_ERROR;
    }

    cln->handler = ngx_mcp_auth_cleanup;
    cln->data = ctx;

    if (rc == NGX_BUSY) {
        ngx_mcp_auth_set_retry(ctx, NGX_MCP_AUTH_RETRY_MS);
        return NGX_AGAIN;
    }

    /* with a stale entry the request does not wait long for a slow Frappe */

    if (ngx_mcp_auth_stale(ctx) == NGX_OK) {
        ctx->suspend->timer.handler = ngx_mcp_auth_slow;
        ctx->suspend->timer.data = ctx;
        ngx_mcp_timer_set(&ctx->suspend->timer, NGX_MCP_AUTH_STALE_AFTER_MS);
    }

    return NGX_AGAIN;
}


/*
 * There is no place for a look-up.  Returns whether the request is to wait for
 * one; otherwise sets its result: a stale one, or 503.
 */

static ngx_uint_t
ngx_mcp_auth_busy(ngx_mcp_ctx_t *ctx)
{
    ngx_mcp_auth_result_t  busy;

    if (ngx_mcp_auth_stale(ctx) == NGX_OK) {
        ngx_mcp_count(NGX_MCP_COUNT_AUTH_STALE);
        return 0;
    }

    ngx_memzero(&busy, sizeof(ngx_mcp_auth_result_t));
    busy.status = NGX_HTTP_SERVICE_UNAVAILABLE;

    ctx->auth.result = busy;

    return !ngx_mcp_session_timers_stopped()
           && ngx_mcp_auth_pause(ctx, &busy) != 0;
}


/*
 * With mcp_sse_principal nginx has authenticated the client.  A credential is
 * only forwarded to Frappe.
 */

static ngx_int_t
ngx_mcp_auth_principal(ngx_http_request_t *r, ngx_mcp_ctx_t *ctx,
    ngx_http_complex_value_t *principal)
{
    if (ngx_http_complex_value(r, principal, &ctx->vars.user) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ctx->vars.user.len == 0
        || !ngx_mcp_json_text_one_line(&ctx->vars.user))
    {
        ctx->auth.result.status = NGX_HTTP_UNAUTHORIZED;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_mcp_auth_start_lookup(ngx_mcp_ctx_t *ctx)
{
    ngx_http_request_t          *r;
    ngx_mcp_auth_lookup_args_t   args;

    r = ctx->request;

    args.cscf = ngx_http_get_module_srv_conf(r, ngx_http_core_module);
    args.conf = ngx_http_get_module_loc_conf(r, ngx_http_mcp_sse_module);
    args.credential = &ctx->auth.credential;
    args.site = ctx->vars.site;
    args.address = r->connection->addr_text;
    args.sockaddr = r->connection->sockaddr;

    ctx->auth.waiter->handler = ngx_mcp_auth_answered;
    ctx->auth.waiter->data = ctx;

    return ngx_mcp_auth_lookup(&args, ctx->auth.waiter);
}


static void
ngx_mcp_auth_answered(void *data, ngx_mcp_auth_result_t *result)
{
    ngx_mcp_ctx_t  *ctx = data;

    ngx_msec_t  pause;

    /* the request was resumed already, since the worker stops */

    if (!ctx->suspended) {
        return;
    }

    ngx_log_debug1(NGX_LOG_DEBUG_HTTP, ctx->request->connection->log, 0,
                   "mcp auth: look-up answered, status:%ui", result->status);

    if (result->status < NGX_HTTP_INTERNAL_SERVER_ERROR) {

        if (ngx_mcp_auth_copy(ctx, result) != NGX_OK) {
            ngx_memzero(&ctx->auth.result, sizeof(ngx_mcp_auth_result_t));
            ctx->auth.result.status = NGX_HTTP_SERVICE_UNAVAILABLE;
        }

        ngx_mcp_auth_resume(ctx);
        return;
    }

    /* a stale result is acceptable: Frappe authenticates every call */

    if (ngx_mcp_auth_stale(ctx) == NGX_OK) {
        ngx_mcp_count(NGX_MCP_COUNT_AUTH_STALE);
        ngx_mcp_auth_resume(ctx);
        return;
    }

    ctx->auth.result.status = result->status;
    ctx->auth.result.retry_after = result->retry_after;

    pause = ngx_mcp_auth_pause(ctx, result);

    if (pause) {
        ngx_mcp_auth_set_retry(ctx, pause);
        return;
    }

    ngx_mcp_auth_resume(ctx);
}


/*
 * Returns the milliseconds until the look-up is repeated, or 0 if it is not.
 */

static ngx_msec_t
ngx_mcp_auth_pause(ngx_mcp_ctx_t *ctx, ngx_mcp_auth_result_t *result)
{
    ngx_msec_int_t  left;

    left = (ngx_msec_int_t) (ctx->auth.deadline - ngx_current_msec);

    if (!ctx->auth.retry
        || result->final
        || left <= NGX_MCP_AUTH_RETRY_MS
        || result->retry_after > (ngx_uint_t) left / 1000)
    {
        return 0;
    }

    return ngx_max((ngx_msec_t) result->retry_after * 1000,
                   NGX_MCP_AUTH_RETRY_MS);
}


static ngx_int_t
ngx_mcp_auth_copy(ngx_mcp_ctx_t *ctx, ngx_mcp_auth_result_t *result)
{
    ngx_pool_t  *pool;

    pool = ctx->request->pool;

    ctx->auth.result = *result;

    if (result->principal.len) {
        ctx->auth.result.principal.data = ngx_pstrdup(pool, &result->principal);
        if (ctx->auth.result.principal.data == NULL) {
            return NGX_ERROR;
        }
    }

    if (result->challenge.len) {
        ctx->auth.result.challenge.data = ngx_pstrdup(pool, &result->challenge);
        if (ctx->auth.result.challenge.data == NULL) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/*
 * Uses a stale entry of the cache, which is younger than mcp_sse_auth_stale.
 * Returns NGX_OK, or NGX_DECLINED if there is none or it is a refusal.
 */

static ngx_int_t
ngx_mcp_auth_stale(ngx_mcp_ctx_t *ctx)
{
    ngx_mcp_auth_result_t  result;
    ngx_mcp_loc_conf_t    *conf;

    conf = ngx_http_get_module_loc_conf(ctx->request,
                                        ngx_http_mcp_sse_module);

    if (ngx_mcp_auth_cache_get(ctx->auth.credential.digest, conf->auth_stale,
                               ctx->request->pool, &result)
        != NGX_OK
        || result.status)
    {
        return NGX_DECLINED;
    }

    ngx_log_debug0(NGX_LOG_DEBUG_HTTP, ctx->request->connection->log, 0,
                   "mcp auth: there is a stale entry");

    ctx->auth.result = result;

    return NGX_OK;
}


static void
ngx_mcp_auth_set_retry(ngx_mcp_ctx_t *ctx, ngx_msec_t pause)
{
    ctx->suspend->timer.handler = ngx_mcp_auth_retry;
    ctx->suspend->timer.data = ctx;
    ngx_mcp_timer_set(&ctx->suspend->timer, pause);
}


static void
ngx_mcp_auth_retry(void *data)
{
    ngx_mcp_ctx_t  *ctx = data;

    ngx_int_t  rc;

    ngx_log_debug0(NGX_LOG_DEBUG_HTTP, ctx->request->connection->log, 0,
                   "mcp auth: repeat look-up");

    rc = ngx_mcp_auth_start_lookup(ctx);

    if (rc == NGX_BUSY && ngx_mcp_auth_busy(ctx)) {
        ngx_mcp_auth_set_retry(ctx, NGX_MCP_AUTH_RETRY_MS);
        return;
    }

    if (rc != NGX_OK) {
        ngx_mcp_auth_resume(ctx);
    }
}


static void
ngx_mcp_auth_slow(void *data)
{
    ngx_mcp_ctx_t  *ctx = data;

    if (ngx_mcp_auth_stale(ctx) == NGX_OK) {
        ngx_mcp_count(NGX_MCP_COUNT_AUTH_STALE);
        ngx_mcp_auth_resume(ctx);
    }
}


static void
ngx_mcp_auth_resume(ngx_mcp_ctx_t *ctx)
{
    ngx_mcp_auth_lookup_leave(ctx->auth.waiter);

    ctx->vars.user = ctx->auth.result.principal;

    ngx_mcp_resume(ctx->request);
}


static void
ngx_mcp_auth_cleanup(void *data)
{
    ngx_mcp_ctx_t  *ctx = data;

    ngx_mcp_auth_lookup_leave(ctx->auth.waiter);
}


void
ngx_mcp_auth_renew(ngx_http_request_t *r)
{
    ngx_mcp_ctx_t       *ctx;
    ngx_mcp_loc_conf_t  *conf;

    ctx = ngx_http_get_module_ctx(r, ngx_http_mcp_sse_module);
    conf = ngx_http_get_module_loc_conf(r, ngx_http_mcp_sse_module);

    if (conf->principal == NULL) {
        ngx_mcp_registry_renew(ctx->sid.key, &ctx->auth.credential);
    }
}

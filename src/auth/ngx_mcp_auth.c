
/*
 * What is found out belongs to the request's context.
 */

#include "ngx_mcp_auth.h"
#include "ngx_mcp_credential.h"
#include "ngx_mcp_session_timers.h"
#include "ngx_mcp_auth_lookup.h"
#include "ngx_mcp_response.h"
#include "ngx_mcp_session.h"
#include "ngx_mcp_suspend.h"
#include "ngx_mcp_json_text.h"
#include "ngx_mcp_auth_cache.h"
#include "ngx_mcp_zone.h"


#define NGX_MCP_AUTH_RETRY_MS        1000
#define NGX_MCP_AUTH_STALE_AFTER_MS  1000


/* a look-up for an open stream */

typedef struct {
    ngx_mcp_auth_waiter_t       waiter;
    u_char                      key[NGX_MCP_DIGEST_LEN];
    u_char                      credential[NGX_MCP_DIGEST_LEN];
} ngx_mcp_auth_recheck_t;


static ngx_int_t ngx_mcp_auth_begin(ngx_http_request_t *r,
    ngx_mcp_resume_pt step);
static ngx_int_t ngx_mcp_auth_wait(ngx_mcp_ctx_t *ctx, ngx_mcp_resume_pt step);
static ngx_int_t ngx_mcp_auth_given(ngx_http_request_t *r, ngx_mcp_ctx_t *ctx,
    ngx_http_complex_value_t *principal);
static ngx_int_t ngx_mcp_auth_ask(ngx_mcp_ctx_t *ctx);
static ngx_int_t ngx_mcp_auth_stale(ngx_mcp_ctx_t *ctx);
static void ngx_mcp_auth_answered(void *data, ngx_mcp_auth_result_t *verdict);
static ngx_int_t ngx_mcp_auth_copy(ngx_mcp_ctx_t *ctx,
    ngx_mcp_auth_result_t *verdict);
static void ngx_mcp_auth_again(void *data);
static void ngx_mcp_auth_late(void *data);
static void ngx_mcp_auth_wake(ngx_mcp_ctx_t *ctx);
static void ngx_mcp_auth_cleanup(void *data);
static void ngx_mcp_auth_rechecked(void *data, ngx_mcp_auth_result_t *verdict);


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
 * NGX_OK: ctx->verdict is there; NGX_AGAIN: it is waited for.
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

    rc = ngx_mcp_credential_read(r, &ctx->credential);

    if (rc == NGX_ERROR) {
        return NGX_ERROR;
    }

    if (conf->principal) {
        return ngx_mcp_auth_given(r, ctx, conf->principal);
    }

    if (rc == NGX_DECLINED) {
        ctx->verdict.status = NGX_HTTP_UNAUTHORIZED;
        return NGX_OK;
    }

    if (ngx_mcp_credential_digest(&ctx->credential,
                                  zone->secrets->elts,
                                  &ctx->vars.site, conf)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    rc = ngx_mcp_auth_cache_get(ctx->credential.digest,
                                conf->auth_cache, r->pool,
                                &ctx->verdict);

    ngx_mcp_count(rc == NGX_DECLINED
                               ? NGX_MCP_COUNT_AUTH_MISS
                  : ctx->verdict.status
                               ? NGX_MCP_COUNT_AUTH_BAD
                               : NGX_MCP_COUNT_AUTH_GOOD);

    if (rc != NGX_DECLINED) {
        ctx->vars.user = ctx->verdict.principal;
        return rc;
    }

    ctx->deadline = ngx_current_msec + conf->auth_wait;

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

    rc = ngx_mcp_auth_ask(ctx);

    if (rc == NGX_BUSY) {
        ctx->verdict.status = NGX_HTTP_SERVICE_UNAVAILABLE;
        return NGX_OK;
    }

    if (rc != NGX_OK || ngx_mcp_suspend(ctx->request, step) != NGX_OK) {
        ngx_mcp_auth_lookup_leave(&ctx->waiter);
        return NGX_ERROR;
    }

    cln->handler = ngx_mcp_auth_cleanup;
    cln->data = ctx;

    /* one that was good a moment ago need not wait long for a slow Frappe */

    if (ngx_mcp_auth_stale(ctx) == NGX_OK) {
        ctx->timer.handler = ngx_mcp_auth_late;
        ctx->timer.data = ctx;
        ngx_mcp_timer_set(&ctx->timer, NGX_MCP_AUTH_STALE_AFTER_MS);
    }

    return NGX_AGAIN;
}


/*
 * nginx has authenticated the client; a credential only goes along.
 */

static ngx_int_t
ngx_mcp_auth_given(ngx_http_request_t *r, ngx_mcp_ctx_t *ctx,
    ngx_http_complex_value_t *principal)
{
    if (ngx_http_complex_value(r, principal, &ctx->vars.user) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ctx->vars.user.len == 0
        || !ngx_mcp_json_text_one_line(&ctx->vars.user))
    {
        ctx->verdict.status = NGX_HTTP_UNAUTHORIZED;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_mcp_auth_ask(ngx_mcp_ctx_t *ctx)
{
    ngx_http_request_t           *r;
    ngx_mcp_auth_question_t       question;

    r = ctx->request;

    question.cscf = ngx_http_get_module_srv_conf(r, ngx_http_core_module);
    question.conf = ngx_http_get_module_loc_conf(r, ngx_http_mcp_sse_module);
    question.credential = &ctx->credential;
    question.site = ctx->vars.site;
    question.address = r->connection->addr_text;

    ctx->waiter.handler = ngx_mcp_auth_answered;
    ctx->waiter.data = ctx;

    return ngx_mcp_auth_lookup(&question, &ctx->waiter);
}


static void
ngx_mcp_auth_answered(void *data, ngx_mcp_auth_result_t *verdict)
{
    ngx_mcp_ctx_t  *ctx = data;

    /* the worker stops, and the request was resumed for that */

    if (!ctx->suspended) {
        return;
    }

    if (verdict->status < NGX_HTTP_INTERNAL_SERVER_ERROR) {

        if (ngx_mcp_auth_copy(ctx, verdict) != NGX_OK) {
            ngx_memzero(&ctx->verdict, sizeof(ngx_mcp_auth_result_t));
            ctx->verdict.status = NGX_HTTP_SERVICE_UNAVAILABLE;
        }

        ngx_mcp_auth_wake(ctx);
        return;
    }

    /* Frappe authenticates each call itself, so that an old word will do */

    if (ngx_mcp_auth_stale(ctx) == NGX_OK) {
        ngx_mcp_count(NGX_MCP_COUNT_AUTH_STALE);
        ngx_mcp_auth_wake(ctx);
        return;
    }

    ctx->verdict.status = verdict->status;

    if (ctx->retry_lookup
        && (ngx_msec_int_t) (ctx->deadline - ngx_current_msec)
           > NGX_MCP_AUTH_RETRY_MS)
    {
        ctx->timer.handler = ngx_mcp_auth_again;
        ctx->timer.data = ctx;
        ngx_mcp_timer_set(&ctx->timer, NGX_MCP_AUTH_RETRY_MS);
        return;
    }

    ngx_mcp_auth_wake(ctx);
}


static ngx_int_t
ngx_mcp_auth_copy(ngx_mcp_ctx_t *ctx, ngx_mcp_auth_result_t *verdict)
{
    ngx_pool_t  *pool;

    pool = ctx->request->pool;

    ctx->verdict = *verdict;

    if (verdict->principal.len) {
        ctx->verdict.principal.data = ngx_pstrdup(pool, &verdict->principal);
        if (ctx->verdict.principal.data == NULL) {
            return NGX_ERROR;
        }
    }

    if (verdict->challenge.len) {
        ctx->verdict.challenge.data = ngx_pstrdup(pool, &verdict->challenge);
        if (ctx->verdict.challenge.data == NULL) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/*
 * NGX_OK if the credential was good not too long ago.
 */

static ngx_int_t
ngx_mcp_auth_stale(ngx_mcp_ctx_t *ctx)
{
    ngx_mcp_auth_result_t  verdict;
    ngx_mcp_loc_conf_t    *conf;

    conf = ngx_http_get_module_loc_conf(ctx->request,
                                        ngx_http_mcp_sse_module);

    if (ngx_mcp_auth_cache_get(ctx->credential.digest, conf->auth_stale,
                               ctx->request->pool, &verdict)
        != NGX_OK
        || verdict.status)
    {
        return NGX_DECLINED;
    }

    ctx->verdict = verdict;

    return NGX_OK;
}


static void
ngx_mcp_auth_again(void *data)
{
    ngx_mcp_ctx_t  *ctx = data;

    if (ngx_mcp_auth_ask(ctx) != NGX_OK) {
        ngx_mcp_auth_wake(ctx);
    }
}


static void
ngx_mcp_auth_late(void *data)
{
    ngx_mcp_ctx_t  *ctx = data;

    if (ngx_mcp_auth_stale(ctx) == NGX_OK) {
        ngx_mcp_count(NGX_MCP_COUNT_AUTH_STALE);
        ngx_mcp_auth_wake(ctx);
    }
}


static void
ngx_mcp_auth_wake(ngx_mcp_ctx_t *ctx)
{
    ngx_mcp_auth_lookup_leave(&ctx->waiter);

    ctx->vars.user = ctx->verdict.principal;

    ngx_mcp_resume(ctx->request);
}


static void
ngx_mcp_auth_cleanup(void *data)
{
    ngx_mcp_ctx_t  *ctx = data;

    ngx_mcp_auth_lookup_leave(&ctx->waiter);
}


void
ngx_mcp_auth_recheck(ngx_mcp_session_t *s)
{
    ngx_mcp_auth_recheck_t       *recheck;
    ngx_mcp_auth_question_t       question;

    if (s->conf->principal) {
        return;
    }

    recheck = ngx_calloc(sizeof(ngx_mcp_auth_recheck_t), ngx_cycle->log);
    if (recheck == NULL) {
        return;
    }

    ngx_memcpy(recheck->key, s->sid.key, NGX_MCP_DIGEST_LEN);
    ngx_memcpy(recheck->credential, s->credential.digest, NGX_MCP_DIGEST_LEN);

    recheck->waiter.handler = ngx_mcp_auth_rechecked;
    recheck->waiter.data = recheck;

    question.cscf = s->cscf;
    question.conf = s->conf;
    question.credential = &s->credential;
    question.site = s->site;
    ngx_str_null(&question.address);

    if (ngx_mcp_auth_lookup(&question, &recheck->waiter) != NGX_OK) {
        ngx_free(recheck);
    }
}


static void
ngx_mcp_auth_rechecked(void *data, ngx_mcp_auth_result_t *verdict)
{
    ngx_mcp_auth_recheck_t  *recheck = data;

    ngx_mcp_session_timers_rechecked(recheck->key, recheck->credential,
                                     verdict->status, &verdict->principal);
    ngx_free(recheck);
}


/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Client requests that wait: suspends and resumes them.
 *
 * A suspended request is owned by nginx.  What the list links is
 * allocated in its pool the first time; the cleanup of the request removes it
 * from the list.
 */

#include "ngx_mcp_suspend.h"
#include "ngx_mcp_response.h"


static ngx_int_t ngx_mcp_suspend_create(ngx_mcp_ctx_t *ctx);
static void ngx_mcp_suspend_cleanup(void *data);
static void ngx_mcp_suspend_end(ngx_mcp_ctx_t *ctx);


static ngx_queue_t  ngx_mcp_suspended_requests = {
    &ngx_mcp_suspended_requests, &ngx_mcp_suspended_requests
};


ngx_int_t
ngx_mcp_suspend(ngx_http_request_t *r, ngx_mcp_resume_pt resume)
{
    ngx_event_t    *rev;
    ngx_mcp_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_mcp_sse_module);

    if (ctx->suspend == NULL && ngx_mcp_suspend_create(ctx) != NGX_OK) {
        return NGX_ERROR;
    }

    /* the client may have closed the connection already; as limit_req does */

    rev = r->connection->read;

    if (rev->ready) {
        ngx_post_event(rev, &ngx_posted_events);

    } else if (ngx_handle_read_event(rev, 0) != NGX_OK) {
        return NGX_ERROR;
    }

    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = ngx_http_request_empty_handler;

    r->main->count++;

    ngx_log_debug0(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "mcp request suspended");

    ctx->suspend->resume = resume;
    ctx->suspended = 1;

    ngx_queue_insert_tail(&ngx_mcp_suspended_requests, &ctx->suspend->queue);
    ngx_mcp_timer_hold();

    return NGX_OK;
}


static ngx_int_t
ngx_mcp_suspend_create(ngx_mcp_ctx_t *ctx)
{
    ngx_http_cleanup_t     *cln;
    ngx_mcp_ctx_suspend_t  *suspend;

    suspend = ngx_pcalloc(ctx->request->pool, sizeof(ngx_mcp_ctx_suspend_t));
    if (suspend == NULL) {
        return NGX_ERROR;
    }

    cln = ngx_http_cleanup_add(ctx->request, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    cln->handler = ngx_mcp_suspend_cleanup;
    cln->data = ctx;

    suspend->ctx = ctx;
    ctx->suspend = suspend;

    return NGX_OK;
}


void
ngx_mcp_resume(ngx_http_request_t *r)
{
    ngx_int_t          rc;
    ngx_connection_t  *c;
    ngx_mcp_ctx_t     *ctx;

    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    ctx = ngx_http_get_module_ctx(r, ngx_http_mcp_sse_module);

    ngx_log_debug0(NGX_LOG_DEBUG_HTTP, c->log, 0, "mcp request resumed");

    ngx_mcp_suspend_end(ctx);

    rc = c->error ? NGX_ERROR : ctx->suspend->resume(r);

    ngx_http_finalize_request(r, ngx_mcp_error_result(r, rc));

    ngx_http_run_posted_requests(c);
}


void
ngx_mcp_resume_all(void)
{
    ngx_queue_t             all, *q;
    ngx_mcp_ctx_t          *ctx;
    ngx_mcp_ctx_suspend_t  *suspend;

    if (ngx_queue_empty(&ngx_mcp_suspended_requests)) {
        return;
    }

    ngx_queue_init(&all);
    ngx_queue_add(&all, &ngx_mcp_suspended_requests);
    ngx_queue_init(&ngx_mcp_suspended_requests);

    while (!ngx_queue_empty(&all)) {
        q = ngx_queue_head(&all);
        suspend = ngx_queue_data(q, ngx_mcp_ctx_suspend_t, queue);
        ctx = suspend->ctx;

        ctx->auth.result.status = NGX_HTTP_SERVICE_UNAVAILABLE;

        ngx_mcp_resume(ctx->request);
    }
}


static void
ngx_mcp_suspend_cleanup(void *data)
{
    ngx_mcp_ctx_t  *ctx = data;

    ngx_mcp_suspend_end(ctx);
}


static void
ngx_mcp_suspend_end(ngx_mcp_ctx_t *ctx)
{
    ngx_mcp_timer_del(&ctx->suspend->timer);

    if (ctx->suspended) {
        ctx->suspended = 0;

        ngx_queue_remove(&ctx->suspend->queue);
        ngx_mcp_timer_release();
    }
}


/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Calls of the backend: start, deadline, end, logging.
 *
 * A call owns its fake request, its pool, its answer and itself.  Its own
 * event runs the handler and frees the call.  Freed structs are kept and
 * used again: ngx_http_run_posted_requests() reads the connection, which is
 * part of the call, after the request on it has been freed.
 */

#include "ngx_mcp_call.h"
#include "ngx_mcp_call_linger.h"
#include "ngx_mcp_call_upstream.h"
#include "ngx_mcp_counters.h"
#include "ngx_mcp_fake_request.h"


/* under a sanitizer the structs are freed, so that it sees a use after free */

#ifdef NGX_DEBUG_PALLOC
#define NGX_MCP_CALL_MAX_FREE  0
#else
#define NGX_MCP_CALL_MAX_FREE  64
#endif

#define NGX_MCP_CALL_BLOCKED_RETRY_MS  10    /* poll until it has been read */


static ngx_mcp_call_t *ngx_mcp_call_get(ngx_log_t *log);
static ngx_int_t ngx_mcp_call_body(ngx_mcp_call_t *call,
    ngx_http_request_t *sr);
static ngx_int_t ngx_mcp_call_subrequest(ngx_mcp_call_t *call);
static ngx_int_t ngx_mcp_call_done(ngx_http_request_t *sr, void *data,
    ngx_int_t rc);
static void ngx_mcp_call_write_handler(ngx_http_request_t *r);
static void ngx_mcp_call_cleanup(void *data);
static void ngx_mcp_call_deadline(void *data);
static void ngx_mcp_call_event(ngx_event_t *ev);
static void ngx_mcp_call_ended(ngx_mcp_call_t *call);
static void ngx_mcp_call_over(ngx_mcp_call_t *call);
static void ngx_mcp_call_leave_place(ngx_mcp_call_t *call);
static void ngx_mcp_call_log_aborted(ngx_mcp_call_t *call);


static ngx_queue_t  ngx_mcp_call_free_list = {
    &ngx_mcp_call_free_list, &ngx_mcp_call_free_list
};
static ngx_uint_t  ngx_mcp_call_nfree;

static ngx_str_t  ngx_mcp_post = ngx_string("POST");
static ngx_str_t  ngx_mcp_get = ngx_string("GET");


ngx_mcp_call_t *
ngx_mcp_call_create(ngx_http_core_srv_conf_t *cscf, ngx_log_t *log)
{
    ngx_mcp_call_t  *call;

    call = ngx_mcp_call_get(log);
    if (call == NULL) {
        return NULL;
    }

    ngx_memzero(call, sizeof(ngx_mcp_call_t));

    call->cscf = cscf;
    call->retry_after = -1;

    if (ngx_mcp_fake_request_create(call, ngx_mcp_call_write_handler,
                                    ngx_mcp_call_cleanup, log)
        != NGX_OK)
    {
        ngx_mcp_call_free(call);
        return NULL;
    }

    return call;
}


static ngx_mcp_call_t *
ngx_mcp_call_get(ngx_log_t *log)
{
    ngx_queue_t  *q;

    if (ngx_queue_empty(&ngx_mcp_call_free_list)) {
        return ngx_alloc(sizeof(ngx_mcp_call_t), log);
    }

    q = ngx_queue_head(&ngx_mcp_call_free_list);
    ngx_queue_remove(q);
    ngx_mcp_call_nfree--;

    return ngx_queue_data(q, ngx_mcp_call_t, queue);
}


ngx_int_t
ngx_mcp_call_start(ngx_mcp_call_t *call)
{
    ngx_msec_t         timeout;
    ngx_connection_t  *c;

    ngx_mcp_fake_request_address(call);

    if (ngx_mcp_call_subrequest(call) != NGX_OK) {
        ngx_mcp_call_free(call);
        return NGX_ERROR;
    }

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, &call->log, 0,
                   "mcp call start: \"%V\", body: %uz",
                   &call->uri, call->body.len);

    call->started = ngx_current_msec;
    call->began = ngx_mcp_count_clock();

    call->event.handler = ngx_mcp_call_event;
    call->event.data = call;
    call->event.log = &call->log;

    call->timer.handler = ngx_mcp_call_deadline;
    call->timer.data = call;

    ngx_mcp_timer_hold();

    if (call->timeout) {
        timeout = call->timeout;

        if (call->place) {
            timeout -= ngx_min(call->waited, timeout);
        }

        ngx_mcp_timer_set(&call->timer, timeout);
    }

    c = &call->connection;

    ngx_http_run_posted_requests(c);

    return NGX_OK;
}


static ngx_int_t
ngx_mcp_call_subrequest(ngx_mcp_call_t *call)
{
    ngx_http_request_t          *r, *sr;
    ngx_http_post_subrequest_t  *ps;

    r = call->request;

    ps = ngx_palloc(r->pool, sizeof(ngx_http_post_subrequest_t));
    if (ps == NULL) {
        return NGX_ERROR;
    }

    ps->handler = ngx_mcp_call_done;
    ps->data = call;

    r->unparsed_uri = call->uri;
    r->request_line = call->uri;
    r->method_name = call->body.len ? ngx_mcp_post
                                    : ngx_mcp_get;

    if (ngx_http_subrequest(r, &call->uri, &call->args, &sr, ps, 0)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    call->subrequest = sr;

    /* the list was copied: without this it would grow in the parent's part */

    if (r->headers_in.headers.last == &r->headers_in.headers.part) {
        sr->headers_in.headers.last = &sr->headers_in.headers.part;
    }

    /* nginx reads responses that it has spooled to files back into memory */

    sr->filter_need_in_memory = 1;

    if (call->body.len == 0) {
        return NGX_OK;
    }

    return ngx_mcp_call_body(call, sr);
}


/*
 * r->method must be POST, not only its name: nginx repeats requests with
 * another method on the next server when one fails, and the tool would run
 * twice.
 */

static ngx_int_t
ngx_mcp_call_body(ngx_mcp_call_t *call, ngx_http_request_t *sr)
{
    ngx_buf_t                *b;
    ngx_chain_t              *cl;
    ngx_http_request_body_t  *rb;

    sr->method = NGX_HTTP_POST;
    sr->method_name = ngx_mcp_post;

    rb = ngx_pcalloc(sr->pool, sizeof(ngx_http_request_body_t));
    b = ngx_calloc_buf(sr->pool);
    cl = ngx_alloc_chain_link(sr->pool);

    if (rb == NULL || b == NULL || cl == NULL) {
        return NGX_ERROR;
    }

    b->memory = 1;
    b->start = call->body.data;
    b->pos = b->start;
    b->last = b->start + call->body.len;
    b->end = b->last;
    b->last_buf = 1;

    cl->buf = b;
    cl->next = NULL;

    rb->bufs = cl;
    rb->buf = b;

    sr->request_body = rb;

    return NGX_OK;
}


ngx_int_t
ngx_mcp_call_length_handler(ngx_http_request_t *r)
{
    ngx_mcp_ctx_t  *ctx;

    if (r == r->main) {
        return NGX_DECLINED;
    }

    ctx = ngx_http_get_module_ctx(r->main, ngx_http_mcp_sse_module);

    if (ctx && ctx->call && ctx->call->subrequest == r && ctx->call->body.len)
    {
        r->headers_in.content_length_n = (off_t) ctx->call->body.len;
    }

    return NGX_DECLINED;
}


/*
 * The post_subrequest handler: the subrequest is finalized.  NGX_OK does not
 * mean that the body is complete.
 */

static ngx_int_t
ngx_mcp_call_done(ngx_http_request_t *sr, void *data, ngx_int_t rc)
{
    ngx_mcp_call_t  *call = data;

    call->over = 1;

    /* it was logged: nginx gives up the fake request and does not log again */

    if (call->lingers) {
        return NGX_ERROR;
    }

    if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {

        /* nginx has not sent an error page, so the status is not set yet */

        sr->headers_out.status = rc;
        call->status = rc;
    }

    ngx_mcp_call_upstream(call, sr);

    ngx_log_debug4(NGX_LOG_DEBUG_HTTP, &call->log, 0,
                   "mcp call subrequest done: %i, status: %ui, proxied: %d, "
                   "unsent: %d",
                   rc, call->status, call->proxied, call->unsent);

    if (call->end == 0) {
        call->end = (rc == NGX_ERROR || call->status == 0)
                    ? NGX_MCP_CALL_FAILED
                    : NGX_MCP_CALL_DONE;
    }

    if (call->classify) {
        call->classify(call);
    }

    /* with an error on its connection nginx would end the fake request */

    sr->connection->error = 0;

    return NGX_OK;
}


/*
 * The write handler of the fake request: runs when the subrequest has ended.
 */

static void
ngx_mcp_call_write_handler(ngx_http_request_t *r)
{
    ngx_mcp_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_mcp_sse_module);

    if (ctx->call->end) {
        ngx_mcp_call_end(ctx->call, ctx->call->end);
    }
}


/*
 * nginx has given the fake request up, or ngx_mcp_call_free() frees it.
 */

static void
ngx_mcp_call_cleanup(void *data)
{
    ngx_mcp_call_t  *call = data;

    call->over = 1;

    if (call->started) {
        ngx_mcp_call_end(call, NGX_MCP_CALL_FAILED);
    }
}


void
ngx_mcp_call_end(ngx_mcp_call_t *call, ngx_uint_t end)
{
    if (call->end == 0) {
        call->end = end;
    }

    if (!call->posted) {
        ngx_log_debug1(NGX_LOG_DEBUG_HTTP, &call->log, 0,
                       "mcp call end: %ui", call->end);

        call->posted = 1;
        ngx_post_event(&call->event, &ngx_posted_events);
    }
}


static void
ngx_mcp_call_deadline(void *data)
{
    ngx_mcp_call_t  *call = data;

    ngx_mcp_call_end(call, NGX_MCP_CALL_TIMED_OUT);
}


static void
ngx_mcp_call_event(ngx_event_t *ev)
{
    ngx_mcp_call_t  *call = ev->data;

    /*
     * A file operation in a thread uses the memory of the request, or it waits
     * for a lock of the cache.  The subrequest must not go on after that: the
     * call has ended.
     */

    if (call->request->blocked > 1) {
        call->subrequest->write_event_handler = ngx_http_request_empty_handler;

        call->posted = 0;
        ngx_mcp_timer_set(&call->timer, NGX_MCP_CALL_BLOCKED_RETRY_MS);
        return;
    }

    ngx_mcp_timer_del(&call->timer);

    if (call->lingers) {
        ngx_mcp_call_linger_end(call);
        ngx_mcp_call_over(call);
        return;
    }

    ngx_mcp_call_ended(call);

    if (call->over && call->before && call->before(call) == NGX_AGAIN) {
        ngx_mcp_call_leave_place(call);
        return;
    }

    ngx_mcp_call_resume(call);
}


void
ngx_mcp_call_resume(ngx_mcp_call_t *call)
{
    call->handler(call);

    if (!ngx_mcp_call_linger(call)) {
        ngx_mcp_call_over(call);
    }
}


static void
ngx_mcp_call_over(ngx_mcp_call_t *call)
{
    ngx_mcp_timer_release();

    ngx_mcp_call_free(call);
}


static void
ngx_mcp_call_leave_place(ngx_mcp_call_t *call)
{
    if (call->place) {
        ngx_mcp_places_release(call->place);
        call->place = NULL;
    }
}


/*
 * Every call passes here once.
 */

static void
ngx_mcp_call_ended(ngx_mcp_call_t *call)
{
    if (!call->subrequest->logged) {
        ngx_mcp_call_log_aborted(call);
    }

    if (call->classify) {
        ngx_mcp_count_call(&call->ctx.vars.method, call->ctx.vars.result);
        ngx_mcp_count_time(NGX_MCP_CALL_TIME, call->began);
    }
}


/*
 * Logs a call that was ended while its subrequest ran: nginx logs only
 * subrequests that are finalized.
 */

static void
ngx_mcp_call_log_aborted(ngx_mcp_call_t *call)
{
    ngx_uint_t                  i;
    ngx_http_request_t         *sr;
    ngx_http_handler_pt        *handlers;
    ngx_http_core_loc_conf_t   *clcf;
    ngx_http_core_main_conf_t  *cmcf;

    sr = call->subrequest;

    ngx_mcp_call_upstream(call, sr);

    if (call->classify) {
        call->classify(call);
    }

    clcf = ngx_http_get_module_loc_conf(sr, ngx_http_core_module);
    cmcf = ngx_http_get_module_main_conf(sr, ngx_http_core_module);

    if (!clcf->log_subrequest) {
        return;
    }

    handlers = cmcf->phases[NGX_HTTP_LOG_PHASE].handlers.elts;

    for (i = 0; i < cmcf->phases[NGX_HTTP_LOG_PHASE].handlers.nelts; i++) {
        handlers[i](sr);
    }
}


void
ngx_mcp_call_free(ngx_mcp_call_t *call)
{
    ngx_pool_t          *pool;
    ngx_http_request_t  *r;

    r = call->request;

    if (call->answer) {
        ngx_mcp_event_free(call->answer);
        call->answer = NULL;
    }

    call->posted = 1;
    call->started = 0;

    if (r) {
        pool = call->connection.pool;

        /* the caller may have freed strings that an error log line shows */

        ngx_memzero(&call->ctx.vars, sizeof(ngx_mcp_vars_t));
        ngx_str_null(&call->connection.addr_text);

        r->headers_in.host = NULL;
        r->headers_in.referer = NULL;
        r->logged = 1;
        ngx_http_free_request(r, 0);

        ngx_destroy_pool(pool);

    } else if (call->connection.pool) {
        ngx_destroy_pool(call->connection.pool);
    }

    if (call->next_slice.posted) {
        ngx_delete_posted_event(&call->next_slice);
    }

    if (call->read.timer_set) {
        ngx_del_timer(&call->read);
    }

    if (call->write.timer_set) {
        ngx_del_timer(&call->write);
    }

    if (call->read.posted) {
        ngx_delete_posted_event(&call->read);
    }

    if (call->write.posted) {
        ngx_delete_posted_event(&call->write);
    }

    if (call->envelope) {
        ngx_mcp_envelope_free(call->envelope);
    }

    ngx_mcp_call_leave_place(call);

    if (ngx_mcp_call_nfree == NGX_MCP_CALL_MAX_FREE) {
        ngx_free(call);
        return;
    }

    ngx_queue_insert_head(&ngx_mcp_call_free_list, &call->queue);
    ngx_mcp_call_nfree++;
}


/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * POST of Streamable HTTP: collects the answers to its messages, and responds
 * with JSON or with a stream.
 *
 * The exchange is the sink of the tasks of the request.  It is allocated in
 * the pool of the request, whose cleanup detaches it from the tasks; their
 * calls go on, except in the modern era, where they are cancelled.  The bytes
 * of answers are outside of the pool: a stream takes them over, those of a
 * JSON response are freed with the pool.
 */

#include "ngx_mcp_exchange.h"
#include "ngx_mcp_dispatch.h"
#include "ngx_mcp_exchange_json.h"
#include "ngx_mcp_log_level.h"
#include "ngx_mcp_session_timers.h"
#include "ngx_mcp_origin.h"
#include "ngx_mcp_reply.h"
#include "ngx_mcp_response.h"
#include "ngx_mcp_stream_header.h"
#include "ngx_mcp_submit.h"
#include "ngx_mcp_suspend.h"
#include "ngx_mcp_protocol_version.h"


#define ngx_mcp_exchange_limit(x)                                             \
    ((x)->conf->max_answer + (x)->conf->queue)


static void ngx_mcp_exchange_tell(ngx_mcp_sink_t *sink, ngx_mcp_task_t *task,
    ngx_mcp_event_t *ev, ngx_uint_t is_answer);
static ngx_int_t ngx_mcp_exchange_room(ngx_mcp_sink_t *sink, size_t size);
static ngx_int_t ngx_mcp_exchange_check(ngx_mcp_exchange_t *x,
    ngx_mcp_task_t *task, ngx_mcp_event_t *ev);
static void ngx_mcp_exchange_task_ended(ngx_mcp_sink_t *sink);
static void ngx_mcp_exchange_timeout(void *data);
static void ngx_mcp_exchange_event(ngx_event_t *ev);
static ngx_int_t ngx_mcp_exchange_resume(ngx_http_request_t *r);
static ngx_int_t ngx_mcp_exchange_answer(ngx_mcp_exchange_t *x);
static ngx_int_t ngx_mcp_exchange_nothing(ngx_mcp_exchange_t *x);
static ngx_int_t ngx_mcp_exchange_stream(ngx_mcp_exchange_t *x);
static void ngx_mcp_exchange_end(ngx_mcp_exchange_t *x);
static void ngx_mcp_exchange_stream_closed(void *data, ngx_uint_t reason);
static void ngx_mcp_exchange_cleanup(void *data);
static void ngx_mcp_exchange_free_events(void *data);


ngx_mcp_exchange_t *
ngx_mcp_exchange_create(ngx_http_request_t *r)
{
    ngx_http_cleanup_t  *cln;
    ngx_pool_cleanup_t  *pcln;
    ngx_mcp_exchange_t  *x;

    x = ngx_pcalloc(r->pool, sizeof(ngx_mcp_exchange_t));
    pcln = ngx_pool_cleanup_add(r->pool, 0);
    cln = ngx_http_cleanup_add(r, 0);

    if (x == NULL || pcln == NULL || cln == NULL) {
        return NULL;
    }

    x->request = r;
    x->ctx = ngx_http_get_module_ctx(r, ngx_http_mcp_sse_module);
    x->ctx->exchange = x;
    x->conf = ngx_http_get_module_loc_conf(r, ngx_http_mcp_sse_module);

    ngx_queue_init(&x->sink.tasks);
    ngx_queue_init(&x->sink.in_flight);
    x->sink.conf = x->conf;
    x->sink.tell = ngx_mcp_exchange_tell;
    x->sink.room = ngx_mcp_exchange_room;
    x->sink.ended = ngx_mcp_exchange_task_ended;
    x->sink.session_key = x->ctx->has_session_id ? x->ctx->sid.key : NULL;
    x->sink.modern = x->ctx->modern;
    x->sink.log_level = x->ctx->modern
                        ? ngx_mcp_log_level(&x->ctx->modern->meta.log_level)
                        : NGX_MCP_LOG_UNKNOWN;
    x->sink.progress = x->ctx->accept_stream;
    x->sink.asks = x->ctx->has_session_id
                   ? ngx_mcp_client_asks(x->ctx->capabilities,
                                         &x->ctx->vars.version)
                   : 0;
    x->sink.streamable = 1;
    x->sink.open = 1;

    ngx_queue_init(&x->events);

    x->event.handler = ngx_mcp_exchange_event;
    x->event.data = x;
    x->event.log = r->connection->log;

    x->timer.handler = ngx_mcp_exchange_timeout;
    x->timer.data = x;

    cln->handler = ngx_mcp_exchange_cleanup;
    cln->data = x;

    pcln->handler = ngx_mcp_exchange_free_events;
    pcln->data = x;

    return x;
}


/*
 * The request is answered by an event, since this may run inside a handler of
 * another request.
 */

static void
ngx_mcp_exchange_tell(ngx_mcp_sink_t *sink, ngx_mcp_task_t *task,
    ngx_mcp_event_t *ev, ngx_uint_t is_answer)
{
    ngx_mcp_exchange_t  *x;

    x = (ngx_mcp_exchange_t *) sink;

    ngx_log_debug3(NGX_LOG_DEBUG_HTTP, x->request->connection->log, 0,
                   "mcp exchange gets an event, answer: %ui, call: %d, "
                   "bytes: %uz", is_answer, task ? 1 : 0,
                   ev ? (size_t) (ev->last - ev->pos) : 0);

    if (task && is_answer && ev
        && ngx_mcp_exchange_check(x, task, ev) != NGX_OK)
    {
        x->failed = 1;
    }

    if (x->stream) {
        ngx_mcp_stream_send(x->stream, ev);
        return;
    }

    /* the limit of an answer is also that of an array of answers */

    if (task && is_answer && ev && x->size
        && x->size + (ev->last - ev->pos) > x->conf->max_answer)
    {
        ngx_mcp_event_free(ev);
        ev = ngx_mcp_reply_error(sink, &task->message.id,
                                 NGX_MCP_ERR_TOO_LARGE,
                                 "Answer too large", "");
    }

    if (ev == NULL) {
        x->failed = 1;
        return;
    }

    ngx_queue_insert_tail(&x->events, &ev->queue);
    x->size += ev->last - ev->pos;

    if (!is_answer || (x->ctx->accept_stream && x->size >= x->conf->queue)) {
        x->slow = 1;
        ngx_post_event(&x->event, &ngx_posted_events);
    }
}


/*
 * Before there is a stream, the same may wait as in it.
 */

static ngx_int_t
ngx_mcp_exchange_room(ngx_mcp_sink_t *sink, size_t size)
{
    ngx_uint_t           room;
    ngx_mcp_exchange_t  *x;

    x = (ngx_mcp_exchange_t *) sink;

    room = x->stream ? ngx_mcp_stream_has_room(x->stream, size)
                     : x->size + size <= ngx_mcp_exchange_limit(x) / 2;

    return room ? NGX_OK : NGX_BUSY;
}


/*
 * Takes from a call what the response needs besides the answer: the result
 * for the log; a refusal with its challenge; whether initialize succeeded, in
 * whose answer the protocol version is lowered if it must be.
 */

static ngx_int_t
ngx_mcp_exchange_check(ngx_mcp_exchange_t *x, ngx_mcp_task_t *task,
    ngx_mcp_event_t *ev)
{
    ngx_int_t                  rc;
    ngx_str_t                  answer;
    ngx_pool_t                *pool;
    ngx_mcp_call_t            *call;

    call = task->call;
    pool = x->request->pool;

    if (call == NULL) {
        return NGX_OK;
    }

    x->ctx->vars.result = call->ctx.vars.result;

    if (call->end == NGX_MCP_CALL_DONE
        && (call->status == NGX_HTTP_UNAUTHORIZED
            || call->status == NGX_HTTP_FORBIDDEN))
    {
        x->status = call->status;

        if (call->challenge.len == 0) {
            return NGX_OK;
        }

        x->challenge.len = call->challenge.len;
        x->challenge.data = ngx_pstrdup(pool, &call->challenge);

        return x->challenge.data ? NGX_OK : NGX_ERROR;
    }

    if (x->session.len == 0 || call->ctx.vars.result != NGX_MCP_RESULT_OK) {
        return NGX_OK;
    }

    x->initialized = 1;

    ngx_mcp_event_data(ev, &answer);

    rc = ngx_mcp_protocol_version_limit(pool, &answer, &x->newest);

    if (rc == NGX_OK && x->stream == NULL) {

        /* the id was not sent yet */

        x->client->capabilities |= NGX_MCP_CLIENT_LOWERED;

        return ngx_mcp_submit_session_id(x);
    }

    return (rc == NGX_ERROR) ? NGX_ERROR : NGX_OK;
}


static void
ngx_mcp_exchange_task_ended(ngx_mcp_sink_t *sink)
{
    ngx_mcp_exchange_t  *x;

    x = (ngx_mcp_exchange_t *) sink;

    if (!ngx_queue_empty(&sink->tasks)) {
        return;
    }

    if (x->stream) {
        ngx_mcp_exchange_end(x);
        return;
    }

    ngx_post_event(&x->event, &ngx_posted_events);
}


static void
ngx_mcp_exchange_timeout(void *data)
{
    ngx_mcp_exchange_t  *x = data;

    x->slow = 1;

    ngx_post_event(&x->event, &ngx_posted_events);
}


static void
ngx_mcp_exchange_event(ngx_event_t *ev)
{
    ngx_mcp_exchange_t  *x = ev->data;

    if (x->ctx->suspended
        && (ngx_queue_empty(&x->sink.tasks) || x->slow))
    {
        ngx_mcp_resume(x->request);
    }
}


ngx_int_t
ngx_mcp_exchange_wait(ngx_mcp_exchange_t *x)
{
    /* in the modern era an error of the answer may have a status of its own */

    if (x->asked && !x->ctx->accept_json && x->sink.modern == NULL) {
        return ngx_mcp_exchange_stream(x);
    }

    if (ngx_queue_empty(&x->sink.tasks)) {
        return ngx_mcp_exchange_answer(x);
    }

    if (ngx_mcp_suspend(x->request, ngx_mcp_exchange_resume) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_log_debug1(NGX_LOG_DEBUG_HTTP, x->request->connection->log, 0,
                   "mcp exchange waits, stream accepted: %d",
                   x->ctx->accept_stream);

    if (x->ctx->accept_stream && x->conf->stream_after != NGX_MCP_OFF) {
        ngx_mcp_timer_set(&x->timer, x->conf->stream_after);
    }

    return NGX_DONE;
}


static ngx_int_t
ngx_mcp_exchange_resume(ngx_http_request_t *r)
{
    ngx_mcp_ctx_t       *ctx;
    ngx_mcp_exchange_t  *x;

    ctx = ngx_http_get_module_ctx(r, ngx_http_mcp_sse_module);
    x = ctx->exchange;

    ngx_mcp_timer_del(&x->timer);

    /* if the worker stops, all answers are here and no task has ended */

    if (x->slow
        || (!ngx_queue_empty(&x->sink.tasks)
            && !ngx_mcp_session_timers_stopped()))
    {
        return ngx_mcp_exchange_stream(x);
    }

    return ngx_mcp_exchange_answer(x);
}


static ngx_int_t
ngx_mcp_exchange_answer(ngx_mcp_exchange_t *x)
{
    x->sink.open = 0;

    ngx_log_debug3(NGX_LOG_DEBUG_HTTP, x->request->connection->log, 0,
                   "mcp exchange answered, bytes: %uz, status: %ui, failed: %d",
                   x->size, x->status, x->failed);

    if (x->failed) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (!x->asked) {
        return ngx_mcp_respond(x->request, NGX_HTTP_ACCEPTED, NULL);
    }

    if (ngx_queue_empty(&x->events)) {
        return ngx_mcp_exchange_nothing(x);
    }

    if (!x->ctx->accept_json && ngx_mcp_exchange_status(x) == NGX_HTTP_OK) {
        return ngx_mcp_exchange_stream(x);
    }

    return ngx_mcp_exchange_json(x);
}


/*
 * All requests were cancelled (docs/PROTOCOL.md 7.15).
 */

static ngx_int_t
ngx_mcp_exchange_nothing(ngx_mcp_exchange_t *x)
{
    ngx_int_t            rc;
    ngx_http_request_t  *r;

    r = x->request;

    if (!x->ctx->accept_stream) {
        return ngx_mcp_respond(r, NGX_HTTP_ACCEPTED, NULL);
    }

    if (ngx_mcp_origin_headers(r) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_mcp_stream_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    return ngx_http_send_special(r, NGX_HTTP_LAST);
}


/*
 * Opens the stream.  From now on each answer is sent when it arrives.
 */

static ngx_int_t
ngx_mcp_exchange_stream(ngx_mcp_exchange_t *x)
{
    ngx_int_t                rc;
    ngx_queue_t             *q;
    ngx_mcp_event_t         *first;
    ngx_mcp_stream_owner_t   owner;

    if (ngx_mcp_origin_headers(x->request) != NGX_OK
        || ngx_mcp_exchange_headers(x) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    first = ngx_mcp_event_format(sizeof(": stream\n\n"),
                                 ngx_cycle->log, ": stream\n\n");
    if (first == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    owner.stream = &x->stream;
    owner.data = x;
    owner.closed = ngx_mcp_exchange_stream_closed;
    owner.conf = x->conf;
    owner.limit = ngx_mcp_exchange_limit(x);
    owner.keepalive_event = 0;

    rc = ngx_mcp_stream_open(x->request, &owner, first);

    if (x->stream == NULL) {
        return rc;
    }

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, x->request->connection->log, 0,
                   "mcp exchange becomes a stream: %i, bytes: %uz",
                   rc, x->size);

    while (!ngx_queue_empty(&x->events)) {
        q = ngx_queue_head(&x->events);
        ngx_queue_remove(q);

        ngx_mcp_stream_send(x->stream,
                            ngx_queue_data(q, ngx_mcp_event_t, queue));
    }

    if (ngx_queue_empty(&x->sink.tasks)) {
        ngx_mcp_exchange_end(x);
    }

    return rc;
}


/*
 * All answers are sent: ends the stream and with it the request.
 */

static void
ngx_mcp_exchange_end(ngx_mcp_exchange_t *x)
{
    x->sink.open = 0;

    ngx_mcp_stream_end(x->stream, NULL);
}


static void
ngx_mcp_exchange_stream_closed(void *data, ngx_uint_t reason)
{
    ngx_mcp_exchange_t  *x = data;

    x->sink.open = 0;
}


static void
ngx_mcp_exchange_cleanup(void *data)
{
    ngx_mcp_exchange_t  *x = data;

    x->sink.open = 0;

    if (x->sink.modern) {
        ngx_mcp_dispatch_closed(&x->sink);
    }

    ngx_mcp_task_detach(&x->sink);
    ngx_mcp_in_flight_free_all(&x->sink.in_flight);
    ngx_mcp_timer_del(&x->timer);

    if (x->event.posted) {
        ngx_delete_posted_event(&x->event);
    }
}


static void
ngx_mcp_exchange_free_events(void *data)
{
    ngx_mcp_exchange_t  *x = data;

    ngx_queue_t  *q, *next;

    for (q = ngx_queue_head(&x->events);
         q != ngx_queue_sentinel(&x->events);
         q = next)
    {
        next = ngx_queue_next(q);
        ngx_mcp_event_free(ngx_queue_data(q, ngx_mcp_event_t, queue));
    }
}

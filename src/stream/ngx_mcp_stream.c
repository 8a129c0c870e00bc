
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * An open SSE response: bounded queue, back-pressure, end.
 *
 * Events are queued, and one posted event writes the queue: what is sent in
 * one round of the event loop leaves in one write, and no function that sends
 * ends a request.  While the filters hold output, the queue waits for the
 * write handler.
 *
 * A stream is allocated in the pool of its request.  A cleanup of the request
 * detaches it from its owner, its timer and the posted event.  The bytes of
 * events are outside of the pool, which would keep them until the stream ends;
 * their bufs are in the pool and are used again.
 */

#include "ngx_mcp_stream.h"
#include "ngx_mcp_counters.h"
#include "ngx_mcp_heartbeat.h"
#include "ngx_mcp_stream_header.h"
#include "ngx_mcp_workers.h"


/* whether the filters hold output, for the client or behind a subrequest */

#define ngx_mcp_stream_blocked(r)                                             \
    ((r)->connection->buffered || (r)->postponed)


struct ngx_mcp_stream_s {
    ngx_http_request_t               *request;
    ngx_mcp_stream_owner_t            owner;

    ngx_queue_t                       queue;   /* not given to filters yet */
    ngx_queue_t                       sending; /* events in bufs of "busy" */
    size_t                            waiting; /* bytes in queue */
    size_t                            newest;  /* bytes of the last event */

    ngx_chain_t                      *free;
    ngx_chain_t                      *busy;

    ngx_mcp_heartbeat_t               heartbeat;
    ngx_uint_t                        reason;  /* not 0: close the stream */

    ngx_event_t                       event;   /* writes the queue */

    unsigned                          last:1;  /* nothing after queue; has
                                                  no owner any more */
};


static void ngx_mcp_stream_start(ngx_mcp_stream_t *stream);
static void ngx_mcp_stream_cleanup(void *data);
static void ngx_mcp_stream_free_events(void *data);
static void ngx_mcp_stream_push(ngx_mcp_stream_t *stream, ngx_mcp_event_t *ev);
static void ngx_mcp_stream_event(ngx_event_t *ev);
static void ngx_mcp_stream_flush(ngx_mcp_stream_t *stream, ngx_int_t rc);
static size_t ngx_mcp_stream_size(ngx_mcp_stream_t *stream);
static ngx_int_t ngx_mcp_stream_check(ngx_mcp_stream_t *stream);
static ngx_int_t ngx_mcp_stream_output(ngx_mcp_stream_t *stream);
static ngx_chain_t *ngx_mcp_stream_chain(ngx_mcp_stream_t *stream);
static void ngx_mcp_stream_release(ngx_mcp_stream_t *stream);
static ngx_int_t ngx_mcp_stream_wait(ngx_http_request_t *r);
static void ngx_mcp_stream_write_handler(ngx_http_request_t *r);
static void ngx_mcp_stream_heartbeat(void *data);


ngx_int_t
ngx_mcp_stream_open(ngx_http_request_t *r, ngx_mcp_stream_owner_t *owner,
    ngx_mcp_event_t *first)
{
    ngx_int_t                  rc;
    ngx_http_cleanup_t        *cln;
    ngx_pool_cleanup_t        *pcln;
    ngx_http_core_loc_conf_t  *clcf;
    ngx_mcp_stream_t          *stream;

    stream = ngx_pcalloc(r->pool, sizeof(ngx_mcp_stream_t));
    pcln = ngx_pool_cleanup_add(r->pool, 0);
    cln = ngx_http_cleanup_add(r, 0);

    if (stream == NULL || pcln == NULL || cln == NULL) {
        ngx_mcp_event_free(first);
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    stream->request = r;
    stream->owner = *owner;
    stream->event.handler = ngx_mcp_stream_event;
    stream->event.data = stream;
    stream->event.log = r->connection->log;

    ngx_queue_init(&stream->queue);
    ngx_queue_init(&stream->sending);

    ngx_mcp_stream_push(stream, first);

    pcln->handler = ngx_mcp_stream_free_events;
    pcln->data = stream;

    rc = ngx_mcp_stream_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    cln->handler = ngx_mcp_stream_cleanup;
    cln->data = stream;

    ngx_mcp_stream_start(stream);

    /* nginx sets TCP_NODELAY for its own handlers only */

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    if (clcf->tcp_nodelay && ngx_tcp_nodelay(r->connection) != NGX_OK) {
        return NGX_ERROR;
    }

    rc = ngx_mcp_stream_output(stream);

    if (rc != NGX_OK) {
        return rc;
    }

    r->main->count++;

    return NGX_DONE;
}


/*
 * ngx_mcp_stream_cleanup() undoes this.
 */

static void
ngx_mcp_stream_start(ngx_mcp_stream_t *stream)
{
    ngx_http_request_t  *r;
    ngx_mcp_ctx_t       *ctx;

    r = stream->request;

    ctx = ngx_http_get_module_ctx(r, ngx_http_mcp_sse_module);
    ctx->stream = stream;

    *stream->owner.stream = stream;

    ngx_mcp_timer_hold();
    ngx_mcp_workers_streams(1);

    if (stream->owner.conf->keepalive != NGX_MCP_OFF) {
        ngx_mcp_heartbeat_start(&stream->heartbeat,
                                stream->owner.conf->keepalive,
                                stream->owner.keepalive_event,
                                ngx_mcp_stream_heartbeat, stream);
    }

    if (!r->discard_body) {
        r->read_event_handler = ngx_http_test_reading;
    }

    r->write_event_handler = ngx_http_request_empty_handler;

    /* the client may have closed the connection before */

    if (r->connection->read->ready) {
        ngx_post_event(r->connection->read, &ngx_posted_events);
    }
}


ngx_http_request_t *
ngx_mcp_stream_request(ngx_mcp_stream_t *stream)
{
    return stream->request;
}


static void
ngx_mcp_stream_cleanup(void *data)
{
    ngx_mcp_stream_t  *stream = data;

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, stream->request->connection->log, 0,
                   "mcp stream closed, by its owner: %d, reason: %ui",
                   stream->last, stream->reason);

    ngx_mcp_timer_del(&stream->heartbeat.timer);

    if (stream->event.posted) {
        ngx_delete_posted_event(&stream->event);
    }

    ngx_mcp_workers_streams(-1);
    ngx_mcp_timer_release();

    if (!stream->last) {
        *stream->owner.stream = NULL;
        stream->owner.closed(stream->owner.data, stream->reason);
    }
}


/*
 * A cleanup of the pool: HTTP/2 may still send a frame of a request that has
 * ended.
 */

static void
ngx_mcp_stream_free_events(void *data)
{
    ngx_mcp_stream_t  *stream = data;

    ngx_queue_t  *q, *next;

    ngx_queue_add(&stream->sending, &stream->queue);

    for (q = ngx_queue_head(&stream->sending);
         q != ngx_queue_sentinel(&stream->sending);
         q = next)
    {
        next = ngx_queue_next(q);
        ngx_mcp_event_free(ngx_queue_data(q, ngx_mcp_event_t, queue));
    }
}


void
ngx_mcp_stream_send(ngx_mcp_stream_t *stream, ngx_mcp_event_t *ev)
{
    if (ev) {
        ngx_mcp_stream_push(stream, ev);

    } else {
        stream->reason = NGX_MCP_CLOSE_NO_MEMORY;
    }

    ngx_post_event(&stream->event, &ngx_posted_events);
}


void
ngx_mcp_stream_end(ngx_mcp_stream_t *stream, ngx_mcp_event_t *ev)
{
    *stream->owner.stream = NULL;
    stream->last = 1;

    ngx_mcp_timer_del(&stream->heartbeat.timer);

    if (ev) {
        ngx_mcp_stream_push(stream, ev);
    }

    ngx_post_event(&stream->event, &ngx_posted_events);
}


static void
ngx_mcp_stream_push(ngx_mcp_stream_t *stream, ngx_mcp_event_t *ev)
{
    ngx_queue_insert_tail(&stream->queue, &ev->queue);

    stream->newest = ev->last - ev->pos;
    stream->waiting += stream->newest;

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, stream->request->connection->log, 0,
                   "mcp stream event queued, bytes: %uz of %uz",
                   stream->newest, stream->waiting);
}


static void
ngx_mcp_stream_event(ngx_event_t *ev)
{
    ngx_connection_t  *c;
    ngx_mcp_stream_t  *stream;

    stream = ev->data;
    c = stream->request->connection;

    ngx_http_set_log_request(c->log, stream->request);

    ngx_mcp_stream_flush(stream, NGX_OK);

    ngx_http_run_posted_requests(c);
}


/*
 * Gives the queue to the filters if they hold no output.  Finalizes the
 * request on an error, which "rc" may be, and after the last event.
 */

static void
ngx_mcp_stream_flush(ngx_mcp_stream_t *stream, ngx_int_t rc)
{
    ngx_http_request_t  *r;

    r = stream->request;

    /* the write handler may run before the posted event */

    if (stream->event.posted) {
        ngx_delete_posted_event(&stream->event);
    }

    while (rc == NGX_OK
           && !ngx_mcp_stream_blocked(r)
           && !ngx_queue_empty(&stream->queue))
    {
        rc = ngx_mcp_stream_output(stream);
    }

    /* a response that ends in order is limited by send_timeout only */

    if (rc != NGX_OK
        || stream->reason
        || (!stream->last && ngx_mcp_stream_check(stream) != NGX_OK))
    {
        ngx_http_finalize_request(r, NGX_ERROR);
        return;
    }

    if (stream->last && ngx_queue_empty(&stream->queue)) {
        ngx_http_finalize_request(r, ngx_http_send_special(r, NGX_HTTP_LAST));
    }
}


ngx_uint_t
ngx_mcp_stream_has_room(ngx_mcp_stream_t *stream, size_t size)
{
    return ngx_mcp_stream_size(stream) + size <= stream->owner.limit / 2;
}


/*
 * Returns how many bytes the client has not taken.
 */

static size_t
ngx_mcp_stream_size(ngx_mcp_stream_t *stream)
{
    size_t        size;
    ngx_chain_t  *cl;

    size = stream->waiting;

    for (cl = stream->busy; cl; cl = cl->next) {
        size += ngx_buf_size(cl->buf);
    }

    return size;
}


static ngx_int_t
ngx_mcp_stream_check(ngx_mcp_stream_t *stream)
{
    size_t  size;

    size = ngx_mcp_stream_size(stream);

    if (size >= stream->owner.limit + stream->newest) {
        ngx_mcp_count(NGX_MCP_COUNT_QUEUE_FULL);

        ngx_log_error(NGX_LOG_INFO, stream->request->connection->log, 0,
                      "mcp sse: client reads too slowly: %uz bytes are queued, "
                      "closing the stream", size);

        stream->reason = NGX_MCP_CLOSE_SLOW_CLIENT;
    }

    return stream->reason ? NGX_ERROR : NGX_OK;
}


/*
 * Gives the queue to the filters if they hold no output, and lets them send
 * what they hold otherwise.
 */

static ngx_int_t
ngx_mcp_stream_output(ngx_mcp_stream_t *stream)
{
    ngx_int_t            rc;
    ngx_chain_t         *out;
    ngx_http_request_t  *r;

    r = stream->request;
    out = NULL;

    if (!ngx_mcp_stream_blocked(r)) {

        if (ngx_queue_empty(&stream->queue)) {
            return NGX_OK;
        }

        out = ngx_mcp_stream_chain(stream);
        if (out == NULL) {
            return NGX_ERROR;
        }
    }

    rc = ngx_http_output_filter(r, out);

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "mcp stream output: %i, blocked: %d",
                   rc, ngx_mcp_stream_blocked(r) ? 1 : 0);

    ngx_chain_update_chains(r->pool, &stream->free, &stream->busy, &out,
                            (ngx_buf_tag_t) &ngx_http_mcp_sse_module);

    ngx_mcp_stream_release(stream);

    if (!ngx_mcp_stream_blocked(r)) {
        ngx_mcp_heartbeat_sent(&stream->heartbeat);
    }

    return (rc == NGX_ERROR) ? rc : ngx_mcp_stream_wait(r);
}


static ngx_chain_t *
ngx_mcp_stream_chain(ngx_mcp_stream_t *stream)
{
    ngx_buf_t        *b;
    ngx_chain_t      *cl, *out, **ll;
    ngx_queue_t      *q;
    ngx_mcp_event_t  *ev;

    out = NULL;
    ll = &out;

    do {
        cl = ngx_chain_get_free_buf(stream->request->pool, &stream->free);
        if (cl == NULL) {
            return NULL;
        }

        q = ngx_queue_head(&stream->queue);
        ev = ngx_queue_data(q, ngx_mcp_event_t, queue);

        ngx_queue_remove(q);
        ngx_queue_insert_tail(&stream->sending, q);

        b = cl->buf;

        ngx_memzero(b, sizeof(ngx_buf_t));

        b->start = ev->pos;
        b->pos = ev->pos;
        b->last = ev->last;
        b->end = ev->last;
        b->tag = (ngx_buf_tag_t) &ngx_http_mcp_sse_module;
        b->memory = 1;

        *ll = cl;
        ll = &cl->next;

    } while (!ngx_queue_empty(&stream->queue));

    /* an empty buf for the flush might be used again before it is sent */

    b->flush = 1;

    stream->waiting = 0;

    return out;
}


/*
 * Frees the events whose bufs are sent.  An event has one buf, and "sending"
 * and "busy" have the same order.
 */

static void
ngx_mcp_stream_release(ngx_mcp_stream_t *stream)
{
    ngx_queue_t      *q, *next;
    ngx_mcp_event_t  *ev;

    for (q = ngx_queue_head(&stream->sending);
         q != ngx_queue_sentinel(&stream->sending);
         q = next)
    {
        next = ngx_queue_next(q);
        ev = ngx_queue_data(q, ngx_mcp_event_t, queue);

        if (stream->busy && stream->busy->buf->start == ev->pos) {
            return;
        }

        ngx_queue_remove(q);
        ngx_mcp_event_free(ev);
    }
}


/*
 * Installs the write handler while output is blocked.  The client has
 * send_timeout to take any byte.
 */

static ngx_int_t
ngx_mcp_stream_wait(ngx_http_request_t *r)
{
    ngx_event_t               *wev;
    ngx_connection_t          *c;
    ngx_http_core_loc_conf_t  *clcf;

    c = r->connection;
    wev = c->write;

    if (!c->buffered) {

        /* the timer of limit_rate ends its delay, so keep it */

        if (wev->timer_set && !wev->delayed) {
            ngx_del_timer(wev);
        }

        r->write_event_handler = r->postponed
            ? ngx_mcp_stream_write_handler
            : ngx_http_request_empty_handler;

        return NGX_OK;
    }

    r->write_event_handler = ngx_mcp_stream_write_handler;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    if (!wev->delayed) {
        ngx_add_timer(wev, clcf->send_timeout);
    }

    return ngx_handle_write_event(wev, clcf->send_lowat);
}


static void
ngx_mcp_stream_write_handler(ngx_http_request_t *r)
{
    ngx_connection_t  *c;
    ngx_mcp_ctx_t     *ctx;
    ngx_mcp_stream_t  *stream;

    c = r->connection;

    ctx = ngx_http_get_module_ctx(r, ngx_http_mcp_sse_module);
    stream = ctx->stream;

    if (c->write->timedout) {
        ngx_log_error(NGX_LOG_INFO, c->log, NGX_ETIMEDOUT, "client timed out");
        ngx_mcp_count(NGX_MCP_COUNT_SEND_TIMEOUT);
        c->timedout = 1;
        stream->reason = NGX_MCP_CLOSE_SLOW_CLIENT;
        ngx_http_finalize_request(r, NGX_HTTP_REQUEST_TIME_OUT);
        return;
    }

    ngx_mcp_stream_flush(stream, ngx_mcp_stream_output(stream));
}


static void
ngx_mcp_stream_heartbeat(void *data)
{
    ngx_mcp_stream_t  *stream = data;

    ngx_mcp_event_t  *ev;

    if (!ngx_mcp_heartbeat_due(&stream->heartbeat)) {
        return;
    }

    /* skip the heartbeat while output is blocked */

    if (ngx_mcp_stream_blocked(stream->request)
        || !ngx_queue_empty(&stream->queue))
    {
        return;
    }

    ev = ngx_mcp_heartbeat_event(&stream->heartbeat);

    if (ev) {
        ngx_mcp_stream_send(stream, ev);
    }
}

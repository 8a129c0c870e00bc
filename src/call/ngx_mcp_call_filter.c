
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * The output filter that collects the response of a call: status, length,
 * challenge and body.
 *
 * The body belongs to the call.
 */

#include "ngx_mcp_call_filter.h"
#include "ngx_mcp_header.h"


#define NGX_MCP_CALL_FILTER_MIN_SIZE  4096    /* bytes */

/* a length is a claim: more is allocated when so much has come */

#define NGX_MCP_CALL_FILTER_MAX_CLAIM  65536  /* bytes */

/* from this size on, a body of unknown length does not double its buffer */

#define NGX_MCP_CALL_FILTER_LARGE  (1024 * 1024)

/* what is read of a body before other clients have their turn, bytes */

#define NGX_MCP_CALL_FILTER_SLICE  (256 * 1024)


static ngx_mcp_call_t *ngx_mcp_call_filter_call(ngx_http_request_t *r);
static ngx_int_t ngx_mcp_call_filter_header(ngx_http_request_t *r);
static void ngx_mcp_call_filter_headers(ngx_http_request_t *r,
    ngx_mcp_call_t *call);
static ngx_int_t ngx_mcp_call_filter_body(ngx_http_request_t *r,
    ngx_chain_t *in);
static void ngx_mcp_call_filter_yield(ngx_http_request_t *r,
    ngx_mcp_call_t *call);
static ngx_uint_t ngx_mcp_call_filter_whole(ngx_http_upstream_t *u);
static void ngx_mcp_call_filter_resume(ngx_event_t *ev);
static ngx_int_t ngx_mcp_call_filter_append(ngx_mcp_call_t *call, u_char *data,
    size_t size);
static ngx_int_t ngx_mcp_call_filter_in_place(ngx_http_request_t *r,
    ngx_mcp_call_t *call);
static ngx_uint_t ngx_mcp_call_filter_has_length(ngx_http_request_t *r,
    ngx_mcp_call_t *call);
static size_t ngx_mcp_call_filter_room(ngx_mcp_call_t *call, size_t have);
static ngx_int_t ngx_mcp_call_filter_grow(ngx_mcp_call_t *call, size_t size);


static ngx_http_output_header_filter_pt  ngx_http_next_header_filter;
static ngx_http_output_body_filter_pt    ngx_http_next_body_filter;


void
ngx_mcp_call_filter_init(void)
{
    ngx_http_next_header_filter = ngx_http_top_header_filter;
    ngx_http_top_header_filter = ngx_mcp_call_filter_header;

    ngx_http_next_body_filter = ngx_http_top_body_filter;
    ngx_http_top_body_filter = ngx_mcp_call_filter_body;
}


/*
 * Finds the call by the fake request, the main one: an internal redirect, of
 * error_page for example, clears the contexts of the subrequest.
 */

static ngx_mcp_call_t *
ngx_mcp_call_filter_call(ngx_http_request_t *r)
{
    ngx_mcp_ctx_t  *ctx;

    if (r == r->main) {
        return NULL;
    }

    ctx = ngx_http_get_module_ctx(r->main, ngx_http_mcp_sse_module);

    return ctx ? ctx->call : NULL;
}


static ngx_int_t
ngx_mcp_call_filter_header(ngx_http_request_t *r)
{
    ngx_mcp_call_t  *call;

    call = ngx_mcp_call_filter_call(r);

    if (call == NULL) {
        return ngx_http_next_header_filter(r);
    }

    r->header_sent = 1;

    /* ignore nested subrequests, of SSI for example */

    if (r->parent != r->main) {
        return NGX_OK;
    }

    call->status = r->headers_out.status;
    call->length = r->headers_out.content_length_n;

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, &call->log, 0,
                   "mcp call header: status: %ui, length: %O",
                   call->status, call->length);

    /* nginx takes a 1xx for the final response, with a body without an end */

    if (call->status >= NGX_HTTP_CONTINUE && call->status < NGX_HTTP_OK) {
        ngx_log_error(NGX_LOG_ERR, &call->log, 0,
                      "mcp sse: call at \"%V\" answered %ui, which is not a "
                      "final status", &call->uri, call->status);
        return NGX_ERROR;
    }

    ngx_mcp_call_filter_headers(r, call);

    if (call->length > 0
        && call->end == 0
        && call->length <= (off_t) call->max_answer
        && ngx_mcp_call_filter_grow(call,
                     ngx_min(call->length, NGX_MCP_CALL_FILTER_MAX_CLAIM) + 1)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


static void
ngx_mcp_call_filter_headers(ngx_http_request_t *r, ngx_mcp_call_t *call)
{
    time_t            date;
    ngx_table_elt_t  *h;

    /* headers_out.www_authenticate is set only where errors are intercepted */

    h = ngx_mcp_header_first(&r->headers_out.headers, "www-authenticate");
    if (h) {
        call->challenge = h->value;
    }

    /* RFC 9111, 5.1: a cache on the way, which may send 0 if it has asked */

    h = ngx_mcp_header_first(&r->headers_out.headers, "age");
    if (h && ngx_atoi(h->value.data, h->value.len) > 0) {
        call->cached = 1;
    }

    h = ngx_mcp_header_first(&r->headers_out.headers, "retry-after");
    if (h == NULL) {
        return;
    }

    /* RFC 9110, 10.2.3: seconds or a date */

    call->retry_after = ngx_atotm(h->value.data, h->value.len);

    if (call->retry_after != NGX_ERROR) {
        return;
    }

    date = ngx_parse_http_time(h->value.data, h->value.len);

    if (date != NGX_ERROR) {
        call->retry_after = ngx_max(date - ngx_time(), 0);
    }
}


static ngx_int_t
ngx_mcp_call_filter_body(ngx_http_request_t *r, ngx_chain_t *in)
{
    ngx_buf_t       *b;
    ngx_chain_t     *cl;
    ngx_mcp_call_t  *call;

    call = ngx_mcp_call_filter_call(r);

    if (call == NULL) {
        return ngx_http_next_body_filter(r, in);
    }

    for (cl = in; cl; cl = cl->next) {
        b = cl->buf;

        if (ngx_buf_in_memory(b)) {

            if (r->parent == r->main
                && call->end == 0
                && ngx_mcp_call_filter_append(call, b->pos, b->last - b->pos)
                   != NGX_OK)
            {
                return NGX_ERROR;
            }

            b->pos = b->last;
        }

        if (b->in_file) {
            b->file_pos = b->file_last;
        }
    }

    if (call->slice >= NGX_MCP_CALL_FILTER_SLICE) {
        ngx_mcp_call_filter_yield(r, call);
    }

    return (r == call->subrequest) ? ngx_mcp_call_filter_in_place(r, call)
                                   : NGX_OK;
}


/*
 * nginx reads from an upstream as long as there is something to read.  A slice
 * ends as if there was nothing, and an event in the next round of the event
 * loop tells that there is.
 */

static void
ngx_mcp_call_filter_yield(ngx_http_request_t *r, ngx_mcp_call_t *call)
{
    ngx_event_t          *rev;
    ngx_http_upstream_t  *u;

    u = r->upstream;

    if (r != call->subrequest
        || u == NULL
        || u->peer.connection == NULL
        || ngx_mcp_call_filter_whole(u))
    {
        return;
    }

    rev = u->peer.connection->read;

    call->slice = 0;

    /* nothing is left of what nginx knows of: it waits for an event */

    if (!rev->ready || rev->available == 0) {
        return;
    }

    rev->ready = 0;

    call->next_slice.handler = ngx_mcp_call_filter_resume;
    call->next_slice.data = call;
    call->next_slice.log = &call->log;

    /* an event of the connection came first: it has taken this round's slice */

    if (call->next_slice.posted) {
        ngx_delete_posted_event(&call->next_slice);
    }

    ngx_post_event(&call->next_slice, &ngx_posted_next_events);
}


/*
 * Returns whether the response has come to its end.  The connection may be
 * kept then, and "ready" must be true.
 */

static ngx_uint_t
ngx_mcp_call_filter_whole(ngx_http_upstream_t *u)
{
    if (u->buffering) {
        return u->pipe->upstream_done
               || u->pipe->upstream_eof
               || u->pipe->upstream_error;
    }

    return u->length == 0;
}


static void
ngx_mcp_call_filter_resume(ngx_event_t *ev)
{
    ngx_mcp_call_t  *call = ev->data;

    ngx_event_t          *rev;
    ngx_http_upstream_t  *u;

    u = call->subrequest->upstream;

    /* a call that lingers is read to its end, too */

    if (call->over || u == NULL || u->peer.connection == NULL) {
        return;
    }

    rev = u->peer.connection->read;

    /* an event of the connection came first, and all was read */

    if (rev->available == 0) {
        return;
    }

    rev->ready = 1;
    rev->handler(rev);
}


static ngx_int_t
ngx_mcp_call_filter_append(ngx_mcp_call_t *call, u_char *data, size_t size)
{
    size_t            have;
    ngx_str_t         body;
    ngx_mcp_event_t  *ev;

    ev = call->answer;
    have = ev ? ev->last - ev->pos : 0;

    if (have + size > call->max_answer) {
        ngx_mcp_call_end(call, NGX_MCP_CALL_OVERSIZE);
        return NGX_OK;
    }

    if ((ev == NULL || (size_t) (ev->end - ev->last) < size)
        && ngx_mcp_call_filter_grow(call,
                    ngx_max(have + size, ngx_mcp_call_filter_room(call, have)))
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    ev = call->answer;

    /* what was read into the answer may be behind a header of its protocol */

    ngx_memmove(ev->last, data, size);

    ev->last += size;

    call->slice += size;

    if (call->jsonrpc) {
        body.len = ev->last - ev->pos;
        body.data = ev->pos;

        ngx_mcp_jsonrpc_answer_more(&call->scan, &body);
    }

    return NGX_OK;
}


/*
 * nginx reads a body into one small buffer, again and again.  If its length is
 * known and nothing changes it on the way, nginx is given the place where the
 * body is collected for its buffer: nothing is copied, and there are fewer and
 * larger reads.  As with its own buffer, nginx may read more than the length,
 * and closes the connection of a backend that has sent more.
 */

static ngx_int_t
ngx_mcp_call_filter_in_place(ngx_http_request_t *r, ngx_mcp_call_t *call)
{
    size_t            have, rest;
    ngx_buf_t        *b;
    ngx_mcp_event_t  *ev;

    if (!ngx_mcp_call_filter_has_length(r, call)) {
        ngx_mcp_call_filter_leave(call);
        return NGX_OK;
    }

    b = &r->upstream->buffer;

    if (call->buffer == NULL) {
        call->buffer = b->start;
        call->buffer_end = b->end;
    }

    ev = call->answer;
    have = ev->last - ev->pos;
    rest = (size_t) r->upstream->length + 1;

    if ((size_t) (ev->end - ev->last) < rest
        && have >= NGX_MCP_CALL_FILTER_MAX_CLAIM / 2)
    {
        if (ngx_mcp_call_filter_grow(call, have + rest) != NGX_OK) {
            return NGX_ERROR;
        }

        ev = call->answer;
    }

    rest = ngx_min(rest, (size_t) (ev->end - ev->last));
    rest = ngx_min(rest, NGX_MCP_CALL_FILTER_SLICE - call->slice);

    b->start = ev->last;
    b->pos = b->start;
    b->last = b->start;
    b->end = b->start + rest;

    return NGX_OK;
}


/*
 * Returns whether the rest of the body, of a length that is known, comes from
 * the buffer of the upstream, in which nothing is left, unchanged.  A filter
 * that changes the length of a body removes its Content-Length.
 */

static ngx_uint_t
ngx_mcp_call_filter_has_length(ngx_http_request_t *r, ngx_mcp_call_t *call)
{
    off_t                 have;
    ngx_chain_t          *cl;
    ngx_http_upstream_t  *u;

    u = r->upstream;

    if (u == NULL
        || u->peer.connection == NULL
        || u->buffering
        || u->length <= 0
        || u->busy_bufs
        || call->end
        || call->answer == NULL
        || call->length > (off_t) call->max_answer)
    {
        return 0;
    }

    for (cl = u->out_bufs; cl; cl = cl->next) {
        if (cl->buf->pos != cl->buf->last) {
            return 0;
        }
    }

    have = call->answer->last - call->answer->pos;

    return u->length == call->length - have;
}


void
ngx_mcp_call_filter_leave(ngx_mcp_call_t *call)
{
    ngx_buf_t  *b;

    if (call->buffer == NULL) {
        return;
    }

    b = &call->subrequest->upstream->buffer;

    b->start = call->buffer;
    b->pos = b->start;
    b->last = b->start;
    b->end = call->buffer_end;

    call->buffer = NULL;
}


/* returns the size of the next buffer for a body of which "have" bytes came */

static size_t
ngx_mcp_call_filter_room(ngx_mcp_call_t *call, size_t have)
{
    size_t  room;

    room = (have < NGX_MCP_CALL_FILTER_LARGE) ? 2 * have : have + have / 4;
    room = ngx_max(room, NGX_MCP_CALL_FILTER_MIN_SIZE);
    room = ngx_min(room, call->max_answer);

    if (call->length > 0
        && have >= NGX_MCP_CALL_FILTER_MAX_CLAIM / 2
        && call->length <= (off_t) call->max_answer)
    {
        room = (size_t) call->length;
    }

    return room;
}


static ngx_int_t
ngx_mcp_call_filter_grow(ngx_mcp_call_t *call, size_t size)
{
    ngx_mcp_event_t  *ev;

    ev = ngx_mcp_event_alloc(size, &call->log);
    if (ev == NULL) {
        return NGX_ERROR;
    }

    if (call->answer) {
        ev->last = ngx_cpymem(ev->last, call->answer->pos,
                              call->answer->last - call->answer->pos);
        ngx_mcp_event_free(call->answer);
    }

    call->answer = ev;

    return NGX_OK;
}

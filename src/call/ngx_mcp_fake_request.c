
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * The fake request of a call and its connection without a socket, as in
 * ngx_http_js_periodic_handler() of njs and ngx_http_v2_create_stream().
 *
 * The connection is part of the call.  The call frees both.
 */

#include "ngx_mcp_fake_request.h"


/*
 * Counters of stub_status.  Where nginx is built without it they are missing;
 * where only the tree of the module is, they are not declared.
 */

#if (NGX_STAT_STUB)

#pragma weak ngx_stat_reading
#pragma weak ngx_stat_requests

#else

extern ngx_atomic_t  *ngx_stat_reading __attribute__((weak));
extern ngx_atomic_t  *ngx_stat_requests __attribute__((weak));

#endif


/*
 * What a call allocates, in one block.  The request_pool_size of a server may
 * be small for its streams, which are open for hours.
 */

#define NGX_MCP_FAKE_REQUEST_POOL_SIZE  12288    /* bytes */


static ngx_http_request_t *ngx_mcp_fake_request_alloc(ngx_mcp_call_t *call);
static void ngx_mcp_fake_request_uncount(ngx_http_request_t *r);
static void ngx_mcp_fake_request_connection(ngx_mcp_call_t *call,
    ngx_log_t *log);
static void ngx_mcp_fake_request_event(ngx_event_t *ev);
static u_char *ngx_mcp_fake_request_log_error(ngx_log_t *log, u_char *buf,
    size_t len);


/* 127.0.0.1, for $server_addr, and $remote_addr without a client address */

static struct sockaddr_in  ngx_mcp_fake_request_sockaddr;


ngx_int_t
ngx_mcp_fake_request_create(ngx_mcp_call_t *call,
    ngx_http_event_handler_pt write_handler, ngx_http_cleanup_pt cleanup,
    ngx_log_t *log)
{
    ngx_connection_t    *c;
    ngx_http_cleanup_t  *cln;
    ngx_http_request_t  *r;

    ngx_mcp_fake_request_connection(call, log);

    c = &call->connection;

    c->pool = ngx_create_pool(256, c->log);
    if (c->pool == NULL) {
        return NGX_ERROR;
    }

    r = ngx_mcp_fake_request_alloc(call);
    if (r == NULL) {
        return NGX_ERROR;
    }

    c->data = r;

    call->request = r;
    call->pool = r->pool;

    ngx_mcp_fake_request_uncount(r);

    /*
     * nginx gives a request up when memory is short, and frees it with its
     * connection; the call still reads both.  It does not free a request that
     * is blocked by a file operation in a thread: this one stays blocked until
     * the call frees it.
     */

    r->blocked = 1;

    cln = ngx_http_cleanup_add(r, 0);

    if (cln == NULL
        || ngx_list_init(&r->headers_in.headers, r->pool, 20,
                         sizeof(ngx_table_elt_t))
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    cln->handler = cleanup;
    cln->data = call;

    r->http_version = NGX_HTTP_VERSION_11;
    r->http_state = NGX_HTTP_PROCESS_REQUEST_STATE;
    r->read_event_handler = ngx_http_request_empty_handler;
    r->write_event_handler = write_handler;
    r->internal = 1;

    ngx_str_set(&r->http_protocol, "HTTP/1.1");
    ngx_str_set(&r->uri, "/");

    call->ctx.request = r;
    call->ctx.call = call;

    ngx_http_set_ctx(r, &call->ctx, ngx_http_mcp_sse_module);

    return NGX_OK;
}


/*
 * Only the configuration tells nginx the size of the pool.
 */

static ngx_http_request_t *
ngx_mcp_fake_request_alloc(ngx_mcp_call_t *call)
{
    size_t               size;
    ngx_http_request_t  *r;

    size = call->cscf->request_pool_size;

    call->cscf->request_pool_size = ngx_max(size,
                                            NGX_MCP_FAKE_REQUEST_POOL_SIZE);

    r = ngx_http_create_request(&call->connection);

    call->cscf->request_pool_size = size;

    return r;
}


/*
 * The fake request has no client: stub_status does not count it as a request
 * that is being read.
 */

static void
ngx_mcp_fake_request_uncount(ngx_http_request_t *r)
{
    if (!r->stat_reading) {
        return;
    }

    r->stat_reading = 0;

    (void) ngx_atomic_fetch_add(ngx_stat_reading, -1);
    (void) ngx_atomic_fetch_add(ngx_stat_requests, -1);
}


/*
 * The connection has no socket, so nginx must not add or delete its events:
 * it does not add the read event, which is active, nor the write event, which
 * is ready.  With select and poll it would delete a write event that is
 * active and ready.
 */

static void
ngx_mcp_fake_request_connection(ngx_mcp_call_t *call, ngx_log_t *log)
{
    ngx_log_t         *clog;
    ngx_event_t       *rev, *wev;
    ngx_connection_t  *c;

    c = &call->connection;
    rev = &call->read;
    wev = &call->write;
    clog = &call->log;

    *clog = *log;
    clog->handler = ngx_mcp_fake_request_log_error;
    clog->data = &call->log_ctx;
    clog->action = "calling the backend";

    call->log_ctx.connection = c;

    rev->data = c;
    rev->log = clog;
    rev->handler = ngx_mcp_fake_request_event;
    rev->active = 1;

    wev->data = c;
    wev->log = clog;
    wev->handler = ngx_mcp_fake_request_event;
    wev->write = 1;
    wev->active = (ngx_event_flags & NGX_USE_CLEAR_EVENT) ? 1 : 0;
    wev->ready = 1;

    call->hc.conf_ctx = call->cscf->ctx;

    ngx_mcp_fake_request_sockaddr.sin_family = AF_INET;
    ngx_mcp_fake_request_sockaddr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);

    c->fd = (ngx_socket_t) -1;
    c->read = rev;
    c->write = wev;
    c->data = &call->hc;
    c->log = clog;
    c->log_error = NGX_ERROR_INFO;
    c->tcp_nodelay = NGX_TCP_NODELAY_DISABLED;
    c->tcp_nopush = NGX_TCP_NOPUSH_DISABLED;
    c->sockaddr = (struct sockaddr *) &ngx_mcp_fake_request_sockaddr;
    c->socklen = sizeof(struct sockaddr_in);
    c->local_sockaddr = (struct sockaddr *) &ngx_mcp_fake_request_sockaddr;
    c->local_socklen = sizeof(struct sockaddr_in);
    c->number = ngx_atomic_fetch_add(ngx_connection_counter, 1);
    clog->connection = c->number;
}


void
ngx_mcp_fake_request_address(ngx_mcp_call_t *call)
{
    ngx_addr_t         addr;
    ngx_connection_t  *c;

    c = &call->connection;
    c->addr_text = call->address;

    if (call->address.len
        && ngx_parse_addr(call->pool, &addr, call->address.data,
                          call->address.len)
           == NGX_OK)
    {
        c->sockaddr = addr.sockaddr;
        c->socklen = addr.socklen;
    }
}


/*
 * Runs for timers only, the delay of limit_req for example: nothing is read
 * or written.
 */

static void
ngx_mcp_fake_request_event(ngx_event_t *ev)
{
    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    c = ev->data;
    r = c->data;

    ngx_http_set_log_request(c->log, r);

    if (ev->delayed && ev->timedout) {
        ev->delayed = 0;
        ev->timedout = 0;
    }

    if (ev->write) {
        r->write_event_handler(r);

    } else {
        r->read_event_handler(r);
    }

    ngx_http_run_posted_requests(c);
}


static u_char *
ngx_mcp_fake_request_log_error(ngx_log_t *log, u_char *buf, size_t len)
{
    u_char              *last;
    ngx_mcp_ctx_t       *mctx;
    ngx_http_request_t  *r;
    ngx_http_log_ctx_t  *ctx;

    last = buf + len;

    if (log->action) {
        buf = ngx_slprintf(buf, last, " while %s", log->action);
    }

    ctx = log->data;
    r = ctx->request;

    if (r == NULL) {
        return buf;
    }

    mctx = ngx_http_get_module_ctx(r, ngx_http_mcp_sse_module);

    if (mctx == NULL) {
        return buf;
    }

    /* a look-up has no session and no method */

    if (ctx->connection->addr_text.len) {
        buf = ngx_slprintf(buf, last, ", client: %V",
                           &ctx->connection->addr_text);
    }

    if (mctx->vars.session.len) {
        buf = ngx_slprintf(buf, last, ", session: %V", &mctx->vars.session);
    }

    if (mctx->vars.raw_method.len) {
        buf = ngx_slprintf(buf, last, ", method: %V", &mctx->vars.raw_method);
    }

#ifdef angie_version
    return r->log_handler(log, buf, last, ctx);
#else
    return r->log_handler(r, ctx->current_request, buf, last - buf);
#endif
}

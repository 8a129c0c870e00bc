
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * A connection of nginx's to a Redis: TCP, TLS or a unix socket.  Bytes only.
 *
 * "io" is owned by its user and never freed; the nginx connection, its pool and
 * the output are owned by "io" and freed by ngx_mcp_redis_io_close().
 *
 * nginx writes a line to the log for each error of a connection.  A connection
 * that is tried again and again would fill it: the log of these connections
 * keeps the last line as the reason, and the user says it once.
 */

#include "ngx_mcp_redis_io.h"
#include "ngx_mcp_redis_ssl.h"


#define NGX_MCP_REDIS_IO_POOL_SIZE    512

#define NGX_MCP_REDIS_IO_BUFFER_SIZE  (16 * 1024)

/* for an event; then other connections of the worker have their turn */

#define NGX_MCP_REDIS_IO_MAX_READS    16

/* more output than this is given back when it is written */

#define NGX_MCP_REDIS_IO_KEEP_OUTPUT  (64 * 1024)
#define NGX_MCP_REDIS_IO_MIN_OUTPUT   (4 * 1024)


static void ngx_mcp_redis_io_init_log(ngx_mcp_redis_io_t *io);
static void ngx_mcp_redis_io_log(ngx_log_t *log, ngx_uint_t level, u_char *buf,
    size_t len);
static ngx_int_t ngx_mcp_redis_io_init(ngx_mcp_redis_io_t *io);
static void ngx_mcp_redis_io_connect_handler(ngx_event_t *ev);
static ngx_err_t ngx_mcp_redis_io_error(ngx_connection_t *c);
static void ngx_mcp_redis_io_connected(ngx_mcp_redis_io_t *io, ngx_int_t rc);
static void ngx_mcp_redis_io_read_handler(ngx_event_t *rev);
static void ngx_mcp_redis_io_write_handler(ngx_event_t *wev);
static ngx_int_t ngx_mcp_redis_io_send(ngx_mcp_redis_io_t *io);
static ngx_int_t ngx_mcp_redis_io_grow(ngx_mcp_redis_io_t *io, size_t len);
static void ngx_mcp_redis_io_free_output(ngx_mcp_redis_io_t *io);
static void ngx_mcp_redis_io_fail(ngx_mcp_redis_io_t *io, const char *reason);


ngx_int_t
ngx_mcp_redis_io_open(ngx_mcp_redis_io_t *io, ngx_mcp_redis_address_t *address)
{
    ngx_int_t               rc;
    ngx_peer_connection_t  *pc;

    io->address = address;

    ngx_mcp_redis_io_init_log(io);

    io->name.data = address->host;
    io->name.len = ngx_strlen(address->host);

    pc = &io->peer;

    ngx_memzero(pc, sizeof(ngx_peer_connection_t));

    pc->sockaddr = &address->sockaddr.sockaddr;
    pc->socklen = address->socklen;
    pc->name = &io->name;
    pc->get = ngx_event_get_peer;
    pc->log = &io->log;
    pc->log_error = NGX_ERROR_ERR;

    rc = ngx_event_connect_peer(pc);

    if (rc != NGX_OK && rc != NGX_AGAIN) {
        return NGX_ERROR;
    }

    io->connection = pc->connection;

    if (ngx_mcp_redis_io_init(io) != NGX_OK) {
        ngx_mcp_redis_io_close(io);
        return NGX_ERROR;
    }

    if (rc == NGX_OK) {
        ngx_post_event(io->connection->write, &ngx_posted_events);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_mcp_redis_io_init(ngx_mcp_redis_io_t *io)
{
    ngx_connection_t  *c;

    c = io->connection;

    c->data = io;
    c->log = &io->log;

    c->read->handler = ngx_mcp_redis_io_connect_handler;
    c->write->handler = ngx_mcp_redis_io_connect_handler;

    /*
     * nginx leaves connections of channels alone: worker_shutdown_timeout does
     * not close it before exit_process, and no "open socket" is logged
     */

    c->read->channel = 1;
    c->write->channel = 1;

    c->pool = ngx_create_pool(NGX_MCP_REDIS_IO_POOL_SIZE, ngx_cycle->log);

    if (c->pool == NULL) {
        (void) ngx_cpystrn(io->reason, (u_char *) "no memory",
                           sizeof(io->reason));
        return NGX_ERROR;
    }

    return ngx_tcp_nodelay(c);
}


static void
ngx_mcp_redis_io_init_log(ngx_mcp_redis_io_t *io)
{
    (void) ngx_cpystrn(io->reason, (u_char *) "connection lost",
                       sizeof(io->reason));

    io->log = *ngx_cycle->log;

    io->log.log_level = NGX_LOG_INFO;
    io->log.writer = ngx_mcp_redis_io_log;
    io->log.wdata = io;
    io->log.next = NULL;
}


/*
 * "TIME [LEVEL] PID#TID: *NUMBER connect() failed (111: Connection refused)"
 * has the reason "Connection refused"; without an error number, the reason is
 * all that follows the *NUMBER.  So it is with "(111: Unknown error)": nginx
 * 1.18 has no text for most numbers with glibc 2.32 and newer.
 */

static void
ngx_mcp_redis_io_log(ngx_log_t *log, ngx_uint_t level, u_char *buf, size_t len)
{
    ngx_mcp_redis_io_t  *io = log->wdata;

    u_char  *p, *number, *text, *last;

    last = buf + len - NGX_LINEFEED_SIZE;

    text = ngx_strlchr(buf, last, '#');
    text = text ? ngx_strlchr(text, last, ' ') : NULL;
    text = text ? text + 1 : buf;

    if (*text == '*') {
        p = ngx_strlchr(text, last, ' ');
        text = p ? p + 1 : text;
    }

    for (p = last; p > text && *p != '('; p--) { /* void */ }

    for (number = p + 1; number < last && *number >= '0' && *number <= '9';
         number++)
    {
        /* void */
    }

    if (p > text && number > p + 1 && last - number > 2 && *number == ':'
        && last[-1] == ')'
        && ngx_strlcasestrn(number, last, (u_char *) "unknown error", 13 - 1)
           == NULL)
    {
        text = number + 2;
        last--;
    }

    (void) ngx_cpystrn(io->reason, text,
                       ngx_min(sizeof(io->reason), (size_t) (last - text) + 1));
}


void
ngx_mcp_redis_io_close(ngx_mcp_redis_io_t *io)
{
    ngx_pool_t        *pool;
    ngx_connection_t  *c;

    c = io->connection;

    if (c == NULL) {
        return;
    }

    io->connection = NULL;
    io->is_connected = 0;

    /* keeps the reason */

    io->log.log_level = NGX_LOG_STDERR;

#if (NGX_SSL)
    if (c->ssl) {
        ngx_mcp_redis_ssl_close(c);
    }
#endif

    pool = c->pool;

    ngx_close_connection(c);

    if (pool) {
        ngx_destroy_pool(pool);
    }

    ngx_mcp_redis_io_free_output(io);
}


static void
ngx_mcp_redis_io_fail(ngx_mcp_redis_io_t *io, const char *reason)
{
    if (reason) {
        (void) ngx_cpystrn(io->reason, (u_char *) reason, sizeof(io->reason));
    }

    ngx_mcp_redis_io_close(io);

    io->failed(io);
}


/*
 * A connection is there when it can be written; an error may be told by the
 * read event, too.
 */

static void
ngx_mcp_redis_io_connect_handler(ngx_event_t *ev)
{
    ngx_int_t            rc;
    ngx_err_t            err;
    ngx_connection_t    *c;
    ngx_mcp_redis_io_t  *io;

    c = ev->data;
    io = c->data;

    err = ngx_mcp_redis_io_error(c);

    if (err) {
        (void) ngx_connection_error(c, err, "connect() failed");
        ngx_mcp_redis_io_fail(io, NULL);
        return;
    }

    if (!ev->write) {
        return;
    }

    rc = NGX_OK;

#if (NGX_SSL)
    if (io->conf->ssl) {
        rc = ngx_mcp_redis_ssl_open(io, ngx_mcp_redis_io_connected);
    }
#endif

    if (rc != NGX_AGAIN) {
        ngx_mcp_redis_io_connected(io, rc);
    }
}


static ngx_err_t
ngx_mcp_redis_io_error(ngx_connection_t *c)
{
    int        err;
    socklen_t  len;

    err = 0;
    len = sizeof(int);

    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, (void *) &err, &len) == -1) {
        err = ngx_socket_errno;
    }

    return err;
}


static void
ngx_mcp_redis_io_connected(ngx_mcp_redis_io_t *io, ngx_int_t rc)
{
    ngx_connection_t  *c;

    if (rc != NGX_OK) {
        ngx_mcp_redis_io_fail(io, NULL);
        return;
    }

    c = io->connection;

    c->read->handler = ngx_mcp_redis_io_read_handler;
    c->write->handler = ngx_mcp_redis_io_write_handler;

    io->is_connected = 1;

    /* what has come before, and what the handler sends */

    ngx_post_event(c->read, &ngx_posted_events);
    ngx_post_event(c->write, &ngx_posted_events);

    io->connected(io);
}


static void
ngx_mcp_redis_io_read_handler(ngx_event_t *rev)
{
    ssize_t              n;
    ngx_uint_t           i;
    ngx_connection_t    *c;
    ngx_mcp_redis_io_t  *io;
    u_char               buf[NGX_MCP_REDIS_IO_BUFFER_SIZE];

    c = rev->data;
    io = c->data;

    for (i = 0; rev->ready && i < NGX_MCP_REDIS_IO_MAX_READS; i++) {

        n = c->recv(c, buf, sizeof(buf));

        if (n == NGX_AGAIN) {
            break;
        }

        if (n == 0 || n == NGX_ERROR) {
            ngx_mcp_redis_io_fail(io, n ? NULL
                                        : "Server closed the connection");
            return;
        }

        io->received(io, buf, n);

        if (io->connection == NULL) {
            return;
        }
    }

    if (rev->ready) {
        ngx_post_event(rev, &ngx_posted_next_events);
    }

    if (ngx_handle_read_event(rev, 0) != NGX_OK) {
        ngx_mcp_redis_io_fail(io, NULL);
    }
}


static void
ngx_mcp_redis_io_write_handler(ngx_event_t *wev)
{
    ngx_connection_t    *c;
    ngx_mcp_redis_io_t  *io;

    c = wev->data;
    io = c->data;

    if (ngx_mcp_redis_io_send(io) != NGX_OK) {

        /* a server may have said why it closed the connection */

        c->read->ready = 1;
        ngx_mcp_redis_io_read_handler(c->read);

        if (io->connection == NULL) {
            return;
        }

        ngx_mcp_redis_io_fail(io, NULL);
        return;
    }

    if (ngx_handle_write_event(wev, 0) != NGX_OK) {
        ngx_mcp_redis_io_fail(io, NULL);
    }
}


/*
 * Writes until it would wait.
 */

static ngx_int_t
ngx_mcp_redis_io_send(ngx_mcp_redis_io_t *io)
{
    ssize_t            n;
    ngx_connection_t  *c;

    c = io->connection;

    while (io->out_pos < io->out_last && c->write->ready) {

        n = c->send(c, io->out + io->out_pos, io->out_last - io->out_pos);

        if (n == NGX_AGAIN) {
            break;
        }

        if (n == NGX_ERROR) {
            return NGX_ERROR;
        }

        io->out_pos += n;
    }

    if (io->out_pos == io->out_last) {
        io->out_pos = 0;
        io->out_last = 0;

        if (io->out_size > NGX_MCP_REDIS_IO_KEEP_OUTPUT) {
            ngx_mcp_redis_io_free_output(io);
        }
    }

    return NGX_OK;
}


u_char *
ngx_mcp_redis_io_room(ngx_mcp_redis_io_t *io, size_t len)
{
    if (!io->is_connected) {
        return NULL;
    }

    if (io->out_size - io->out_last < len
        && ngx_mcp_redis_io_grow(io, len) != NGX_OK)
    {
        return NULL;
    }

    return io->out + io->out_last;
}


/*
 * The output is moved to another buffer, or to the begin of its own if that is
 * at least twice as large.
 */

static ngx_int_t
ngx_mcp_redis_io_grow(ngx_mcp_redis_io_t *io, size_t len)
{
    u_char  *p;
    size_t   queued, size;

    queued = ngx_mcp_redis_io_queued(io);

    if (io->out_size - queued < ngx_max(len, queued)) {

        size = ngx_max(2 * io->out_size, queued + len);
        size = ngx_max(size, NGX_MCP_REDIS_IO_MIN_OUTPUT);

        p = ngx_alloc(size, ngx_cycle->log);
        if (p == NULL) {
            return NGX_ERROR;
        }

        if (io->out) {
            ngx_memcpy(p, io->out + io->out_pos, queued);
            ngx_free(io->out);
        }

        io->out = p;
        io->out_size = size;

    } else {
        ngx_memmove(io->out, io->out + io->out_pos, queued);
    }

    io->out_pos = 0;
    io->out_last = queued;

    return NGX_OK;
}


static void
ngx_mcp_redis_io_free_output(ngx_mcp_redis_io_t *io)
{
    if (io->out) {
        ngx_free(io->out);
    }

    io->out = NULL;
    io->out_size = 0;
    io->out_pos = 0;
    io->out_last = 0;
}


void
ngx_mcp_redis_io_queue(ngx_mcp_redis_io_t *io, u_char *last)
{
    io->out_last = last - io->out;

    if (io->connection->write->ready) {
        ngx_post_event(io->connection->write, &ngx_posted_events);
    }
}


ngx_uint_t
ngx_mcp_redis_io_shakes_hands(ngx_mcp_redis_io_t *io)
{
#if (NGX_SSL)
    return io->connection && io->connection->ssl && !io->is_connected;
#else
    return 0;
#endif
}


size_t
ngx_mcp_redis_io_queued(ngx_mcp_redis_io_t *io)
{
    return io->out_last - io->out_pos;
}


void
ngx_mcp_redis_io_flush(ngx_mcp_redis_io_t *io)
{
    if (io->is_connected) {
        (void) ngx_mcp_redis_io_send(io);
    }
}

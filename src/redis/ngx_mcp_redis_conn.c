
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * A connection that speaks Redis: greeting, commands and their replies,
 * messages of subscriptions, time-outs.
 *
 * A connection is owned by its user and never freed.  It owns what waits for a
 * reply: one struct for each command, in the order in which they were sent,
 * freed by ngx_mcp_redis_reply_to_first() before its handler runs.
 *
 * A connection that fails ends in a posted event, so that the handlers of other
 * commands never run inside a call of its user, who may still use what they
 * free.
 */

#include "ngx_mcp_redis_conn.h"
#include "ngx_mcp_redis_greet.h"
#include "ngx_mcp_redis_reply.h"


/* bytes to write, beyond which commands are refused: Redis does not read */

#define NGX_MCP_REDIS_CONN_MAX_QUEUED  (8 * 1024 * 1024)

/* without the word of the command */

#define NGX_MCP_REDIS_CONN_MAX_ARGS    7


static void ngx_mcp_redis_conn_posted(ngx_event_t *ev);
static void ngx_mcp_redis_conn_start(ngx_mcp_redis_conn_t *conn);
static void ngx_mcp_redis_conn_connected(ngx_mcp_redis_io_t *io);
static void ngx_mcp_redis_conn_failed(ngx_mcp_redis_io_t *io);
static void ngx_mcp_redis_conn_end(ngx_mcp_redis_conn_t *conn);
static void ngx_mcp_redis_conn_stop(ngx_mcp_redis_conn_t *conn);
static ngx_int_t ngx_mcp_redis_conn_queue(ngx_mcp_redis_conn_t *conn,
    ngx_mcp_redis_waiting_t *waiting, ngx_str_t *word, ngx_uint_t argc,
    ngx_str_t *argv);
static ngx_int_t ngx_mcp_redis_conn_write(ngx_mcp_redis_conn_t *conn,
    ngx_mcp_redis_waiting_t *waiting, char *command, size_t len);
static void ngx_mcp_redis_conn_timeout_handler(void *data);


void
ngx_mcp_redis_conn_open(ngx_mcp_redis_conn_t *conn,
    ngx_mcp_redis_address_t *address)
{
    conn->address = *address;
    conn->state = NGX_MCP_REDIS_CONN_OPENING;
    conn->master = 0;
    conn->version = 0;
    conn->subscribed = 0;
    conn->heard = 0;

    if (conn->waiting.next == NULL) {
        ngx_queue_init(&conn->waiting);
    }

    conn->timer.data = conn;
    conn->timer.handler = ngx_mcp_redis_conn_timeout_handler;

    ngx_memzero(&conn->posted, sizeof(ngx_event_t));

    conn->posted.data = conn;
    conn->posted.handler = ngx_mcp_redis_conn_posted;
    conn->posted.log = ngx_cycle->log;

    ngx_post_event(&conn->posted, &ngx_posted_events);
}


static void
ngx_mcp_redis_conn_posted(ngx_event_t *ev)
{
    ngx_mcp_redis_conn_t  *conn = ev->data;

    if (conn->state == NGX_MCP_REDIS_CONN_FAILED) {
        ngx_mcp_redis_conn_end(conn);

    } else {
        ngx_mcp_redis_conn_start(conn);
    }
}


static void
ngx_mcp_redis_conn_start(ngx_mcp_redis_conn_t *conn)
{
    ngx_mcp_redis_io_t  *io;

    ngx_log_debug2(NGX_LOG_DEBUG_CORE, ngx_cycle->log, 0,
                   "mcp redis: %s connects to %s",
                   conn->name, conn->address.host);

    ngx_mcp_timer_set(&conn->timer, conn->conf->connect_timeout);

    if (ngx_mcp_redis_reader_open(&conn->reader) != NGX_OK) {
        ngx_mcp_redis_conn_fail(conn, "no memory");
        return;
    }

    io = &conn->io;
    io->conf = conn->conf;
    io->data = conn;
    io->connected = ngx_mcp_redis_conn_connected;
    io->received = ngx_mcp_redis_reply_received;
    io->failed = ngx_mcp_redis_conn_failed;

    if (ngx_mcp_redis_io_open(io, &conn->address) != NGX_OK) {
        ngx_mcp_redis_conn_failed(io);
    }
}


static void
ngx_mcp_redis_conn_connected(ngx_mcp_redis_io_t *io)
{
    ngx_mcp_redis_conn_t  *conn = io->data;

    if (ngx_mcp_redis_greet(conn) != NGX_OK) {
        ngx_mcp_redis_conn_fail(conn, "no memory");
    }
}


/*
 * A server with TLS closes a connection whose first bytes are a command.
 */

static void
ngx_mcp_redis_conn_failed(ngx_mcp_redis_io_t *io)
{
    ngx_mcp_redis_conn_t  *conn = io->data;

    u_char  *p, reason[NGX_MCP_REDIS_MAX_REASON_LEN];

    if (conn->conf->tls
        || conn->address.port == 0
        || ngx_queue_empty(&conn->waiting)
        || conn->heard)
    {
        ngx_mcp_redis_conn_fail(conn, (char *) io->reason);
        return;
    }

    p = ngx_snprintf(reason, sizeof(reason) - 1,
                     "%s before it said anything, it may want TLS (rediss://)",
                     io->reason);
    *p = '\0';

    ngx_mcp_redis_conn_fail(conn, (char *) reason);
}


void
ngx_mcp_redis_conn_greeted(ngx_mcp_redis_conn_t *conn)
{
    conn->state = NGX_MCP_REDIS_CONN_READY;

    ngx_mcp_timer_set(&conn->timer, conn->conf->timeout / 4 + 1);

    ngx_log_debug1(NGX_LOG_DEBUG_CORE, ngx_cycle->log, 0,
                   "mcp redis: %s is ready", conn->name);

    conn->ready(conn);
}


void
ngx_mcp_redis_conn_fail(ngx_mcp_redis_conn_t *conn, const char *reason)
{
    if (conn->state == NGX_MCP_REDIS_CONN_CLOSED
        || conn->state == NGX_MCP_REDIS_CONN_FAILED)
    {
        return;
    }

    (void) ngx_cpystrn(conn->reason, (u_char *) reason, sizeof(conn->reason));

    conn->state = NGX_MCP_REDIS_CONN_FAILED;

    ngx_post_event(&conn->posted, &ngx_posted_events);
}


static void
ngx_mcp_redis_conn_end(ngx_mcp_redis_conn_t *conn)
{
    ngx_mcp_redis_conn_stop(conn);
    ngx_mcp_redis_conn_finish(conn);

    /* a handler may have closed it */

    if (conn->state == NGX_MCP_REDIS_CONN_FAILED) {
        conn->state = NGX_MCP_REDIS_CONN_CLOSED;
        conn->lost(conn);
    }
}


void
ngx_mcp_redis_conn_close(ngx_mcp_redis_conn_t *conn)
{
    if (conn->state == NGX_MCP_REDIS_CONN_CLOSED) {
        return;
    }

    if (conn->state == NGX_MCP_REDIS_CONN_READY) {
        ngx_mcp_redis_io_flush(&conn->io);
    }

    conn->state = NGX_MCP_REDIS_CONN_CLOSED;

    ngx_mcp_redis_conn_stop(conn);

    if (conn->busy) {
        conn->ending = 1;

    } else {
        ngx_mcp_redis_conn_finish(conn);
    }
}


static void
ngx_mcp_redis_conn_stop(ngx_mcp_redis_conn_t *conn)
{
    ngx_mcp_timer_del(&conn->timer);

    if (conn->posted.posted) {
        ngx_delete_posted_event(&conn->posted);
    }

    ngx_mcp_redis_io_close(&conn->io);
}


void
ngx_mcp_redis_conn_finish(ngx_mcp_redis_conn_t *conn)
{
    ngx_mcp_redis_reader_close(&conn->reader);

    while (!ngx_queue_empty(&conn->waiting)) {
        ngx_mcp_redis_reply_to_first(conn, NULL);
    }
}


ngx_uint_t
ngx_mcp_redis_conn_is_ready(ngx_mcp_redis_conn_t *conn)
{
    return conn->state == NGX_MCP_REDIS_CONN_READY;
}


ngx_int_t
ngx_mcp_redis_conn_command(ngx_mcp_redis_conn_t *conn,
    ngx_mcp_redis_reply_pt handler, void *data, ngx_uint_t argc,
    ngx_str_t *argv)
{
    if (conn->state != NGX_MCP_REDIS_CONN_READY) {
        return NGX_DECLINED;
    }

    return ngx_mcp_redis_conn_send(conn, handler, data, argc, argv);
}


ngx_int_t
ngx_mcp_redis_conn_send(ngx_mcp_redis_conn_t *conn,
    ngx_mcp_redis_reply_pt handler, void *data, ngx_uint_t argc,
    ngx_str_t *argv)
{
    ngx_mcp_redis_waiting_t  waiting;

    waiting.handler = handler;
    waiting.data = data;
    waiting.channels = 0;

    return ngx_mcp_redis_conn_queue(conn, &waiting, &argv[0], argc - 1,
                                    &argv[1]);
}


ngx_int_t
ngx_mcp_redis_conn_subscribe(ngx_mcp_redis_conn_t *conn, const char *command,
    ngx_mcp_redis_reply_pt handler, void *data, ngx_uint_t n,
    ngx_str_t *channels)
{
    ngx_str_t                word;
    ngx_mcp_redis_waiting_t  waiting;

    if (conn->state != NGX_MCP_REDIS_CONN_READY) {
        return NGX_DECLINED;
    }

    waiting.handler = handler;
    waiting.data = data;
    waiting.channels = n;

    word.data = (u_char *) command;
    word.len = ngx_strlen(command);

    if (ngx_mcp_redis_conn_queue(conn, &waiting, &word, n, channels)
        != NGX_OK)
    {
        return NGX_DECLINED;
    }

    conn->subscribed = 1;

    return NGX_OK;
}


/*
 * Queues a command: a word and its arguments, and a copy of "waiting" for its
 * reply.
 */

static ngx_int_t
ngx_mcp_redis_conn_queue(ngx_mcp_redis_conn_t *conn,
    ngx_mcp_redis_waiting_t *waiting, ngx_str_t *word, ngx_uint_t argc,
    ngx_str_t *argv)
{
    char        *command;
    size_t       size[NGX_MCP_REDIS_CONN_MAX_ARGS + 1];
    ssize_t      len;
    ngx_int_t    rc;
    ngx_uint_t   i;
    const char  *args[NGX_MCP_REDIS_CONN_MAX_ARGS + 1];

    if (ngx_mcp_redis_io_queued(&conn->io) > NGX_MCP_REDIS_CONN_MAX_QUEUED) {
        return NGX_DECLINED;
    }

    args[0] = (char *) word->data;
    size[0] = word->len;

    for (i = 0; i < argc; i++) {
        args[i + 1] = (char *) argv[i].data;
        size[i + 1] = argv[i].len;
    }

    len = redisFormatCommandArgv(&command, (int) argc + 1, args, size);
    if (len < 0) {
        return NGX_DECLINED;
    }

    rc = ngx_mcp_redis_conn_write(conn, waiting, command, len);

    redisFreeCommand(command);

    return rc;
}


static ngx_int_t
ngx_mcp_redis_conn_write(ngx_mcp_redis_conn_t *conn,
    ngx_mcp_redis_waiting_t *waiting, char *command, size_t len)
{
    u_char                   *p;
    ngx_mcp_redis_waiting_t  *w;

    w = ngx_alloc(sizeof(ngx_mcp_redis_waiting_t), ngx_cycle->log);
    if (w == NULL) {
        return NGX_DECLINED;
    }

    p = ngx_mcp_redis_io_room(&conn->io, len);
    if (p == NULL) {
        ngx_free(w);
        return NGX_DECLINED;
    }

    ngx_mcp_redis_io_queue(&conn->io, ngx_cpymem(p, command, len));

    if (ngx_queue_empty(&conn->waiting)) {
        conn->waiting_since = ngx_current_msec;
    }

    *w = *waiting;
    ngx_queue_insert_tail(&conn->waiting, &w->queue);

    return NGX_OK;
}


void
ngx_mcp_redis_conn_check(ngx_mcp_redis_conn_t *conn, redisReply *reply,
    void *data)
{
    if (reply && reply->type == REDIS_REPLY_ERROR) {
        ngx_mcp_redis_conn_fail(conn, reply->str);
    }
}


/*
 * Fails a connection that is not ready in time, or that owes a reply for
 * longer than the time-out; checks that four times within the time-out.
 */

static void
ngx_mcp_redis_conn_timeout_handler(void *data)
{
    ngx_mcp_redis_conn_t  *conn = data;

    ngx_msec_t  timeout;

    timeout = conn->conf->timeout;

    if (conn->state != NGX_MCP_REDIS_CONN_READY) {
        ngx_mcp_redis_conn_fail(conn, ngx_mcp_redis_io_shakes_hands(&conn->io)
                                      ? "TLS handshake timed out"
                                      : "connect timed out");
        return;
    }

    if (!ngx_queue_empty(&conn->waiting)
        && ngx_current_msec - conn->waiting_since >= timeout)
    {
        ngx_mcp_redis_conn_fail(conn, "reply timed out");
        return;
    }

    ngx_mcp_timer_set(&conn->timer, timeout / 4 + 1);
}


/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * A connection to Redis: resolve, connect, greet, time-outs, back-off.
 *
 * A connection is owned by its user and never freed.  Its context is owned by
 * hiredis from redisAsyncConnect() on, and freed by redisAsyncFree() or by
 * hiredis itself; conn->ac is cleared before, or by the callback that reports
 * it.
 *
 * Facts about hiredis that the code rests on:
 *
 *     - it resolves names by getaddrinfo(), which blocks: it gets addresses
 *     - 0.14 has no time-outs for asynchronous contexts: conn->timer has them
 *     - before 1.1, a connect callback must not free or disconnect the context
 *     - a context whose connection fails is freed without a disconnect callback
 *     - redisAsyncFree() in a callback is deferred until the callback returns
 */

#include "ngx_mcp_redis_conn.h"


/* back-off: doubles from the first to the second, +- 20% */

#define NGX_MCP_REDIS_RECONNECT_MIN_MS  50
#define NGX_MCP_REDIS_RECONNECT_MAX_MS  2000

/* bytes to write, beyond which commands are refused: Redis does not read */

#define NGX_MCP_REDIS_MAX_QUEUED        (8 * 1024 * 1024)

#define NGX_MCP_REDIS_MAX_ARGS          8


static void ngx_mcp_redis_conn_start(void *data);
static ngx_int_t ngx_mcp_redis_conn_resolve(ngx_mcp_redis_conn_t *conn,
    ngx_mcp_redis_server_t *server);
static void ngx_mcp_redis_conn_resolved(ngx_resolver_ctx_t *ctx);
static void ngx_mcp_redis_conn_connect_to(ngx_mcp_redis_conn_t *conn,
    ngx_addr_t *addr);
static void ngx_mcp_redis_conn_connected(const redisAsyncContext *ac,
    int status);
static void ngx_mcp_redis_conn_disconnected(const redisAsyncContext *ac,
    int status);
static void ngx_mcp_redis_conn_freed(ngx_mcp_redis_conn_t *conn,
    const redisAsyncContext *ac);
static ngx_int_t ngx_mcp_redis_conn_greet(ngx_mcp_redis_conn_t *conn);
static void ngx_mcp_redis_conn_setname_handler(redisAsyncContext *ac,
    void *reply, void *data);
static void ngx_mcp_redis_conn_role_handler(redisAsyncContext *ac, void *reply,
    void *data);
static ngx_int_t ngx_mcp_redis_conn_send(ngx_mcp_redis_conn_t *conn,
    redisCallbackFn *handler, void *data, ngx_uint_t argc, ngx_str_t *argv);
static void ngx_mcp_redis_conn_replied(void *data, ngx_uint_t valid);
static void ngx_mcp_redis_conn_timeout_handler(void *data);
static void ngx_mcp_redis_conn_reconnect(ngx_mcp_redis_conn_t *conn,
    ngx_uint_t was_ready);


void
ngx_mcp_redis_conn_open(ngx_mcp_redis_conn_t *conn)
{
    conn->timer.data = conn;
    conn->timer.handler = ngx_mcp_redis_conn_start;

    ngx_mcp_timer_set(&conn->timer, 0);
}


void
ngx_mcp_redis_conn_close(ngx_mcp_redis_conn_t *conn)
{
    redisAsyncContext  *ac;

    conn->closed = 1;
    conn->is_ready = 0;

    ngx_mcp_timer_del(&conn->timer);

    if (conn->resolver_ctx) {
        ngx_resolve_name_done(conn->resolver_ctx);
        conn->resolver_ctx = NULL;
    }

    ac = conn->ac;

    if (ac) {
        conn->ac = NULL;
        ngx_mcp_redis_event_flush(ac);
        redisAsyncFree(ac);
    }
}


static void
ngx_mcp_redis_conn_start(void *data)
{
    ngx_mcp_redis_conn_t  *conn = data;

    ngx_mcp_redis_server_t  *server;

    conn->timer.handler = ngx_mcp_redis_conn_timeout_handler;
    ngx_mcp_timer_set(&conn->timer, conn->conf->connect_timeout);

    server = conn->conf->servers->elts;

    if (conn->conf->tls || conn->conf->mode != NGX_MCP_REDIS_PLAIN) {
        ngx_mcp_redis_conn_fail(conn, "not supported");

    } else if (server->addrs) {
        ngx_mcp_redis_conn_connect_to(conn,
            &server->addrs[conn->attempts % server->naddrs]);

    } else if (ngx_mcp_redis_conn_resolve(conn, server) != NGX_OK) {
        ngx_mcp_redis_conn_fail(conn, "no resolver");
    }
}


/*
 * Resolves the name before each connection: in containers the address changes
 * with a restart of Redis.
 */

static ngx_int_t
ngx_mcp_redis_conn_resolve(ngx_mcp_redis_conn_t *conn,
    ngx_mcp_redis_server_t *server)
{
    ngx_resolver_ctx_t  *ctx;

    ctx = ngx_resolve_start(conn->conf->resolver, NULL);

    if (ctx == NULL || ctx == NGX_NO_RESOLVER) {
        return NGX_ERROR;
    }

    ctx->name = server->host;
    ctx->handler = ngx_mcp_redis_conn_resolved;
    ctx->data = conn;
    ctx->timeout = conn->conf->resolver_timeout;

    /* the timer of the resolver must not keep an exiting worker alive */

    ctx->cancelable = 1;

    conn->resolver_ctx = ctx;

    if (ngx_resolve_name(ctx) != NGX_OK) {
        conn->resolver_ctx = NULL;
        return NGX_ERROR;
    }

    return NGX_OK;
}


static void
ngx_mcp_redis_conn_resolved(ngx_resolver_ctx_t *ctx)
{
    ngx_mcp_redis_conn_t  *conn = ctx->data;

    ngx_int_t              state;
    ngx_addr_t             addr;
    ngx_uint_t             i;
    ngx_sockaddr_t         sockaddr;

    state = ctx->state;
    conn->resolver_ctx = NULL;

    if (state == NGX_OK) {
        i = conn->attempts % ctx->naddrs;

        ngx_memcpy(&sockaddr, ctx->addrs[i].sockaddr, ctx->addrs[i].socklen);

        addr.sockaddr = &sockaddr.sockaddr;
        addr.socklen = ctx->addrs[i].socklen;
    }

    ngx_resolve_name_done(ctx);

    if (state != NGX_OK) {
        ngx_mcp_redis_conn_fail(conn, ngx_resolver_strerror(state));
        return;
    }

    ngx_mcp_redis_conn_connect_to(conn, &addr);
}


static void
ngx_mcp_redis_conn_connect_to(ngx_mcp_redis_conn_t *conn, ngx_addr_t *addr)
{
    u_char                   text[NGX_SOCKADDR_STRLEN + 1];
    redisAsyncContext       *ac;
    ngx_mcp_redis_server_t  *server;

    server = conn->conf->servers->elts;

    ngx_memzero(text, sizeof(text));
    (void) ngx_sock_ntop(addr->sockaddr, addr->socklen, text,
                         NGX_SOCKADDR_STRLEN, 0);

    ngx_log_debug2(NGX_LOG_DEBUG_CORE, ngx_cycle->log, 0,
                   "mcp redis: %s connects to %s", conn->name, text);

    ac = server->host.len
         ? redisAsyncConnect((char *) text, server->port)
         : redisAsyncConnectUnix((char *) text + sizeof("unix:") - 1);

    if (ac == NULL) {
        ngx_mcp_redis_conn_fail(conn, "no memory");
        return;
    }

    conn->ac = ac;
    ac->data = conn;

    if (ac->err) {
        ngx_mcp_redis_conn_fail(conn, ac->errstr);
        return;
    }

    if (ngx_mcp_redis_event_attach(ac, ngx_cycle->log) != NGX_OK) {
        ngx_mcp_redis_conn_fail(conn, "no free worker_connections");
        return;
    }

    conn->invalid_reply = 0;
    ngx_mcp_redis_reader(ac, ngx_mcp_redis_conn_replied);

    redisAsyncSetDisconnectCallback(ac, ngx_mcp_redis_conn_disconnected);

    /* this call adds the write event, on which hiredis connects */

    redisAsyncSetConnectCallback(ac, ngx_mcp_redis_conn_connected);
}


static void
ngx_mcp_redis_conn_connected(const redisAsyncContext *ac, int status)
{
    ngx_mcp_redis_conn_t  *conn = ac->data;

    if (conn->ac != ac) {
        return;
    }

    if (status != REDIS_OK) {

        /* hiredis frees the context, without a disconnect callback */

        ngx_mcp_redis_conn_freed(conn, ac);
        return;
    }

    /* on an error, the connection times out: hiredis before 1.1, see above */

    (void) ngx_mcp_redis_conn_greet(conn);

    /* hiredis would write it, see ngx_mcp_redis_event_send() */

    if (conn->ac == ac) {
        ngx_mcp_redis_event_flush(conn->ac);
    }
}


static void
ngx_mcp_redis_conn_disconnected(const redisAsyncContext *ac, int status)
{
    ngx_mcp_redis_conn_t  *conn = ac->data;

    if (conn->ac == ac) {
        ngx_mcp_redis_conn_freed(conn, ac);
    }
}


static void
ngx_mcp_redis_conn_freed(ngx_mcp_redis_conn_t *conn,
    const redisAsyncContext *ac)
{
    ngx_uint_t   was_ready;
    const char  *reason;

    was_ready = conn->is_ready;

    /* hiredis reports a reply that the reader refused as "Out of memory" */

    reason = conn->invalid_reply ? "unexpected reply"
             : ac->errstr && ac->errstr[0] ? ac->errstr : "connection lost";

    (void) ngx_cpystrn(conn->reason, (u_char *) reason, sizeof(conn->reason));

    conn->ac = NULL;
    conn->is_ready = 0;

    ngx_mcp_redis_conn_reconnect(conn, was_ready);
}


void
ngx_mcp_redis_conn_fail(ngx_mcp_redis_conn_t *conn, const char *reason)
{
    u_char             *p;
    ngx_uint_t          was_ready;
    redisAsyncContext  *ac;

    if (conn->closed) {
        return;
    }

    (void) ngx_cpystrn(conn->reason, (u_char *) reason, sizeof(conn->reason));

    /* "unknown command" quotes the arguments; that of AUTH is the password */

    p = (u_char *) ngx_strstr(conn->reason, ", with args");

    if (p) {
        *p = '\0';
    }

    was_ready = conn->is_ready;
    conn->is_ready = 0;

    ac = conn->ac;

    if (ac) {

        /* runs the handlers of all commands with NULL */

        conn->ac = NULL;
        redisAsyncFree(ac);
    }

    ngx_mcp_redis_conn_reconnect(conn, was_ready);
}


static void
ngx_mcp_redis_conn_reconnect(ngx_mcp_redis_conn_t *conn, ngx_uint_t was_ready)
{
    ngx_msec_t  wait;

    wait = NGX_MCP_REDIS_RECONNECT_MIN_MS << ngx_min(conn->attempts, 6);
    wait = ngx_min(wait, NGX_MCP_REDIS_RECONNECT_MAX_MS);

    /* 20% more or less, so that workers do not connect at the same time */

    wait = wait * 4 / 5 + ngx_random() % (wait * 2 / 5);

    conn->attempts++;

    if (conn->resolver_ctx) {
        ngx_resolve_name_done(conn->resolver_ctx);
        conn->resolver_ctx = NULL;
    }

    conn->timer.handler = ngx_mcp_redis_conn_start;
    ngx_mcp_timer_set(&conn->timer, wait);

    ngx_log_debug4(NGX_LOG_DEBUG_CORE, ngx_cycle->log, 0,
                   "mcp redis: %s failed: %s, attempt %ui, next in %M ms",
                   conn->name, conn->reason, conn->attempts, wait);

    if (was_ready || conn->attempts == 1) {
        conn->lost(conn);
    }
}


static ngx_int_t
ngx_mcp_redis_conn_greet(ngx_mcp_redis_conn_t *conn)
{
    u_char                 number[NGX_INT_T_LEN];
    ngx_int_t              rc;
    ngx_str_t              argv[3];
    ngx_uint_t             n;
    ngx_mcp_redis_conf_t  *conf;

    conf = conn->conf;

    if (conf->password.len) {
        ngx_str_set(&argv[0], "AUTH");
        n = 1;

        if (conf->user.len) {
            argv[n++] = conf->user;
        }

        argv[n++] = conf->password;

        rc = ngx_mcp_redis_conn_send(conn, ngx_mcp_redis_conn_check, NULL, n,
                                     argv);
        if (rc != NGX_OK) {
            return NGX_ERROR;
        }
    }

    if (conf->database) {
        ngx_str_set(&argv[0], "SELECT");
        argv[1].data = number;
        argv[1].len = ngx_sprintf(number, "%i", conf->database) - number;

        rc = ngx_mcp_redis_conn_send(conn, ngx_mcp_redis_conn_check, NULL, 2,
                                     argv);
        if (rc != NGX_OK) {
            return NGX_ERROR;
        }
    }

    ngx_str_set(&argv[0], "CLIENT");
    ngx_str_set(&argv[1], "SETNAME");
    argv[2].data = (u_char *) conn->name;
    argv[2].len = ngx_strlen(conn->name);

    rc = ngx_mcp_redis_conn_send(conn, ngx_mcp_redis_conn_setname_handler,
                                 NULL, 3, argv);
    if (rc != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_str_set(&argv[0], "ROLE");

    return ngx_mcp_redis_conn_send(conn, ngx_mcp_redis_conn_role_handler, NULL,
                                   1, argv);
}


/*
 * The name is for CLIENT LIST only, so that a missing right is ignored.  Other
 * errors fail the connection: this may be the first command, which Redis
 * answers with NOAUTH if a password is missing.
 */

static void
ngx_mcp_redis_conn_setname_handler(redisAsyncContext *ac, void *reply,
    void *data)
{
    redisReply  *r = reply;

    if (r && r->type == REDIS_REPLY_ERROR
        && ngx_strncmp(r->str, "NOPERM", 6) == 0)
    {
        return;
    }

    ngx_mcp_redis_conn_check(ac, reply, data);
}


void
ngx_mcp_redis_conn_check(redisAsyncContext *ac, void *reply, void *data)
{
    redisReply            *r = reply;
    ngx_mcp_redis_conn_t  *conn = ac->data;

    if (conn->ac == ac && r && r->type == REDIS_REPLY_ERROR) {
        ngx_mcp_redis_conn_fail(conn, r->str);
    }
}


/*
 * Ends the greeting.  A replica is refused, since it takes no writes; without
 * the right to call ROLE this is found out later.
 */

static void
ngx_mcp_redis_conn_role_handler(redisAsyncContext *ac, void *reply, void *data)
{
    redisReply            *r = reply;
    ngx_mcp_redis_conn_t  *conn = ac->data;

    if (conn->ac != ac || r == NULL) {
        return;
    }

    if (r->type == REDIS_REPLY_ARRAY
        && r->elements
        && r->element[0]->type == REDIS_REPLY_STRING
        && ngx_strcmp(r->element[0]->str, "master") != 0)
    {
        ngx_mcp_redis_conn_fail(conn, "it is a replica");
        return;
    }

    if (r->type == REDIS_REPLY_ERROR
        && ngx_strncmp(r->str, "NOPERM", 6) != 0)
    {
        ngx_mcp_redis_conn_fail(conn, r->str);
        return;
    }

    conn->is_ready = 1;

    ngx_log_debug1(NGX_LOG_DEBUG_CORE, ngx_cycle->log, 0,
                   "mcp redis: %s is ready", conn->name);

    conn->ready(conn);
}


ngx_int_t
ngx_mcp_redis_conn_command(ngx_mcp_redis_conn_t *conn,
    redisCallbackFn *handler, void *data, ngx_uint_t argc, ngx_str_t *argv)
{
    if (!conn->is_ready
        || ngx_mcp_redis_event_queued(conn->ac) > NGX_MCP_REDIS_MAX_QUEUED)
    {
        return NGX_DECLINED;
    }

    return ngx_mcp_redis_conn_send(conn, handler, data, argc, argv);
}


static ngx_int_t
ngx_mcp_redis_conn_send(ngx_mcp_redis_conn_t *conn, redisCallbackFn *handler,
    void *data, ngx_uint_t argc, ngx_str_t *argv)
{
    size_t          len[NGX_MCP_REDIS_MAX_ARGS];
    ngx_uint_t      i;
    const char     *args[NGX_MCP_REDIS_MAX_ARGS];
    redisCallback  *last;

    for (i = 0; i < argc; i++) {
        args[i] = (char *) argv[i].data;
        len[i] = argv[i].len;
    }

    last = conn->ac->replies.tail;

    if (last == NULL) {
        conn->waiting_since = ngx_current_msec;
    }

    if (redisAsyncCommandArgv(conn->ac, handler, data, (int) argc, args, len)
        != REDIS_OK)
    {
        return NGX_DECLINED;
    }

    /* sent, but hiredis has no memory to keep the handler */

    if (conn->ac->replies.tail == last
        && ngx_strcmp(args[0], "SUBSCRIBE") != 0)
    {
        ngx_mcp_redis_event_no_memory(conn->ac);
        return NGX_DECLINED;
    }

    return NGX_OK;
}


/*
 * Called by the reader for each reply, and for each element of one.  Bytes do
 * not count as progress: a reply without an end may have any number of them.
 */

static void
ngx_mcp_redis_conn_replied(void *data, ngx_uint_t valid)
{
    ngx_mcp_redis_conn_t  *conn = data;

    conn->waiting_since = ngx_current_msec;
    conn->invalid_reply = !valid;
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

    if (!conn->is_ready) {
        ngx_mcp_redis_conn_fail(conn, "connect timed out");
        return;
    }

    if (conn->ac->replies.head
        && ngx_current_msec - conn->waiting_since >= timeout)
    {
        ngx_mcp_redis_conn_fail(conn, "reply timed out");
        return;
    }

    ngx_mcp_timer_set(&conn->timer, timeout / 4 + 1);
}

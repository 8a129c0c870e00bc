
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Replies on a connection: each goes to the handler that waits for it, or to
 * the subscription.
 */

#include "ngx_mcp_redis_reply.h"


#define ngx_mcp_redis_reply_is(reply, word)                                   \
    ((reply)->len == sizeof(word) - 1                                         \
     && ngx_memcmp((reply)->str, word, sizeof(word) - 1) == 0)


static ngx_int_t ngx_mcp_redis_reply_next(ngx_mcp_redis_conn_t *conn,
    redisReply **reply);
static void ngx_mcp_redis_reply_take(ngx_mcp_redis_conn_t *conn,
    redisReply *reply);
static void ngx_mcp_redis_reply_error(redisReply *reply);
static ngx_uint_t ngx_mcp_redis_reply_push(ngx_mcp_redis_conn_t *conn,
    redisReply *reply);
static void ngx_mcp_redis_reply_message(ngx_mcp_redis_conn_t *conn,
    redisReply *reply);
static void ngx_mcp_redis_reply_confirmed(ngx_mcp_redis_conn_t *conn,
    redisReply *reply);
static ngx_mcp_redis_waiting_t *ngx_mcp_redis_reply_first(
    ngx_mcp_redis_conn_t *conn);


void
ngx_mcp_redis_reply_received(ngx_mcp_redis_io_t *io, u_char *bytes, size_t len)
{
    ngx_mcp_redis_conn_t  *conn = io->data;

    redisReply  *reply;

    if (conn->state == NGX_MCP_REDIS_CONN_FAILED) {
        return;
    }

    conn->heard = 1;

    if (ngx_mcp_redis_reader_feed(&conn->reader, bytes, len) != NGX_OK) {
        ngx_mcp_redis_conn_fail(conn,
                                ngx_mcp_redis_reader_reason(&conn->reader));
        return;
    }

    while (ngx_mcp_redis_reply_next(conn, &reply) == NGX_OK) {

        conn->busy = 1;
        ngx_mcp_redis_reply_take(conn, reply);
        conn->busy = 0;

        freeReplyObject(reply);

        if (conn->ending) {
            conn->ending = 0;
            ngx_mcp_redis_conn_finish(conn);
            return;
        }

        if (conn->state == NGX_MCP_REDIS_CONN_FAILED) {
            return;
        }
    }
}


static ngx_int_t
ngx_mcp_redis_reply_next(ngx_mcp_redis_conn_t *conn, redisReply **reply)
{
    ngx_int_t   rc;
    ngx_uint_t  progress;

    progress = conn->reader.progress;

    rc = ngx_mcp_redis_reader_next(&conn->reader, reply);

    if (conn->reader.progress != progress) {
        conn->waiting_since = ngx_current_msec;
    }

    if (rc == NGX_ERROR) {
        ngx_mcp_redis_conn_fail(conn,
                                ngx_mcp_redis_reader_reason(&conn->reader));
    }

    return rc;
}


static void
ngx_mcp_redis_reply_take(ngx_mcp_redis_conn_t *conn, redisReply *reply)
{
    ngx_uint_t                is_error;
    ngx_mcp_redis_waiting_t  *w;

    if (conn->subscribed && ngx_mcp_redis_reply_push(conn, reply)) {
        return;
    }

    w = ngx_mcp_redis_reply_first(conn);
    is_error = (reply->type == REDIS_REPLY_ERROR);

    if (is_error) {
        ngx_mcp_redis_reply_error(reply);
    }

    if (w && (is_error || w->channels == 0)) {
        ngx_mcp_redis_reply_to_first(conn, reply);
        return;
    }

    /* an error that Redis sends before it closes the connection */

    ngx_mcp_redis_conn_fail(conn, is_error ? reply->str : "unexpected reply");
}


/*
 * Makes an error fit for the log.
 */

static void
ngx_mcp_redis_reply_error(redisReply *reply)
{
    u_char  *p, *last;

    last = (u_char *) reply->str + reply->len;

    for (p = (u_char *) reply->str; p < last; p++) {
        if (*p < ' ' || *p == 0x7f) {
            *p = ' ';
        }
    }

    /* "unknown command" quotes the arguments; that of AUTH is the password */

    p = (u_char *) ngx_strstr(reply->str, ", with args");

    if (p) {
        *p = '\0';
        reply->len = p - (u_char *) reply->str;
    }
}


/*
 * Returns whether the reply belongs to a subscription.
 */

static ngx_uint_t
ngx_mcp_redis_reply_push(ngx_mcp_redis_conn_t *conn, redisReply *reply)
{
    redisReply  *word;

    if (reply->type != REDIS_REPLY_ARRAY
        || reply->elements != 3
        || reply->element[0]->type != REDIS_REPLY_STRING)
    {
        return 0;
    }

    word = reply->element[0];

    if (ngx_mcp_redis_reply_is(word, "message")
        || ngx_mcp_redis_reply_is(word, "smessage"))
    {
        ngx_mcp_redis_reply_message(conn, reply);
        return 1;
    }

    if (ngx_mcp_redis_reply_is(word, "subscribe")
        || ngx_mcp_redis_reply_is(word, "ssubscribe"))
    {
        ngx_mcp_redis_reply_confirmed(conn, reply);
        return 1;
    }

    if (ngx_mcp_redis_reply_is(word, "unsubscribe")
        || ngx_mcp_redis_reply_is(word, "sunsubscribe"))
    {
        ngx_mcp_redis_conn_fail(conn, "Server ended the subscription");
        return 1;
    }

    return 0;
}


static void
ngx_mcp_redis_reply_message(ngx_mcp_redis_conn_t *conn, redisReply *reply)
{
    ngx_str_t     channel, bytes;
    redisReply  **element;

    element = reply->element;

    if (conn->message == NULL
        || element[1]->type != REDIS_REPLY_STRING
        || element[2]->type != REDIS_REPLY_STRING)
    {
        ngx_mcp_redis_conn_fail(conn, "unexpected reply");
        return;
    }

    channel.data = (u_char *) element[1]->str;
    channel.len = element[1]->len;

    bytes.data = (u_char *) element[2]->str;
    bytes.len = element[2]->len;

    conn->message(conn, &channel, &bytes);
}


static void
ngx_mcp_redis_reply_confirmed(ngx_mcp_redis_conn_t *conn, redisReply *reply)
{
    ngx_mcp_redis_waiting_t  *w;

    w = ngx_mcp_redis_reply_first(conn);

    if (w == NULL || w->channels == 0) {
        ngx_mcp_redis_conn_fail(conn, "unexpected reply");
        return;
    }

    if (--w->channels == 0) {
        ngx_mcp_redis_reply_to_first(conn, reply);
    }
}


static ngx_mcp_redis_waiting_t *
ngx_mcp_redis_reply_first(ngx_mcp_redis_conn_t *conn)
{
    if (ngx_queue_empty(&conn->waiting)) {
        return NULL;
    }

    return ngx_queue_data(ngx_queue_head(&conn->waiting),
                          ngx_mcp_redis_waiting_t, queue);
}


void
ngx_mcp_redis_reply_to_first(ngx_mcp_redis_conn_t *conn, redisReply *reply)
{
    void                     *data;
    ngx_queue_t              *q;
    ngx_mcp_redis_reply_pt    handler;
    ngx_mcp_redis_waiting_t  *w;

    q = ngx_queue_head(&conn->waiting);
    w = ngx_queue_data(q, ngx_mcp_redis_waiting_t, queue);

    handler = w->handler;
    data = w->data;

    ngx_queue_remove(&w->queue);
    ngx_free(w);

    handler(conn, reply, data);
}

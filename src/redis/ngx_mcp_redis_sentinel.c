
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Where the master is, as sentinels tell it; and when there is another one.
 *
 * A sentinel is asked and subscribed to in one write, so that it cannot choose
 * another master in between unnoticed.  Its answer counts when both are
 * answered.  Then it is listened to.  If it is lost, this worker still has its
 * master, and looks for another sentinel to listen to: one that tells the same
 * master, since one that was cut off from the others is behind them.  If none
 * does, the master has moved.
 *
 * A sentinel that tells a wrong master does no more harm than one attempt: the
 * master must say so itself (ROLE), and the next one to be asked is another.
 */

#include "ngx_mcp_redis_sentinel.h"


/* between pings to the sentinel, and between tries to find one to listen to */

#define NGX_MCP_REDIS_SENTINEL_INTERVAL_MS  2000


static void ngx_mcp_redis_sentinel_ready(ngx_mcp_redis_ask_t *ask);
static void ngx_mcp_redis_sentinel_answer(ngx_mcp_redis_conn_t *conn,
    redisReply *reply, void *data);
static void ngx_mcp_redis_sentinel_subscribed(ngx_mcp_redis_conn_t *conn,
    redisReply *reply, void *data);
static void ngx_mcp_redis_sentinel_failed(ngx_mcp_redis_ask_t *ask);
static void ngx_mcp_redis_sentinel_message(ngx_mcp_redis_conn_t *conn,
    ngx_str_t *channel, ngx_str_t *bytes);
static void ngx_mcp_redis_sentinel_timer_handler(void *data);
static void ngx_mcp_redis_sentinel_ponged(ngx_mcp_redis_conn_t *conn,
    redisReply *reply, void *data);


void
ngx_mcp_redis_sentinel_ask(ngx_mcp_redis_sentinel_t *sentinel)
{
    ngx_mcp_redis_ask_t  *ask;

    ask = &sentinel->ask;

    ask->conn.conf = sentinel->conf;
    ask->conn.name = "mcp-sse-sentinel";
    ask->conn.kind = NGX_MCP_REDIS_CONN_SENTINEL;
    ask->conn.message = ngx_mcp_redis_sentinel_message;
    ask->ready = ngx_mcp_redis_sentinel_ready;
    ask->failed = ngx_mcp_redis_sentinel_failed;
    ask->data = sentinel;

    sentinel->timer.handler = ngx_mcp_redis_sentinel_timer_handler;
    sentinel->timer.data = sentinel;

    sentinel->asking = 1;

    ngx_mcp_timer_del(&sentinel->timer);
    ngx_mcp_redis_ask(ask);
}


void
ngx_mcp_redis_sentinel_close(ngx_mcp_redis_sentinel_t *sentinel)
{
    ngx_mcp_timer_del(&sentinel->timer);
    ngx_mcp_redis_ask_close(&sentinel->ask);
}


static void
ngx_mcp_redis_sentinel_ready(ngx_mcp_redis_ask_t *ask)
{
    ngx_mcp_redis_sentinel_t  *sentinel = ask->data;

    ngx_str_t  argv[3], channel;

    ngx_str_set(&argv[0], "SENTINEL");
    ngx_str_set(&argv[1], "get-master-addr-by-name");
    argv[2] = sentinel->conf->master;

    ngx_str_set(&channel, "+switch-master");

    if (ngx_mcp_redis_conn_command(&ask->conn, ngx_mcp_redis_sentinel_answer,
                                   sentinel, 3, argv)
        != NGX_OK
        || ngx_mcp_redis_conn_subscribe(&ask->conn, "SUBSCRIBE",
                                        ngx_mcp_redis_sentinel_subscribed,
                                        sentinel, 1, &channel)
           != NGX_OK)
    {
        ngx_mcp_redis_conn_fail(&ask->conn, "no memory");
    }
}


static void
ngx_mcp_redis_sentinel_answer(ngx_mcp_redis_conn_t *conn, redisReply *reply,
    void *data)
{
    ngx_mcp_redis_sentinel_t  *sentinel = data;

    u_char  reason[NGX_MCP_REDIS_MAX_REASON_LEN];

    if (reply == NULL) {
        return;
    }

    if (reply->type == REDIS_REPLY_ERROR) {
        ngx_mcp_redis_conn_fail(conn, reply->str);
        return;
    }

    switch (ngx_mcp_redis_node_master(&sentinel->answer, reply)) {

    case NGX_OK:
        return;

    case NGX_DECLINED:
        *ngx_snprintf(reason, sizeof(reason) - 1,
                      "it does not know the master \"%V\"",
                      &sentinel->conf->master)
            = '\0';

        ngx_mcp_redis_conn_fail(conn, (char *) reason);
        return;

    default: /* NGX_ERROR */
        ngx_mcp_redis_conn_fail(conn, "invalid reply to SENTINEL");
    }
}


static void
ngx_mcp_redis_sentinel_subscribed(ngx_mcp_redis_conn_t *conn,
    redisReply *reply, void *data)
{
    ngx_mcp_redis_sentinel_t  *sentinel = data;

    if (reply == NULL) {
        return;
    }

    if (reply->type == REDIS_REPLY_ERROR) {
        ngx_mcp_redis_conn_fail(conn, reply->str);
        return;
    }

    if (!sentinel->asking
        && !ngx_mcp_redis_node_same(&sentinel->answer, &sentinel->node))
    {
        sentinel->other = sentinel->answer;
        ngx_mcp_redis_conn_fail(conn, "it tells another master");
        return;
    }

    /* what those before have told in this round does not count any more */

    sentinel->other.port = 0;

    ngx_mcp_redis_ask_take(&sentinel->ask);
    ngx_mcp_timer_set(&sentinel->timer, NGX_MCP_REDIS_SENTINEL_INTERVAL_MS);

    if (sentinel->asking) {
        sentinel->asking = 0;
        sentinel->node = sentinel->answer;
        sentinel->told(sentinel);
    }
}


/*
 * A round has found no sentinel, or the one that was listened to is lost.
 */

static void
ngx_mcp_redis_sentinel_failed(ngx_mcp_redis_ask_t *ask)
{
    ngx_mcp_redis_sentinel_t  *sentinel = ask->data;

    if (sentinel->asking) {
        sentinel->asking = 0;
        sentinel->failed(sentinel);
        return;
    }

    ngx_mcp_timer_set(&sentinel->timer, NGX_MCP_REDIS_SENTINEL_INTERVAL_MS);

    if (sentinel->other.port) {
        sentinel->node = sentinel->other;
        sentinel->other.port = 0;
        sentinel->moved(sentinel);
    }
}


static void
ngx_mcp_redis_sentinel_message(ngx_mcp_redis_conn_t *conn, ngx_str_t *channel,
    ngx_str_t *bytes)
{
    ngx_int_t                  rc;
    ngx_mcp_redis_ask_t       *ask = conn->data;
    ngx_mcp_redis_node_t       node;
    ngx_mcp_redis_sentinel_t  *sentinel = ask->data;

    /*
     * before the subscription is confirmed: the timer is not set, told() may
     * not have run yet, and this one may tell another master
     */

    if (!sentinel->timer.set) {
        ngx_mcp_redis_conn_fail(conn, "unexpected reply");
        return;
    }

    rc = ngx_mcp_redis_node_switch(&node, bytes, &sentinel->conf->master);

    if (rc == NGX_ERROR) {
        ngx_mcp_redis_conn_fail(conn, "invalid message of +switch-master");
        return;
    }

    if (rc == NGX_OK && !ngx_mcp_redis_node_same(&node, &sentinel->node)) {
        sentinel->node = node;
        sentinel->moved(sentinel);
    }
}


static void
ngx_mcp_redis_sentinel_timer_handler(void *data)
{
    ngx_mcp_redis_sentinel_t  *sentinel = data;

    ngx_str_t  argv[1];

    if (!ngx_mcp_redis_conn_is_ready(&sentinel->ask.conn)) {
        sentinel->other.port = 0;
        ngx_mcp_redis_ask(&sentinel->ask);
        return;
    }

    ngx_mcp_timer_set(&sentinel->timer, NGX_MCP_REDIS_SENTINEL_INTERVAL_MS);

    ngx_str_set(&argv[0], "PING");

    (void) ngx_mcp_redis_conn_command(&sentinel->ask.conn,
                                      ngx_mcp_redis_sentinel_ponged, NULL, 1,
                                      argv);
}


/*
 * Any reply shows that the sentinel is there; without one the connection ends.
 */

static void
ngx_mcp_redis_sentinel_ponged(ngx_mcp_redis_conn_t *conn, redisReply *reply,
    void *data)
{
    /* void */
}

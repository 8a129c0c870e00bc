
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Asks the servers of the configuration, sentinels or nodes of a cluster, in
 * turn: one connection at a time.
 *
 * The object belongs to its user.  It waits for the address of a server, or
 * for its connection, which ends by itself: each limits its time.
 */

#include "ngx_mcp_redis_ask.h"


static void ngx_mcp_redis_ask_next(ngx_mcp_redis_ask_t *ask);
static void ngx_mcp_redis_ask_resolved(ngx_mcp_redis_resolve_t *resolve,
    ngx_int_t rc);
static void ngx_mcp_redis_ask_ready(ngx_mcp_redis_conn_t *conn);
static void ngx_mcp_redis_ask_lost(ngx_mcp_redis_conn_t *conn);
static void ngx_mcp_redis_ask_failed(ngx_mcp_redis_ask_t *ask,
    u_char *reason);


void
ngx_mcp_redis_ask(ngx_mcp_redis_ask_t *ask)
{
    ngx_uint_t  n;

    n = ask->conn.conf->servers->nelts;

    ngx_mcp_redis_ask_close(ask);

    if (!ask->begun) {
        ask->begun = 1;
        ask->server = ngx_random() % n;

        ask->conn.ready = ngx_mcp_redis_ask_ready;
        ask->conn.lost = ngx_mcp_redis_ask_lost;
        ask->conn.data = ask;

        ask->resolve.conf = ask->conn.conf;
        ask->resolve.handler = ngx_mcp_redis_ask_resolved;
        ask->resolve.data = ask;
    }

    ask->left = n;
    ask->rounds++;

    ngx_mcp_redis_ask_next(ask);
}


static void
ngx_mcp_redis_ask_next(ngx_mcp_redis_ask_t *ask)
{
    ngx_array_t  *servers;

    servers = ask->conn.conf->servers;

    ask->left--;
    ask->server = (ask->server + 1) % servers->nelts;

    ngx_mcp_redis_resolve_server(&ask->resolve, ngx_mcp_redis_ask_server(ask),
                                 ask->rounds);
}


void
ngx_mcp_redis_ask_take(ngx_mcp_redis_ask_t *ask)
{
    ask->left = 0;
}


void
ngx_mcp_redis_ask_close(ngx_mcp_redis_ask_t *ask)
{
    ngx_mcp_redis_resolve_cancel(&ask->resolve);
    ngx_mcp_redis_conn_close(&ask->conn);
}


ngx_mcp_redis_server_t *
ngx_mcp_redis_ask_server(ngx_mcp_redis_ask_t *ask)
{
    ngx_mcp_redis_server_t  *servers;

    servers = ask->conn.conf->servers->elts;

    return &servers[ask->server];
}


static void
ngx_mcp_redis_ask_resolved(ngx_mcp_redis_resolve_t *resolve, ngx_int_t rc)
{
    ngx_mcp_redis_ask_t  *ask = resolve->data;

    if (rc != NGX_OK) {
        ngx_mcp_redis_ask_failed(ask, resolve->reason);
        return;
    }

    ngx_mcp_redis_conn_open(&ask->conn, &resolve->address);
}


static void
ngx_mcp_redis_ask_ready(ngx_mcp_redis_conn_t *conn)
{
    ngx_mcp_redis_ask_t  *ask = conn->data;

    ask->ready(ask);
}


static void
ngx_mcp_redis_ask_lost(ngx_mcp_redis_conn_t *conn)
{
    ngx_mcp_redis_ask_failed(conn->data, conn->reason);
}


static void
ngx_mcp_redis_ask_failed(ngx_mcp_redis_ask_t *ask, u_char *reason)
{
    const char              *kind;
    ngx_mcp_redis_server_t  *server;

    kind = ask->conn.kind == NGX_MCP_REDIS_CONN_SENTINEL ? "sentinel" : "node";
    server = ngx_mcp_redis_ask_server(ask);

    *ngx_snprintf(ask->reason, sizeof(ask->reason) - 1, "%s %V: %s", kind,
                  &server->name, reason)
        = '\0';

    ngx_log_debug1(NGX_LOG_DEBUG_CORE, ngx_cycle->log, 0, "mcp redis ask: %s",
                   ask->reason);

    if (ask->left) {
        ngx_mcp_redis_ask_next(ask);
        return;
    }

    ask->failed(ask);
}


/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Which node of a cluster has the slot of this instance's keys, as its nodes
 * tell it.
 *
 * All keys and channels are in one slot, by the {tag} of their prefix, hence at
 * one node.  Only the nodes of the configuration are asked: what they tell of
 * others is used for one answer and forgotten.
 */

#include "ngx_mcp_redis_cluster.h"


static void ngx_mcp_redis_cluster_ready(ngx_mcp_redis_ask_t *ask);
static void ngx_mcp_redis_cluster_answer(ngx_mcp_redis_conn_t *conn,
    redisReply *reply, void *data);
static void ngx_mcp_redis_cluster_told(ngx_mcp_redis_cluster_t *cluster);
static void ngx_mcp_redis_cluster_failed(ngx_mcp_redis_ask_t *ask);


void
ngx_mcp_redis_cluster_ask(ngx_mcp_redis_cluster_t *cluster)
{
    ngx_mcp_redis_ask_t  *ask;

    ask = &cluster->ask;

    ask->conn.conf = cluster->conf;
    ask->conn.name = "mcp-sse-find";
    ask->conn.kind = NGX_MCP_REDIS_CONN_NODE;
    ask->ready = ngx_mcp_redis_cluster_ready;
    ask->failed = ngx_mcp_redis_cluster_failed;
    ask->data = cluster;

    ngx_mcp_redis_ask(ask);
}


void
ngx_mcp_redis_cluster_close(ngx_mcp_redis_cluster_t *cluster)
{
    ngx_mcp_redis_ask_close(&cluster->ask);
}


static void
ngx_mcp_redis_cluster_ready(ngx_mcp_redis_ask_t *ask)
{
    ngx_str_t  argv[2];

    ngx_str_set(&argv[0], "CLUSTER");
    ngx_str_set(&argv[1], "SLOTS");

    if (ngx_mcp_redis_conn_command(&ask->conn, ngx_mcp_redis_cluster_answer,
                                   ask->data, 2, argv)
        != NGX_OK)
    {
        ngx_mcp_redis_conn_fail(&ask->conn, "no memory");
    }
}


static void
ngx_mcp_redis_cluster_answer(ngx_mcp_redis_conn_t *conn, redisReply *reply,
    void *data)
{
    ngx_mcp_redis_cluster_t  *cluster = data;

    u_char  reason[NGX_MCP_REDIS_MAX_REASON_LEN];

    if (reply == NULL) {
        return;
    }

    if (reply->type == REDIS_REPLY_ERROR) {
        ngx_mcp_redis_conn_fail(conn, reply->str);
        return;
    }

    switch (ngx_mcp_redis_node_slot(&cluster->node, reply,
                                    cluster->conf->slot))
    {

    case NGX_OK:
        ngx_mcp_redis_cluster_told(cluster);
        return;

    case NGX_DECLINED:
        *ngx_snprintf(reason, sizeof(reason) - 1, "no node has the slot %ui",
                      cluster->conf->slot)
            = '\0';

        ngx_mcp_redis_conn_fail(conn, (char *) reason);
        return;

    default: /* NGX_ERROR */
        ngx_mcp_redis_conn_fail(conn, "invalid reply to CLUSTER SLOTS");
    }
}


static void
ngx_mcp_redis_cluster_told(ngx_mcp_redis_cluster_t *cluster)
{
    ngx_mcp_redis_node_t     *node;
    ngx_mcp_redis_server_t   *server;

    node = &cluster->node;

    if (node->len == 0) {
        server = ngx_mcp_redis_ask_server(&cluster->ask);

        node->len = ngx_min(server->host.len, NGX_MCP_REDIS_MAX_HOST_LEN);
        *ngx_cpymem(node->host, server->host.data, node->len) = '\0';
    }

    ngx_mcp_redis_ask_close(&cluster->ask);

    cluster->told(cluster);
}


static void
ngx_mcp_redis_cluster_failed(ngx_mcp_redis_ask_t *ask)
{
    ngx_mcp_redis_cluster_t  *cluster = ask->data;

    cluster->failed(cluster);
}

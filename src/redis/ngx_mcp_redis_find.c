
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Where the master is: the server of the configuration, or one that sentinels
 * or nodes of a cluster tell.
 *
 * A find is owned by its user and never freed.
 */

#include "ngx_mcp_redis_find.h"


static void ngx_mcp_redis_find_sentinel(ngx_mcp_redis_find_t *find);
static void ngx_mcp_redis_find_sentinel_told(
    ngx_mcp_redis_sentinel_t *sentinel);
static void ngx_mcp_redis_find_sentinel_failed(
    ngx_mcp_redis_sentinel_t *sentinel);
static void ngx_mcp_redis_find_sentinel_moved(
    ngx_mcp_redis_sentinel_t *sentinel);
static void ngx_mcp_redis_find_cluster(ngx_mcp_redis_find_t *find);
static void ngx_mcp_redis_find_cluster_told(ngx_mcp_redis_cluster_t *cluster);
static void ngx_mcp_redis_find_cluster_failed(
    ngx_mcp_redis_cluster_t *cluster);
static void ngx_mcp_redis_find_resolve(ngx_mcp_redis_find_t *find,
    u_char *host, size_t len, in_port_t port);
static void ngx_mcp_redis_find_resolved(ngx_mcp_redis_resolve_t *resolve,
    ngx_int_t rc);
static void ngx_mcp_redis_find_end(ngx_mcp_redis_find_t *find, ngx_int_t rc,
    u_char *reason);


void
ngx_mcp_redis_find(ngx_mcp_redis_find_t *find)
{
    ngx_mcp_redis_resolve_t  *resolve;

    resolve = &find->resolve;
    resolve->conf = find->conf;
    resolve->data = find;
    resolve->handler = ngx_mcp_redis_find_resolved;

    find->busy = 1;

    if (find->told[0]) {
        ngx_mcp_redis_find_resolve(find, find->told, ngx_strlen(find->told),
                                   find->told_port);
        find->told[0] = '\0';
        return;
    }

    switch (find->conf->mode) {

    case NGX_MCP_REDIS_SENTINEL:
        ngx_mcp_redis_find_sentinel(find);
        return;

    case NGX_MCP_REDIS_CLUSTER:
        ngx_mcp_redis_find_cluster(find);
        return;

    case NGX_MCP_REDIS_PLAIN:
        ngx_mcp_redis_resolve_server(resolve, find->conf->servers->elts,
                                     find->attempt);
    }
}


static void
ngx_mcp_redis_find_sentinel(ngx_mcp_redis_find_t *find)
{
    ngx_mcp_redis_sentinel_t  *sentinel;

    sentinel = &find->sentinel;
    sentinel->conf = find->conf;
    sentinel->told = ngx_mcp_redis_find_sentinel_told;
    sentinel->failed = ngx_mcp_redis_find_sentinel_failed;
    sentinel->moved = ngx_mcp_redis_find_sentinel_moved;
    sentinel->data = find;

    ngx_mcp_redis_sentinel_ask(sentinel);
}


static void
ngx_mcp_redis_find_sentinel_told(ngx_mcp_redis_sentinel_t *sentinel)
{
    ngx_mcp_redis_node_t  *node;

    node = &sentinel->node;

    ngx_mcp_redis_find_resolve(sentinel->data, node->host, node->len,
                               node->port);
}


static void
ngx_mcp_redis_find_sentinel_failed(ngx_mcp_redis_sentinel_t *sentinel)
{
    ngx_mcp_redis_find_end(sentinel->data, NGX_ERROR, sentinel->ask.reason);
}


static void
ngx_mcp_redis_find_sentinel_moved(ngx_mcp_redis_sentinel_t *sentinel)
{
    ngx_str_t              host;
    ngx_mcp_redis_find_t  *find = sentinel->data;
    ngx_mcp_redis_node_t  *node;

    node = &sentinel->node;

    if (find->busy) {

        /* the address of the old one is being resolved */

        ngx_mcp_redis_find_resolve(find, node->host, node->len, node->port);
        return;
    }

    host.data = node->host;
    host.len = node->len;

    ngx_mcp_redis_find_at(find, &host, node->port);

    find->moved(find);
}


static void
ngx_mcp_redis_find_cluster(ngx_mcp_redis_find_t *find)
{
    ngx_mcp_redis_cluster_t  *cluster;

    cluster = &find->cluster;
    cluster->conf = find->conf;
    cluster->told = ngx_mcp_redis_find_cluster_told;
    cluster->failed = ngx_mcp_redis_find_cluster_failed;
    cluster->data = find;

    ngx_mcp_redis_cluster_ask(cluster);
}


static void
ngx_mcp_redis_find_cluster_told(ngx_mcp_redis_cluster_t *cluster)
{
    ngx_mcp_redis_node_t  *node;

    node = &cluster->node;

    ngx_mcp_redis_find_resolve(cluster->data, node->host, node->len,
                               node->port);
}


static void
ngx_mcp_redis_find_cluster_failed(ngx_mcp_redis_cluster_t *cluster)
{
    ngx_mcp_redis_find_end(cluster->data, NGX_ERROR, cluster->ask.reason);
}


static void
ngx_mcp_redis_find_resolve(ngx_mcp_redis_find_t *find, u_char *data,
    size_t len, in_port_t port)
{
    ngx_str_t  host;

    host.data = data;
    host.len = len;

    ngx_mcp_redis_resolve_host(&find->resolve, &host, port, find->attempt);
}


static void
ngx_mcp_redis_find_resolved(ngx_mcp_redis_resolve_t *resolve, ngx_int_t rc)
{
    ngx_mcp_redis_find_t  *find = resolve->data;

    u_char  reason[2 * NGX_MCP_REDIS_MAX_REASON_LEN];

    if (rc == NGX_OK) {
        find->address = resolve->address;
        ngx_mcp_redis_find_end(find, NGX_OK, NULL);
        return;
    }

    if (find->conf->mode == NGX_MCP_REDIS_PLAIN) {
        ngx_mcp_redis_find_end(find, NGX_ERROR, resolve->reason);
        return;
    }

    /* a name that the configuration does not have */

    *ngx_snprintf(reason, sizeof(reason) - 1, "%s: %s",
                  resolve->address.host, resolve->reason)
        = '\0';

    ngx_mcp_redis_find_end(find, NGX_ERROR, reason);
}


static void
ngx_mcp_redis_find_end(ngx_mcp_redis_find_t *find, ngx_int_t rc,
    u_char *reason)
{
    if (rc != NGX_OK) {
        (void) ngx_cpystrn(find->reason, reason, sizeof(find->reason));
    }

    find->busy = 0;
    find->handler(find, rc);
}


void
ngx_mcp_redis_find_at(ngx_mcp_redis_find_t *find, ngx_str_t *host,
    in_port_t port)
{
    if (find->conf->mode == NGX_MCP_REDIS_PLAIN
        || host->len >= sizeof(find->told))
    {
        return;
    }

    (void) ngx_cpystrn(find->told, host->data, host->len + 1);
    find->told_port = port;
}


void
ngx_mcp_redis_find_cancel(ngx_mcp_redis_find_t *find)
{
    find->busy = 0;

    ngx_mcp_redis_resolve_cancel(&find->resolve);

    if (find->sentinel.conf) {
        ngx_mcp_redis_sentinel_close(&find->sentinel);
    }

    if (find->cluster.conf) {
        ngx_mcp_redis_cluster_close(&find->cluster);
    }
}

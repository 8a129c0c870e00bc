
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Where the master is: the server of the configuration.
 *
 * A find is owned by its user and never freed.
 */

#include "ngx_mcp_redis_find.h"


static void ngx_mcp_redis_find_resolved(ngx_mcp_redis_resolve_t *resolve,
    ngx_int_t rc);


void
ngx_mcp_redis_find(ngx_mcp_redis_find_t *find)
{
    ngx_str_t                 host;
    ngx_mcp_redis_conf_t     *conf;
    ngx_mcp_redis_resolve_t  *resolve;

    conf = find->conf;

    resolve = &find->resolve;
    resolve->conf = conf;
    resolve->data = find;
    resolve->handler = ngx_mcp_redis_find_resolved;

    if (conf->mode != NGX_MCP_REDIS_PLAIN) {
        ngx_mcp_redis_resolve_refuse(resolve, "not supported");
        return;
    }

    if (find->told[0] == '\0') {
        ngx_mcp_redis_resolve_server(resolve, conf->servers->elts,
                                     find->attempt);
        return;
    }

    host.data = find->told;
    host.len = ngx_strlen(find->told);

    ngx_mcp_redis_resolve_host(resolve, &host, find->told_port, find->attempt);

    find->told[0] = '\0';
}


static void
ngx_mcp_redis_find_resolved(ngx_mcp_redis_resolve_t *resolve, ngx_int_t rc)
{
    ngx_mcp_redis_find_t  *find = resolve->data;

    if (rc == NGX_OK) {
        find->address = resolve->address;

    } else {
        (void) ngx_cpystrn(find->reason, resolve->reason,
                           sizeof(find->reason));
    }

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
    ngx_mcp_redis_resolve_cancel(&find->resolve);
}

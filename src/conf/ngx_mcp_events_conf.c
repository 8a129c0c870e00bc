
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * The directive mcp_sse_events: the Redis that Frappe publishes to.
 *
 * All values are in the pool of their cycle.
 */

#include "ngx_mcp_events_conf.h"
#include "ngx_mcp_redis_conf.h"
#include "ngx_mcp_redis_server.h"
#include "ngx_mcp_redis_ssl_conf.h"


char *
ngx_mcp_events_conf(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_mcp_main_conf_t  *mcf = conf;

    ngx_mcp_events_conf_t  *ecf;

    if (mcf->events) {
        return "is duplicate";
    }

    ecf = ngx_pcalloc(cf->pool, sizeof(ngx_mcp_events_conf_t));

    if (ecf == NULL || ngx_mcp_redis_conf_read(cf, &ecf->redis, 1) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    ecf->channel = ecf->redis.prefix;

    mcf->events = ecf;

    return NGX_CONF_OK;
}


ngx_int_t
ngx_mcp_events_conf_check(ngx_conf_t *cf, ngx_mcp_main_conf_t *mcf)
{
    ngx_mcp_redis_conf_t  *rcf;

    if (mcf->events == NULL) {
        return NGX_OK;
    }

    rcf = &mcf->events->redis;

    if (ngx_mcp_redis_ssl_conf_set(cf, &mcf->redis_ssl, rcf) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_mcp_redis_server_resolve(cf, rcf, "mcp_sse_events");
}

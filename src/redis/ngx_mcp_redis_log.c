
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * What the log says of a Redis: once for all workers, and not too often.
 *
 * log->logged->state is the last state that a worker has logged: 0, none; 1,
 * Redis is lost; 2, Redis is ready.  "reason" is a hash of the reason that was
 * logged with 1, "master" one of the master that was logged last.
 */

#include "ngx_mcp_redis_log.h"


#define NGX_MCP_REDIS_LOG_INTERVAL  10     /* seconds */


void
ngx_mcp_redis_log_lost(ngx_mcp_redis_log_t *log, const u_char *reason)
{
    uint32_t                 hash;
    ngx_mcp_redis_logged_t  *logged;

    logged = log->logged;

    hash = ngx_murmur_hash2((u_char *) reason, ngx_strlen(reason));

    if (logged->state == 1 && logged->reason == hash) {
        return;
    }

    if (!ngx_mcp_zone_log_once(&logged->state_at, NGX_MCP_REDIS_LOG_INTERVAL)) {
        return;
    }

    logged->state = 1;
    logged->reason = hash;

    ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                  "mcp sse: %s \"%V\" is lost: %s; %s",
                  log->what, &log->conf->name, reason, log->consequence);
}


void
ngx_mcp_redis_log_ready(ngx_mcp_redis_log_t *log)
{
    if (ngx_atomic_cmp_set(&log->logged->state, 0, 2)
        || ngx_atomic_cmp_set(&log->logged->state, 1, 2))
    {
        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "mcp sse: %s \"%V\" is ready",
                      log->what, &log->conf->name);
    }
}


void
ngx_mcp_redis_log_master(ngx_mcp_redis_log_t *log,
    ngx_mcp_redis_target_t *target)
{
    u_char                    text[NGX_MCP_REDIS_MAX_HOST_LEN + 16];
    ngx_str_t                 name;
    ngx_atomic_uint_t         hash, logged;
    ngx_mcp_redis_conf_t     *conf;
    ngx_mcp_redis_address_t  *address;

    conf = log->conf;

    if (conf->mode == NGX_MCP_REDIS_PLAIN) {
        return;
    }

    address = &target->find.address;

    name.data = text;
    name.len = ngx_sprintf(text, ngx_strchr(address->host, ':') ? "[%s]:%ui"
                                                                : "%s:%ui",
                           address->host, (ngx_uint_t) address->port)
               - text;

    hash = ngx_crc32_long(name.data, name.len);
    logged = log->logged->master;

    if (hash == logged
        || !ngx_atomic_cmp_set(&log->logged->master, logged, hash))
    {
        return;
    }

    if (conf->mode == NGX_MCP_REDIS_SENTINEL) {
        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "mcp sse: %s master \"%V\" is at %V",
                      log->what, &conf->master, &name);

    } else {
        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "mcp sse: %s slot %ui of \"%V\" is at %V",
                      log->what, conf->slot, &conf->prefix, &name);
    }
}


void
ngx_mcp_redis_log_refused(ngx_mcp_redis_log_t *log, const char *error)
{
    if (ngx_mcp_zone_log_once(&log->logged->refused_at,
                              NGX_MCP_REDIS_LOG_INTERVAL))
    {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "mcp sse: %s \"%V\" refuses a command: %s",
                      log->what, &log->conf->name, error);
    }
}


void
ngx_mcp_redis_log_forged(ngx_mcp_redis_log_t *log)
{
    if (ngx_mcp_zone_log_once(&ngx_mcp_zone()->root->forged_logged_at,
                              NGX_MCP_REDIS_LOG_INTERVAL))
    {
        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "mcp sse: %s \"%V\" delivered a message that is not "
                      "sealed for this worker with a known key, check that all "
                      "instances have the same \"mcp_sse_key\"",
                      log->what, &log->conf->name);
    }
}

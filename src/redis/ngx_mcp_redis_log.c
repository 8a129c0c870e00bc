
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * What the log says of Redis: once for all workers, and not too often.
 *
 * root->redis_state_logged is the last state that a worker has logged: 0, none;
 * 1, Redis is lost; 2, Redis is ready; root->redis_reason_logged is a hash of
 * the reason that was logged with 1, root->redis_master_logged one of the
 * master that was logged last.
 */

#include "ngx_mcp_redis_log.h"


#define NGX_MCP_REDIS_LOG_INTERVAL  10     /* seconds */


static ngx_str_t *ngx_mcp_redis_log_name(void);


void
ngx_mcp_redis_log_lost(const u_char *reason)
{
    uint32_t              hash;
    ngx_mcp_zone_root_t  *root;

    root = ngx_mcp_zone()->root;

    hash = ngx_murmur_hash2((u_char *) reason, ngx_strlen(reason));

    if (root->redis_state_logged == 1 && root->redis_reason_logged == hash) {
        return;
    }

    if (!ngx_mcp_zone_log_once(&root->redis_state_logged_at,
                               NGX_MCP_REDIS_LOG_INTERVAL))
    {
        return;
    }

    root->redis_state_logged = 1;
    root->redis_reason_logged = hash;

    ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                  "mcp sse: redis \"%V\" is lost: %s; sessions of this "
                  "instance go on, messages for sessions of other instances "
                  "are answered 503 until it is back",
                  ngx_mcp_redis_log_name(), reason);
}


void
ngx_mcp_redis_log_ready(void)
{
    ngx_mcp_zone_root_t  *root;

    root = ngx_mcp_zone()->root;

    if (ngx_atomic_cmp_set(&root->redis_state_logged, 0, 2)
        || ngx_atomic_cmp_set(&root->redis_state_logged, 1, 2))
    {
        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "mcp sse: redis \"%V\" is ready",
                      ngx_mcp_redis_log_name());
    }
}


void
ngx_mcp_redis_log_master(ngx_mcp_redis_target_t *target)
{
    u_char                    text[NGX_MCP_REDIS_MAX_HOST_LEN + 16];
    ngx_str_t                 name;
    ngx_atomic_uint_t         hash, logged;
    ngx_mcp_zone_root_t      *root;
    ngx_mcp_redis_conf_t     *conf;
    ngx_mcp_redis_address_t  *address;

    conf = target->conf;

    if (conf->mode == NGX_MCP_REDIS_PLAIN) {
        return;
    }

    root = ngx_mcp_zone()->root;
    address = &target->find.address;

    name.data = text;
    name.len = ngx_sprintf(text, ngx_strchr(address->host, ':') ? "[%s]:%ui"
                                                                : "%s:%ui",
                           address->host, (ngx_uint_t) address->port)
               - text;

    hash = ngx_crc32_long(name.data, name.len);
    logged = root->redis_master_logged;

    if (hash == logged
        || !ngx_atomic_cmp_set(&root->redis_master_logged, logged, hash))
    {
        return;
    }

    if (conf->mode == NGX_MCP_REDIS_SENTINEL) {
        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "mcp sse: redis master \"%V\" is at %V",
                      &conf->master, &name);

    } else {
        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "mcp sse: redis slot %ui of \"%V\" is at %V",
                      conf->slot, &conf->prefix, &name);
    }
}


void
ngx_mcp_redis_log_refused(const char *error)
{
    if (ngx_mcp_zone_log_once(&ngx_mcp_zone()->root->redis_refused_logged_at,
                              NGX_MCP_REDIS_LOG_INTERVAL))
    {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "mcp sse: redis \"%V\" refuses a command: %s",
                      ngx_mcp_redis_log_name(), error);
    }
}


void
ngx_mcp_redis_log_forged(void)
{
    if (ngx_mcp_zone_log_once(&ngx_mcp_zone()->root->forged_logged_at,
                              NGX_MCP_REDIS_LOG_INTERVAL))
    {
        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "mcp sse: redis \"%V\" delivered a message that is not "
                      "sealed for this worker with a known key, check that all "
                      "instances have the same \"mcp_sse_key\"",
                      ngx_mcp_redis_log_name());
    }
}


static ngx_str_t *
ngx_mcp_redis_log_name(void)
{
    return &ngx_mcp_zone()->conf->redis->name;
}

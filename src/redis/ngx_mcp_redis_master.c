
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Which master the command connection has: a hash of its run_id, which INFO
 * tells.
 *
 * A run_id is random and new in each process of Redis.  The hash is in packets:
 * all instances compute the same one, FNV-1a of 64 bits.
 */

#include "ngx_mcp_redis_master.h"
#include "ngx_mcp_redis.h"


static void ngx_mcp_redis_master_handler(redisAsyncContext *ac, void *reply,
    void *data);
static uint64_t ngx_mcp_redis_master_hash(const char *run_id);


static uint64_t  ngx_mcp_redis_master_joined;


uint64_t
ngx_mcp_redis_master(void)
{
    return ngx_mcp_redis_master_joined;
}


void
ngx_mcp_redis_master_ask(ngx_mcp_redis_conn_t *conn)
{
    ngx_str_t  argv[2];

    ngx_mcp_redis_master_joined = 0;

    ngx_str_set(&argv[0], "INFO");
    ngx_str_set(&argv[1], "server");

    if (ngx_mcp_redis_conn_command(conn, ngx_mcp_redis_master_handler, NULL,
                                   2, argv)
        != NGX_OK)
    {
        ngx_mcp_redis_conn_fail(conn, "no memory");
    }
}


static void
ngx_mcp_redis_master_handler(redisAsyncContext *ac, void *reply, void *data)
{
    const char            *p;
    redisReply            *r = reply;
    ngx_mcp_redis_conn_t  *conn = ac->data;

    if (conn->ac != ac || r == NULL || r->type != REDIS_REPLY_STRING) {
        return;
    }

    p = strstr(r->str, "run_id:");

    if (p) {
        ngx_mcp_redis_master_joined =
                        ngx_mcp_redis_master_hash(p + sizeof("run_id:") - 1);
    }

    ngx_log_debug1(NGX_LOG_DEBUG_CORE, ngx_cycle->log, 0,
                   "mcp redis: master %016xL", ngx_mcp_redis_master_joined);
}


/*
 * The run_id ends with its line.
 */

static uint64_t
ngx_mcp_redis_master_hash(const char *run_id)
{
    uint64_t  hash;

    hash = 0xcbf29ce484222325ULL;

    while (*run_id > ' ') {
        hash = (hash ^ (u_char) *run_id++) * 0x100000001b3ULL;
    }

    return hash ? hash : 1;
}

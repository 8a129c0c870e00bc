
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * The lease of this worker in Redis: a key that shows other workers that it is
 * alive, and this one that Redis still has its data.
 *
 * The state is of this process and lives as long as it; the time of the last
 * loss is in the zone, for all workers of the instance.
 */

#include "ngx_mcp_worker_lease.h"
#include "ngx_mcp_bus.h"
#include "ngx_mcp_workers_dead.h"


#define NGX_MCP_WORKER_LEASE_EXPIRES  "15"                       /* seconds */

/* after a loss, all workers have written their sessions within this time */

#define NGX_MCP_WORKER_LEASE_LOST_WINDOW_MS       5000

#define NGX_MCP_WORKER_LEASE_LOG_INTERVAL         10          /* seconds */
#define NGX_MCP_WORKER_LEASE_LOG_POLICY_INTERVAL  3600        /* seconds */


static void ngx_mcp_worker_lease_renew(void);
static void ngx_mcp_worker_lease_renewed(ngx_mcp_redis_conn_t *conn,
    redisReply *reply, void *data);
static void ngx_mcp_worker_lease_created(ngx_mcp_redis_conn_t *conn,
    redisReply *reply, void *data);
static void ngx_mcp_worker_lease_set_lost(void);
static void ngx_mcp_worker_lease_ask_policy(void);
static void ngx_mcp_worker_lease_policy(ngx_mcp_redis_conn_t *conn,
    redisReply *reply, void *data);
static void ngx_mcp_worker_lease_delete_dead(void);
static ngx_int_t ngx_mcp_worker_lease_delete(u_char *id);


static ngx_uint_t  ngx_mcp_worker_lease_exists;    /* when last seen */

/* of the last time that Redis was up */

static ngx_uint_t  ngx_mcp_worker_lease_was_up;
static uint64_t    ngx_mcp_worker_lease_master;


void
ngx_mcp_worker_lease_join(void)
{
    ngx_mcp_worker_lease_exists = 0;

    ngx_mcp_worker_lease_renew();
}


/*
 * If no worker of this instance was connected, Redis may have lost its data in
 * the meantime, and other instances may not have written theirs again.  Another
 * master may lack what was written last, even if other workers have been there
 * before.
 */

void
ngx_mcp_worker_lease_up(void)
{
    uint64_t                  master;
    ngx_mcp_workers_gauges_t  gauges;

    ngx_mcp_workers_gauges(&gauges);
    master = ngx_mcp_redis_master();

    /* this worker is counted */

    if (gauges.redis[NGX_MCP_REDIS_READY] == 1
        || (ngx_mcp_worker_lease_was_up
            && master != ngx_mcp_worker_lease_master))
    {
        ngx_mcp_worker_lease_set_lost();
    }

    ngx_mcp_worker_lease_was_up = 1;
    ngx_mcp_worker_lease_master = master;

    ngx_mcp_worker_lease_delete_dead();
    ngx_mcp_worker_lease_ask_policy();
}


/*
 * A Redis that is configured as a cache may evict the keys.
 */

static void
ngx_mcp_worker_lease_ask_policy(void)
{
    ngx_str_t  argv[3];

    ngx_str_set(&argv[0], "CONFIG");
    ngx_str_set(&argv[1], "GET");
    ngx_str_set(&argv[2], "maxmemory-policy");

    (void) ngx_mcp_redis_command(ngx_mcp_worker_lease_policy, NULL, 3, argv);
}


static void
ngx_mcp_worker_lease_policy(ngx_mcp_redis_conn_t *conn, redisReply *reply,
    void *data)
{

    /* users without the permission for CONFIG get no warning */

    if (reply == NULL
        || reply->type != REDIS_REPLY_ARRAY
        || reply->elements != 2
        || reply->element[1]->type != REDIS_REPLY_STRING
        || ngx_strcmp(reply->element[1]->str, "noeviction") == 0)
    {
        return;
    }

    if (ngx_mcp_zone_log_once(&ngx_mcp_zone()->root->redis_policy_logged_at,
                              NGX_MCP_WORKER_LEASE_LOG_POLICY_INTERVAL))
    {
        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "mcp sse: redis \"%V\" has maxmemory-policy \"%s\" and "
                      "may evict sessions, use \"noeviction\"",
                      &ngx_mcp_zone()->conf->redis->name,
                      reply->element[1]->str);
    }
}


void
ngx_mcp_worker_lease_every_second(void)
{
    ngx_mcp_worker_lease_renew();
    ngx_mcp_worker_lease_delete_dead();
}


/*
 * A Redis out of memory accepts GETEX and refuses SET.
 */

static void
ngx_mcp_worker_lease_renew(void)
{
    u_char     buf[NGX_MCP_REDIS_MAX_KEY_LEN];
    ngx_str_t  argv[4];

    ngx_str_set(&argv[0], "GETEX");
    ngx_mcp_redis_key(&argv[1], buf, 'k', ngx_mcp_workers_self()->id);
    ngx_str_set(&argv[2], "EX");
    ngx_str_set(&argv[3], NGX_MCP_WORKER_LEASE_EXPIRES);

    (void) ngx_mcp_redis_command(ngx_mcp_worker_lease_renewed, NULL, 4, argv);
}


static void
ngx_mcp_worker_lease_renewed(ngx_mcp_redis_conn_t *conn, redisReply *reply,
    void *data)
{
    u_char       buf[NGX_MCP_REDIS_MAX_KEY_LEN];
    ngx_str_t    argv[5];

    if (ngx_mcp_worker_lease_failed(reply)) {
        return;
    }

    if (reply->type == REDIS_REPLY_STRING) {
        ngx_mcp_worker_lease_exists = 1;
        ngx_mcp_redis_joined();
        return;
    }

    if (ngx_mcp_worker_lease_exists) {
        ngx_mcp_worker_lease_lost();
    }

    ngx_str_set(&argv[0], "SET");
    ngx_mcp_redis_key(&argv[1], buf, 'k', ngx_mcp_workers_self()->id);
    ngx_str_set(&argv[2], "1");
    ngx_str_set(&argv[3], "EX");
    ngx_str_set(&argv[4], NGX_MCP_WORKER_LEASE_EXPIRES);

    (void) ngx_mcp_redis_command(ngx_mcp_worker_lease_created, NULL, 5, argv);
}


static void
ngx_mcp_worker_lease_created(ngx_mcp_redis_conn_t *conn, redisReply *reply,
    void *data)
{

    if (!ngx_mcp_worker_lease_failed(reply)) {
        ngx_log_debug0(NGX_LOG_DEBUG_CORE, ngx_cycle->log, 0,
                       "mcp worker lease: created");

        ngx_mcp_worker_lease_exists = 1;
        ngx_mcp_redis_joined();
        return;
    }

    /* a Redis out of memory still publishes messages */

    if (reply && ngx_strncmp(reply->str, "OOM", 3) == 0) {
        ngx_mcp_redis_joined();
    }
}


ngx_uint_t
ngx_mcp_worker_lease_failed(redisReply *reply)
{
    if (reply == NULL) {
        return 1;
    }

    if (reply->type != REDIS_REPLY_ERROR) {
        return 0;
    }

    if (ngx_strncmp(reply->str, "OOM", 3) == 0) {
        ngx_mcp_redis_refused(reply);

    } else {
        ngx_mcp_redis_failed(reply);
    }

    return 1;
}


void
ngx_mcp_worker_lease_lost(void)
{
    if (!ngx_mcp_worker_lease_exists) {
        return;
    }

    ngx_log_debug0(NGX_LOG_DEBUG_CORE, ngx_cycle->log, 0,
                   "mcp worker lease: lost");

    ngx_mcp_worker_lease_exists = 0;
    ngx_mcp_worker_lease_set_lost();

    if (ngx_mcp_zone_log_once(&ngx_mcp_zone()->root->redis_empty_logged_at,
                              NGX_MCP_WORKER_LEASE_LOG_INTERVAL))
    {
        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "mcp sse: redis \"%V\" has lost its data, all sessions "
                      "are registered again",
                      &ngx_mcp_zone()->conf->redis->name);
    }

    ngx_mcp_worker_lease_renew();
    ngx_mcp_bus_restore();
}


static void
ngx_mcp_worker_lease_set_lost(void)
{
    ngx_mcp_zone()->root->redis_maybe_lost_at = ngx_current_msec;
}


ngx_uint_t
ngx_mcp_worker_lease_maybe_lost(void)
{
    return (ngx_msec_int_t) (ngx_current_msec
                             - ngx_mcp_zone()->root->redis_maybe_lost_at)
           < NGX_MCP_WORKER_LEASE_LOST_WINDOW_MS;
}


void
ngx_mcp_worker_lease_exit(void)
{
    ngx_mcp_worker_lease_delete_dead();

    (void) ngx_mcp_worker_lease_delete(ngx_mcp_workers_self()->id);
}


/*
 * Senders learn of the death of a worker before its lease expires.
 */

static void
ngx_mcp_worker_lease_delete_dead(void)
{
    u_char  *id;

    for ( ;; ) {
        id = ngx_mcp_workers_dead_id();

        if (id == NULL || ngx_mcp_worker_lease_delete(id) != NGX_OK) {
            return;
        }

        ngx_mcp_workers_dead_forget();
    }
}


static ngx_int_t
ngx_mcp_worker_lease_delete(u_char *id)
{
    u_char     buf[NGX_MCP_REDIS_MAX_KEY_LEN];
    ngx_str_t  argv[2];

    if (!ngx_mcp_redis_is_up()) {
        return NGX_DECLINED;
    }

    ngx_str_set(&argv[0], "DEL");
    ngx_mcp_redis_key(&argv[1], buf, 'k', id);

    return ngx_mcp_redis_command(ngx_mcp_worker_lease_ignore, NULL, 2, argv);
}


void
ngx_mcp_worker_lease_ignore(ngx_mcp_redis_conn_t *conn, redisReply *reply,
    void *data)
{
    (void) ngx_mcp_worker_lease_failed(reply);
}

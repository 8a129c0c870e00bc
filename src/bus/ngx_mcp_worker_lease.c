
/*
 * What this file knows is of this process, and lives as long as it.
 */

#include "ngx_mcp_worker_lease.h"
#include "ngx_mcp_bus.h"


#define NGX_MCP_WORKER_LEASE_LOST_WINDOW_MS       5000
#define NGX_MCP_WORKER_LEASE_LOG_INTERVAL         10
#define NGX_MCP_WORKER_LEASE_LOG_POLICY_INTERVAL  3600


static void ngx_mcp_worker_lease_touch(void);
static void ngx_mcp_worker_lease_touched(redisAsyncContext *ac, void *reply,
    void *data);
static void ngx_mcp_worker_lease_written(redisAsyncContext *ac, void *reply,
    void *data);
static void ngx_mcp_worker_lease_set_lost(void);
static void ngx_mcp_worker_lease_ask_policy(void);
static void ngx_mcp_worker_lease_policy(redisAsyncContext *ac, void *reply,
    void *data);
static void ngx_mcp_worker_lease_delete_dead(void);
static ngx_int_t ngx_mcp_worker_lease_delete(u_char *id);


static ngx_uint_t  ngx_mcp_worker_lease_known;


void
ngx_mcp_worker_lease_join(void)
{
    ngx_mcp_worker_lease_known = 0;

    ngx_mcp_worker_lease_touch();
}


/*
 * Unless another worker of this instance was there, what happened to the data
 * in between is not known, nor whether the others are back.
 */

void
ngx_mcp_worker_lease_up(void)
{
    ngx_mcp_workers_gauges_t  gauges;

    ngx_mcp_workers_gauges(&gauges);

    /* this worker is one of those that are ready */

    if (gauges.redis[NGX_MCP_REDIS_READY] == 1) {
        ngx_mcp_worker_lease_set_lost();
    }

    ngx_mcp_worker_lease_delete_dead();
    ngx_mcp_worker_lease_ask_policy();
}


/*
 * A Redis made for caches throws away keys that others need.
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
ngx_mcp_worker_lease_policy(redisAsyncContext *ac, void *reply, void *data)
{
    redisReply  *r = reply;

    /* who must not ask does not learn it, and need not */

    if (r == NULL
        || r->type != REDIS_REPLY_ARRAY
        || r->elements != 2
        || r->element[1]->type != REDIS_REPLY_STRING
        || ngx_strcmp(r->element[1]->str, "noeviction") == 0)
    {
        return;
    }

    if (ngx_mcp_zone_log_once(
                            &ngx_mcp_zone()->root->redis_policy_logged_at,
                            NGX_MCP_WORKER_LEASE_LOG_POLICY_INTERVAL))
    {
        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "mcp sse: redis \"%V\" has the maxmemory-policy \"%s\" "
                      "and may forget sessions, it should be \"noeviction\"",
                      &ngx_mcp_zone()->conf->redis->name,
                      r->element[1]->str);
    }
}


void
ngx_mcp_worker_lease_every_second(void)
{
    ngx_mcp_worker_lease_touch();
    ngx_mcp_worker_lease_delete_dead();
}


/*
 * GETEX and not SET: a Redis that has no memory left takes it, too.
 */

static void
ngx_mcp_worker_lease_touch(void)
{
    u_char     buf[NGX_MCP_REDIS_MAX_KEY_LEN];
    ngx_str_t  argv[4];

    ngx_str_set(&argv[0], "GETEX");
    ngx_mcp_redis_key(&argv[1], buf, 'k', ngx_mcp_workers_self()->id);
    ngx_str_set(&argv[2], "EX");
    ngx_str_set(&argv[3], "15");

    (void) ngx_mcp_redis_command(ngx_mcp_worker_lease_touched, NULL, 4, argv);
}


static void
ngx_mcp_worker_lease_touched(redisAsyncContext *ac, void *reply, void *data)
{
    u_char       buf[NGX_MCP_REDIS_MAX_KEY_LEN];
    ngx_str_t    argv[5];
    redisReply  *r = reply;

    if (ngx_mcp_worker_lease_failed(ac, r)) {
        return;
    }

    if (r->type == REDIS_REPLY_STRING) {
        ngx_mcp_worker_lease_known = 1;
        ngx_mcp_redis_joined();
        return;
    }

    if (ngx_mcp_worker_lease_known) {
        ngx_mcp_worker_lease_lost();
    }

    ngx_str_set(&argv[0], "SET");
    ngx_mcp_redis_key(&argv[1], buf, 'k', ngx_mcp_workers_self()->id);
    ngx_str_set(&argv[2], "1");
    ngx_str_set(&argv[3], "EX");
    ngx_str_set(&argv[4], "15");

    (void) ngx_mcp_redis_command(ngx_mcp_worker_lease_written, NULL, 5, argv);
}


static void
ngx_mcp_worker_lease_written(redisAsyncContext *ac, void *reply, void *data)
{
    redisReply  *r = reply;

    if (!ngx_mcp_worker_lease_failed(ac, r)) {
        ngx_mcp_worker_lease_known = 1;
        ngx_mcp_redis_joined();
        return;
    }

    /* one that has no memory left still carries messages */

    if (r && ngx_strncmp(r->str, "OOM", 3) == 0) {
        ngx_mcp_redis_joined();
    }
}


/*
 * No answer, or an error; of those that say that this is not our Redis the
 * connection is given up.
 */

ngx_uint_t
ngx_mcp_worker_lease_failed(redisAsyncContext *ac, redisReply *reply)
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
        ngx_mcp_redis_conn_fail(ac->data, reply->str);
    }

    return 1;
}


void
ngx_mcp_worker_lease_lost(void)
{
    if (!ngx_mcp_worker_lease_known) {
        return;
    }

    ngx_mcp_worker_lease_known = 0;
    ngx_mcp_worker_lease_set_lost();

    if (ngx_mcp_zone_log_once(
                              &ngx_mcp_zone()->root->redis_empty_logged_at,
                              NGX_MCP_WORKER_LEASE_LOG_INTERVAL))
    {
        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "mcp sse: redis \"%V\" has lost its data, all sessions "
                      "are registered again",
                      &ngx_mcp_zone()->conf->redis->name);
    }

    ngx_mcp_worker_lease_touch();
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
 * Without this the key would stay for 15 seconds.
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
ngx_mcp_worker_lease_ignore(redisAsyncContext *ac, void *reply, void *data)
{
    (void) ngx_mcp_worker_lease_failed(ac, reply);
}

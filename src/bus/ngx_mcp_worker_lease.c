
/*
 * What this file knows is of this process, and lives as long as it.
 */

#include "ngx_mcp_worker_lease.h"


#define NGX_HTTP_MCP_SSE_ALIVE_UNSURE      5000
#define NGX_HTTP_MCP_SSE_ALIVE_SAY_AGAIN   10
#define NGX_HTTP_MCP_SSE_ALIVE_SAY_POLICY  3600
#define NGX_HTTP_MCP_SSE_MAX_DEAD          16


static void ngx_http_mcp_sse_alive_touch(void);
static void ngx_http_mcp_sse_alive_touched(redisAsyncContext *ac, void *reply,
    void *data);
static void ngx_http_mcp_sse_alive_written(redisAsyncContext *ac, void *reply,
    void *data);
static void ngx_http_mcp_sse_alive_doubt(void);
static void ngx_http_mcp_sse_alive_ask_policy(void);
static void ngx_http_mcp_sse_alive_policy(redisAsyncContext *ac, void *reply,
    void *data);
static void ngx_http_mcp_sse_alive_bury(void);


static void      (*ngx_http_mcp_sse_alive_again)(void);

static ngx_uint_t  ngx_http_mcp_sse_alive_known;

static u_char      ngx_http_mcp_sse_alive_graves[NGX_HTTP_MCP_SSE_MAX_DEAD]
                                                [NGX_HTTP_MCP_SSE_WORKER_ID];
static ngx_uint_t  ngx_http_mcp_sse_alive_ngraves;


void
ngx_http_mcp_sse_alive_init(void (*again)(void))
{
    ngx_http_mcp_sse_alive_again = again;
}


void
ngx_http_mcp_sse_alive_join(void)
{
    ngx_http_mcp_sse_alive_known = 0;

    ngx_http_mcp_sse_alive_touch();
}


/*
 * Unless another worker of this instance was there, what happened to the data
 * in between is not known, nor whether the others are back.
 */

void
ngx_http_mcp_sse_alive_up(void)
{
    ngx_http_mcp_sse_gauges_t  gauges;

    ngx_http_mcp_sse_shm_gauges(&gauges);

    /* this worker is one of those that are ready */

    if (gauges.redis[NGX_HTTP_MCP_SSE_REDIS_READY] == 1) {
        ngx_http_mcp_sse_alive_doubt();
    }

    ngx_http_mcp_sse_alive_bury();
    ngx_http_mcp_sse_alive_ask_policy();
}


/*
 * A Redis made for caches throws away keys that others need.
 */

static void
ngx_http_mcp_sse_alive_ask_policy(void)
{
    ngx_str_t  argv[3];

    ngx_str_set(&argv[0], "CONFIG");
    ngx_str_set(&argv[1], "GET");
    ngx_str_set(&argv[2], "maxmemory-policy");

    (void) ngx_http_mcp_sse_redis_command(ngx_http_mcp_sse_alive_policy, NULL,
                                          3, argv);
}


static void
ngx_http_mcp_sse_alive_policy(redisAsyncContext *ac, void *reply, void *data)
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

    if (ngx_http_mcp_sse_zone_once(
                            &ngx_http_mcp_sse_zone()->root->redis_policy_said,
                            NGX_HTTP_MCP_SSE_ALIVE_SAY_POLICY))
    {
        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "mcp sse: redis \"%V\" has the maxmemory-policy \"%s\" "
                      "and may forget sessions, it should be \"noeviction\"",
                      &ngx_http_mcp_sse_zone()->conf->redis->name,
                      r->element[1]->str);
    }
}


void
ngx_http_mcp_sse_alive_second(void)
{
    ngx_http_mcp_sse_alive_touch();
    ngx_http_mcp_sse_alive_bury();
}


/*
 * GETEX and not SET: a Redis that has no memory left takes it, too.
 */

static void
ngx_http_mcp_sse_alive_touch(void)
{
    u_char     buf[NGX_HTTP_MCP_SSE_REDIS_MAX_KEY];
    ngx_str_t  argv[4];

    ngx_str_set(&argv[0], "GETEX");
    ngx_http_mcp_sse_redis_key(&argv[1], buf, 'k',
                               ngx_http_mcp_sse_shm_self()->id);
    ngx_str_set(&argv[2], "EX");
    ngx_str_set(&argv[3], "15");

    (void) ngx_http_mcp_sse_redis_command(ngx_http_mcp_sse_alive_touched,
                                          NULL, 4, argv);
}


static void
ngx_http_mcp_sse_alive_touched(redisAsyncContext *ac, void *reply,
    void *data)
{
    u_char      buf[NGX_HTTP_MCP_SSE_REDIS_MAX_KEY];
    ngx_str_t   argv[5];
    redisReply  *r = reply;

    if (ngx_http_mcp_sse_alive_failed(ac, r)) {
        return;
    }

    if (r->type == REDIS_REPLY_STRING) {
        ngx_http_mcp_sse_alive_known = 1;
        ngx_http_mcp_sse_redis_joined();
        return;
    }

    if (ngx_http_mcp_sse_alive_known) {
        ngx_http_mcp_sse_alive_lost();
    }

    ngx_str_set(&argv[0], "SET");
    ngx_http_mcp_sse_redis_key(&argv[1], buf, 'k',
                               ngx_http_mcp_sse_shm_self()->id);
    ngx_str_set(&argv[2], "1");
    ngx_str_set(&argv[3], "EX");
    ngx_str_set(&argv[4], "15");

    (void) ngx_http_mcp_sse_redis_command(ngx_http_mcp_sse_alive_written,
                                          NULL, 5, argv);
}


static void
ngx_http_mcp_sse_alive_written(redisAsyncContext *ac, void *reply,
    void *data)
{
    redisReply  *r = reply;

    if (!ngx_http_mcp_sse_alive_failed(ac, r)) {
        ngx_http_mcp_sse_alive_known = 1;
        ngx_http_mcp_sse_redis_joined();
        return;
    }

    /* one that has no memory left still carries messages */

    if (r && ngx_strncmp(r->str, "OOM", 3) == 0) {
        ngx_http_mcp_sse_redis_joined();
    }
}


/*
 * No answer, or an error; of those that say that this is not our Redis the
 * connection is given up.
 */

ngx_uint_t
ngx_http_mcp_sse_alive_failed(redisAsyncContext *ac, redisReply *reply)
{
    if (reply == NULL) {
        return 1;
    }

    if (reply->type != REDIS_REPLY_ERROR) {
        return 0;
    }

    if (ngx_strncmp(reply->str, "OOM", 3) == 0) {
        ngx_http_mcp_sse_redis_refused(reply);

    } else {
        ngx_http_mcp_sse_redis_conn_fail(ac->data, reply->str);
    }

    return 1;
}


void
ngx_http_mcp_sse_alive_lost(void)
{
    if (!ngx_http_mcp_sse_alive_known) {
        return;
    }

    ngx_http_mcp_sse_alive_known = 0;
    ngx_http_mcp_sse_alive_doubt();

    if (ngx_http_mcp_sse_zone_once(
                              &ngx_http_mcp_sse_zone()->root->redis_empty_said,
                              NGX_HTTP_MCP_SSE_ALIVE_SAY_AGAIN))
    {
        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "mcp sse: redis \"%V\" has lost its data, all sessions "
                      "are registered again",
                      &ngx_http_mcp_sse_zone()->conf->redis->name);
    }

    ngx_http_mcp_sse_alive_touch();
    ngx_http_mcp_sse_alive_again();
}


static void
ngx_http_mcp_sse_alive_doubt(void)
{
    ngx_http_mcp_sse_zone()->root->redis_doubt = ngx_current_msec;
}


ngx_uint_t
ngx_http_mcp_sse_alive_unsure(void)
{
    return (ngx_msec_int_t) (ngx_current_msec
                             - ngx_http_mcp_sse_zone()->root->redis_doubt)
           < NGX_HTTP_MCP_SSE_ALIVE_UNSURE;
}


/*
 * Its key would stay for 15 seconds.
 */

void
ngx_http_mcp_sse_alive_dead(u_char *id)
{
    if (ngx_http_mcp_sse_alive_ngraves == NGX_HTTP_MCP_SSE_MAX_DEAD) {
        return;
    }

    ngx_memcpy(ngx_http_mcp_sse_alive_graves[
                                       ngx_http_mcp_sse_alive_ngraves++],
               id, NGX_HTTP_MCP_SSE_WORKER_ID);

    ngx_http_mcp_sse_alive_bury();
}


static void
ngx_http_mcp_sse_alive_bury(void)
{
    u_char      buf[NGX_HTTP_MCP_SSE_REDIS_MAX_KEY];
    u_char     *id;
    ngx_str_t   argv[2];

    ngx_str_set(&argv[0], "DEL");

    while (ngx_http_mcp_sse_alive_ngraves
           && ngx_http_mcp_sse_redis_is_up())
    {

        id = ngx_http_mcp_sse_alive_graves[
                                       ngx_http_mcp_sse_alive_ngraves - 1];

        ngx_http_mcp_sse_redis_key(&argv[1], buf, 'k', id);

        if (ngx_http_mcp_sse_redis_command(ngx_http_mcp_sse_alive_ignore,
                                           NULL, 2, argv)
            != NGX_OK)
        {
            return;
        }

        ngx_http_mcp_sse_alive_ngraves--;
    }
}


void
ngx_http_mcp_sse_alive_ignore(redisAsyncContext *ac, void *reply, void *data)
{
    (void) ngx_http_mcp_sse_alive_failed(ac, reply);
}

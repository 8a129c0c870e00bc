
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * The master that a user works with: found, reached by all of its connections,
 * given up as a whole, and found again after a pause.
 *
 * A target is owned by its user and never freed, as are its connections.  Each
 * try to reach a master is a generation: its connections are opened together,
 * to one address, and when one ends, all are closed.
 */

#include "ngx_mcp_redis_target.h"
#include "ngx_mcp_redis_node.h"


/* the pause: doubles from the first to the second, +- 20% */

#define NGX_MCP_REDIS_TARGET_MIN_PAUSE_MS   50
#define NGX_MCP_REDIS_TARGET_MAX_PAUSE_MS   2000

/*
 * those who know the master are asked each second: from one attempt to the next
 */

#define NGX_MCP_REDIS_TARGET_ASK_PAUSE_MS   800

/* of a cluster that is down, and between its errors */

#define NGX_MCP_REDIS_TARGET_MAX_DOWN_MS    3000
#define NGX_MCP_REDIS_TARGET_DOWN_GAP_MS    2000


static void ngx_mcp_redis_target_start(void *data);
static void ngx_mcp_redis_target_found(ngx_mcp_redis_find_t *find,
    ngx_int_t rc);
static void ngx_mcp_redis_target_moved(ngx_mcp_redis_find_t *find);
static void ngx_mcp_redis_target_conn_ready(ngx_mcp_redis_conn_t *conn);
static ngx_uint_t ngx_mcp_redis_target_is_one(ngx_mcp_redis_target_t *target);
static void ngx_mcp_redis_target_conn_lost(ngx_mcp_redis_conn_t *conn);
static void ngx_mcp_redis_target_end(ngx_mcp_redis_target_t *target,
    const char *name, u_char *reason);
static ngx_msec_t ngx_mcp_redis_target_pause(ngx_mcp_redis_target_t *target);
static ngx_int_t ngx_mcp_redis_target_not_now(ngx_mcp_redis_target_t *target,
    redisReply *reply);
static void ngx_mcp_redis_target_go(ngx_mcp_redis_target_t *target,
    redisReply *reply);


void
ngx_mcp_redis_target_open(ngx_mcp_redis_target_t *target)
{
    ngx_mcp_redis_find_t  *find;

    find = &target->find;
    find->conf = target->conf;
    find->handler = ngx_mcp_redis_target_found;
    find->moved = ngx_mcp_redis_target_moved;
    find->data = target;

    target->timer.data = target;
    target->timer.handler = ngx_mcp_redis_target_start;

    ngx_mcp_timer_set(&target->timer, 0);
}


void
ngx_mcp_redis_target_close(ngx_mcp_redis_target_t *target)
{
    ngx_uint_t  i;

    target->is_ready = 0;

    ngx_mcp_timer_del(&target->timer);
    ngx_mcp_redis_find_cancel(&target->find);

    for (i = 0; i < target->nconns; i++) {
        ngx_mcp_redis_conn_close(target->conns[i]);
    }
}


static void
ngx_mcp_redis_target_start(void *data)
{
    ngx_mcp_redis_target_t  *target = data;

    target->generation++;
    target->started = ngx_current_msec;
    target->find.attempt = target->attempts;

    ngx_mcp_redis_find(&target->find);
}


static void
ngx_mcp_redis_target_found(ngx_mcp_redis_find_t *find, ngx_int_t rc)
{
    ngx_uint_t               i;
    ngx_mcp_redis_conn_t    *conn;
    ngx_mcp_redis_target_t  *target = find->data;

    if (rc != NGX_OK) {
        ngx_mcp_redis_target_end(target, "find", find->reason);
        return;
    }

    for (i = 0; i < target->nconns; i++) {
        conn = target->conns[i];

        conn->conf = target->conf;
        conn->data = target;
        conn->ready = ngx_mcp_redis_target_conn_ready;
        conn->lost = ngx_mcp_redis_target_conn_lost;

        ngx_mcp_redis_conn_open(conn, &find->address);
    }
}


static void
ngx_mcp_redis_target_moved(ngx_mcp_redis_find_t *find)
{
    ngx_mcp_redis_target_t  *target = find->data;

    target->attempts = 0;

    if (target->timer.set) {
        ngx_mcp_timer_set(&target->timer, 0);
        return;
    }

    ngx_mcp_redis_target_fail(target, "there is another master");
}


static void
ngx_mcp_redis_target_conn_ready(ngx_mcp_redis_conn_t *conn)
{
    ngx_uint_t               i;
    ngx_mcp_redis_target_t  *target = conn->data;

    for (i = 0; i < target->nconns; i++) {
        if (!ngx_mcp_redis_conn_is_ready(target->conns[i])) {
            return;
        }
    }

    if (!ngx_mcp_redis_target_is_one(target)) {
        ngx_mcp_redis_target_fail(target, "connections to different servers");
        return;
    }

    target->is_ready = 1;
    target->ready(target);
}


/*
 * Returns whether all connections are to the same server: behind one address
 * there may be several, or another one a moment later.
 */

static ngx_uint_t
ngx_mcp_redis_target_is_one(ngx_mcp_redis_target_t *target)
{
    uint64_t    master;
    ngx_uint_t  i;

    target->master = 0;

    for (i = 0; i < target->nconns; i++) {
        master = target->conns[i]->master;

        if (target->master && master && master != target->master) {
            return 0;
        }

        target->master = master ? master : target->master;
    }

    return 1;
}


static void
ngx_mcp_redis_target_conn_lost(ngx_mcp_redis_conn_t *conn)
{
    ngx_uint_t               i;
    ngx_mcp_redis_target_t  *target = conn->data;

    for (i = 0; i < target->nconns; i++) {
        ngx_mcp_redis_conn_close(target->conns[i]);
    }

    ngx_mcp_redis_target_end(target, conn->name, conn->reason);
}


/*
 * Ends a generation, whose connections are closed.
 */

static void
ngx_mcp_redis_target_end(ngx_mcp_redis_target_t *target, const char *name,
    u_char *reason)
{
    ngx_msec_t  pause;
    ngx_uint_t  was_ready;

    was_ready = target->is_ready;

    target->is_ready = 0;
    target->master = 0;

    (void) ngx_cpystrn(target->reason, reason, sizeof(target->reason));

    pause = ngx_mcp_redis_target_pause(target);

    target->attempts++;

    ngx_mcp_timer_set(&target->timer, pause);

    ngx_log_debug4(NGX_LOG_DEBUG_CORE, ngx_cycle->log, 0,
                   "mcp redis: %s failed: %s, attempt %ui, next in %M ms",
                   name, target->reason, target->attempts, pause);

    if (was_ready || target->attempts == 1) {
        target->lost(target);
    }
}


static ngx_msec_t
ngx_mcp_redis_target_pause(ngx_mcp_redis_target_t *target)
{
    ngx_msec_t  pause, longest, elapsed;

    longest = (target->conf->mode == NGX_MCP_REDIS_PLAIN)
              ? NGX_MCP_REDIS_TARGET_MAX_PAUSE_MS
              : NGX_MCP_REDIS_TARGET_ASK_PAUSE_MS;

    pause = NGX_MCP_REDIS_TARGET_MIN_PAUSE_MS << ngx_min(target->attempts, 6);
    pause = ngx_min(pause, longest);

    /* 20% more or less, so that workers do not connect at the same time */

    pause = pause * 4 / 5 + ngx_random() % (pause * 2 / 5);

    if (target->conf->mode == NGX_MCP_REDIS_PLAIN) {
        return pause;
    }

    /* a master that hangs is known as dead only to those who are asked */

    elapsed = ngx_current_msec - target->started;

    if (pause < elapsed + NGX_MCP_REDIS_TARGET_MIN_PAUSE_MS) {
        return NGX_MCP_REDIS_TARGET_MIN_PAUSE_MS;
    }

    return pause - elapsed;
}


void
ngx_mcp_redis_target_joined(ngx_mcp_redis_target_t *target)
{
    target->attempts = 0;
}


void
ngx_mcp_redis_target_fail(ngx_mcp_redis_target_t *target, const char *reason)
{
    ngx_mcp_redis_conn_fail(target->conns[0], reason);
}


ngx_int_t
ngx_mcp_redis_target_error(ngx_mcp_redis_target_t *target, redisReply *reply)
{
    ngx_uint_t   i;

    static const char  *const not_now[] = { "ASK ", "TRYAGAIN", "CLUSTERDOWN" };
    static const char  *const gone[] = { "MOVED ", "READONLY", "UNBLOCKED",
                                         "MASTERDOWN" };

    if (target->conf->mode == NGX_MCP_REDIS_CLUSTER) {

        for (i = 0; i < sizeof(not_now) / sizeof(not_now[0]); i++) {
            if (ngx_strncmp(reply->str, not_now[i], ngx_strlen(not_now[i]))
                == 0)
            {
                return ngx_mcp_redis_target_not_now(target, reply);
            }
        }
    }

    for (i = 0; i < sizeof(gone) / sizeof(gone[0]); i++) {
        if (ngx_strncmp(reply->str, gone[i], ngx_strlen(gone[i])) == 0) {
            ngx_mcp_redis_target_go(target, reply);
            ngx_mcp_redis_target_fail(target, reply->str);
            return NGX_DONE;
        }
    }

    return NGX_DECLINED;
}


/*
 * A node whose cluster stays down counts as lost.  The worker's lease is
 * renewed each second, so that errors which belong together are no further
 * apart than twice that.
 */

static ngx_int_t
ngx_mcp_redis_target_not_now(ngx_mcp_redis_target_t *target, redisReply *reply)
{
    ngx_msec_t  now;

    if (ngx_strncmp(reply->str, "CLUSTERDOWN", 11) != 0) {
        return NGX_AGAIN;
    }

    now = ngx_current_msec;

    if (target->down == 0
        || now - target->down_at > NGX_MCP_REDIS_TARGET_DOWN_GAP_MS)
    {
        target->down = 1;
        target->down_since = now;
    }

    target->down_at = now;

    if (now - target->down_since < NGX_MCP_REDIS_TARGET_MAX_DOWN_MS) {
        return NGX_AGAIN;
    }

    target->down = 0;
    ngx_mcp_redis_target_fail(target, reply->str);

    return NGX_DONE;
}


/*
 * Where MOVED says; without a host, another port of this one.
 */

static void
ngx_mcp_redis_target_go(ngx_mcp_redis_target_t *target, redisReply *reply)
{
    ngx_str_t             host;
    ngx_mcp_redis_node_t  node;

    if (ngx_mcp_redis_node_moved(&node, reply) != NGX_OK) {
        return;
    }

    host.data = node.len ? node.host : target->find.address.host;
    host.len = ngx_strlen(host.data);

    ngx_mcp_redis_find_at(&target->find, &host, node.port);
}

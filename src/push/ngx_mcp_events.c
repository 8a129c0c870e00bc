
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * The Redis that Frappe publishes to, as a worker sees it: the channel of
 * mcp_sse_events, commands for questions.
 *
 * This file owns both connections and their target, as redis/ngx_mcp_redis.c
 * does it for mcp_sse_redis.  The messages are not sealed: whoever may publish
 * there may speak for Frappe.
 */

#include "ngx_mcp_events.h"
#include "ngx_mcp_barrier.h"
#include "ngx_mcp_digest.h"
#include "ngx_mcp_redis_log.h"
#include "ngx_mcp_workers.h"


/* of probes, and of the handler "second" */

#define NGX_MCP_EVENTS_CHECK_INTERVAL_MS  1000

#define NGX_MCP_EVENTS_LOG_INTERVAL       10     /* seconds */

/* a channel, and ":" with the longest of what follows */

#define NGX_MCP_EVENTS_CHANNEL_LEN  (NGX_MCP_REDIS_MAX_PREFIX_LEN + 1         \
                                     + NGX_MCP_EVENTS_NAME_LEN)


static ngx_int_t ngx_mcp_events_channels(ngx_log_t *log);
static ngx_int_t ngx_mcp_events_publish(ngx_str_t *channel, ngx_str_t *bytes);
static void ngx_mcp_events_published_handler(ngx_mcp_redis_conn_t *conn,
    redisReply *reply, void *data);
static void ngx_mcp_events_ready(ngx_mcp_redis_target_t *target);
static void ngx_mcp_events_subscribed(ngx_mcp_redis_conn_t *conn,
    redisReply *reply, void *data);
static void ngx_mcp_events_lost(ngx_mcp_redis_target_t *target);
static void ngx_mcp_events_failed(redisReply *reply);
static void ngx_mcp_events_message(ngx_mcp_redis_conn_t *conn,
    ngx_str_t *channel, ngx_str_t *bytes);
static void ngx_mcp_events_to_user(void (*handler)(ngx_str_t *bytes),
    ngx_str_t *bytes);
static void ngx_mcp_events_too_large(ngx_str_t *bytes);
static void ngx_mcp_events_own(ngx_str_t *bytes);
static void ngx_mcp_events_back(uint64_t number);
static void ngx_mcp_events_probe(void);
static void ngx_mcp_events_timer_handler(void *data);
static const u_char *ngx_mcp_events_reason(void);
static void ngx_mcp_events_state(ngx_uint_t state);


static ngx_mcp_redis_target_t  ngx_mcp_events_target;
static ngx_mcp_redis_conn_t    ngx_mcp_events_cmd;
static ngx_mcp_redis_conn_t    ngx_mcp_events_sub;

static ngx_mcp_redis_log_t  ngx_mcp_events_log = {
    "mcp_sse_events: redis",
    "calls go on without what Frappe publishes", NULL, NULL
};

static ngx_mcp_events_user_t  *ngx_mcp_events_user;

static ngx_str_t  ngx_mcp_events_all;
static ngx_str_t  ngx_mcp_events_self;
static ngx_str_t  ngx_mcp_events_primary;
static u_char     ngx_mcp_events_self_data[NGX_MCP_EVENTS_CHANNEL_LEN];
static u_char     ngx_mcp_events_primary_data[NGX_MCP_EVENTS_CHANNEL_LEN];

static size_t           ngx_mcp_events_max_message;
static ngx_mcp_timer_t  ngx_mcp_events_timer;
static ngx_uint_t       ngx_mcp_events_shown;      /* NGX_MCP_REDIS_* */
static ngx_msec_t       ngx_mcp_events_down_since;

/* barriers: the first one since all channels are subscribed to; 0: none */

static uint64_t    ngx_mcp_events_first;
static ngx_uint_t  ngx_mcp_events_probe_sent;      /* and none came back */
static ngx_msec_t  ngx_mcp_events_probed_at;


ngx_int_t
ngx_mcp_events_init(ngx_mcp_events_user_t *user, ngx_log_t *log)
{
    ngx_mcp_zone_t          *zone;
    ngx_mcp_redis_target_t  *target;

    if (!ngx_mcp_events_used()) {
        return NGX_OK;
    }

    if (ngx_mcp_events_channels(log) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_mcp_barrier_init();

    zone = ngx_mcp_zone();
    target = &ngx_mcp_events_target;

    target->conf = &zone->conf->events->redis;

    ngx_mcp_events_user = user;
    ngx_mcp_events_max_message = zone->conf->max_message;
    ngx_mcp_events_down_since = ngx_current_msec;
    ngx_mcp_events_log.conf = target->conf;
    ngx_mcp_events_log.logged = &zone->root->events_logged;

    ngx_mcp_events_state(NGX_MCP_REDIS_NEVER);

    ngx_mcp_events_cmd.name = "mcp-sse-events";

    ngx_mcp_events_sub.name = "mcp-sse-events-sub";
    ngx_mcp_events_sub.message = ngx_mcp_events_message;

    target->conns[0] = &ngx_mcp_events_cmd;
    target->conns[1] = &ngx_mcp_events_sub;
    target->nconns = 2;
    target->ready = ngx_mcp_events_ready;
    target->lost = ngx_mcp_events_lost;

    ngx_mcp_redis_target_open(target);

    ngx_mcp_events_timer.handler = ngx_mcp_events_timer_handler;
    ngx_mcp_timer_set(&ngx_mcp_events_timer, NGX_MCP_EVENTS_CHECK_INTERVAL_MS);

    return NGX_OK;
}


/*
 * Sets the names of the channels.
 */

static ngx_int_t
ngx_mcp_events_channels(ngx_log_t *log)
{
    u_char     *p, random[NGX_MCP_EVENTS_NAME_LEN * 3 / 4];
    ngx_str_t   name, bytes, *all;

    bytes.len = sizeof(random);
    bytes.data = random;

    if (ngx_mcp_random(random, sizeof(random)) != NGX_OK) {
        ngx_log_error(NGX_LOG_EMERG, log, 0,
                      "mcp sse: no random bytes for the name of a channel");
        return NGX_ERROR;
    }

    all = &ngx_mcp_events_all;
    *all = ngx_mcp_zone()->conf->events->channel;

    p = ngx_cpymem(ngx_mcp_events_self_data, all->data, all->len);
    *p++ = ':';

    name.data = p;
    ngx_encode_base64url(&name, &bytes);

    ngx_mcp_events_self.data = ngx_mcp_events_self_data;
    ngx_mcp_events_self.len = all->len + 1 + name.len;

    p = ngx_cpymem(ngx_mcp_events_primary_data, all->data, all->len);
    p = ngx_cpymem(p, ":primary", sizeof(":primary") - 1);

    ngx_mcp_events_primary.data = ngx_mcp_events_primary_data;
    ngx_mcp_events_primary.len = p - ngx_mcp_events_primary_data;

    return NGX_OK;
}


void
ngx_mcp_events_exit(void)
{
    if (ngx_mcp_events_user) {
        ngx_mcp_events_shown = NGX_MCP_REDIS_LOST;
        ngx_mcp_redis_target_close(&ngx_mcp_events_target);
    }
}


ngx_uint_t
ngx_mcp_events_used(void)
{
    return ngx_mcp_zone()->conf->events != NULL;
}


ngx_uint_t
ngx_mcp_events_is_up(void)
{
    return ngx_mcp_events_shown == NGX_MCP_REDIS_READY;
}


u_char *
ngx_mcp_events_name(void)
{
    return ngx_mcp_events_self_data + ngx_mcp_events_all.len + 1;
}


ngx_int_t
ngx_mcp_events_command(ngx_mcp_redis_reply_pt handler, void *data,
    ngx_uint_t argc, ngx_str_t *argv)
{
    return ngx_mcp_redis_conn_command(&ngx_mcp_events_cmd, handler, data, argc,
                                      argv);
}


void
ngx_mcp_events_refused(redisReply *reply)
{
    if (reply->type == REDIS_REPLY_ERROR
        && ngx_mcp_redis_target_error(&ngx_mcp_events_target, reply)
           != NGX_DONE)
    {
        ngx_mcp_redis_log_refused(&ngx_mcp_events_log, reply->str);
    }
}


ngx_int_t
ngx_mcp_events_claim(ngx_str_t *bytes)
{
    return ngx_mcp_events_publish(&ngx_mcp_events_primary, bytes);
}


ngx_int_t
ngx_mcp_events_to_self(ngx_str_t *bytes)
{
    return ngx_mcp_events_publish(&ngx_mcp_events_self, bytes);
}


static ngx_int_t
ngx_mcp_events_publish(ngx_str_t *channel, ngx_str_t *bytes)
{
    ngx_str_t  argv[3];

    ngx_str_set(&argv[0], "PUBLISH");
    argv[1] = *channel;
    argv[2] = *bytes;

    return ngx_mcp_events_command(ngx_mcp_events_published_handler, NULL, 3,
                                  argv);
}


static void
ngx_mcp_events_published_handler(ngx_mcp_redis_conn_t *conn, redisReply *reply,
    void *data)
{
    if (reply && reply->type == REDIS_REPLY_ERROR) {
        ngx_mcp_events_failed(reply);
    }
}


static void
ngx_mcp_events_ready(ngx_mcp_redis_target_t *target)
{
    ngx_str_t  channels[3];

    /* for each connection */

    ngx_mcp_count(NGX_MCP_COUNT_EVENTS_CONNECTS);
    ngx_mcp_count(NGX_MCP_COUNT_EVENTS_CONNECTS);

    ngx_mcp_events_first = 0;
    ngx_mcp_events_probe_sent = 0;

    channels[0] = ngx_mcp_events_all;
    channels[1] = ngx_mcp_events_self;
    channels[2] = ngx_mcp_events_primary;

    if (ngx_mcp_redis_conn_subscribe(&ngx_mcp_events_sub, "SUBSCRIBE",
                                     ngx_mcp_events_subscribed, NULL, 3,
                                     channels)
        != NGX_OK)
    {
        ngx_mcp_redis_target_fail(target, "no memory");
    }
}


static void
ngx_mcp_events_subscribed(ngx_mcp_redis_conn_t *conn, redisReply *reply,
    void *data)
{
    if (reply == NULL) {
        return;
    }

    if (reply->type == REDIS_REPLY_ERROR) {
        ngx_mcp_events_failed(reply);

        /* "not now" ends it, too: nobody would subscribe again */

        ngx_mcp_redis_target_fail(&ngx_mcp_events_target, reply->str);
        return;
    }

    ngx_mcp_events_probe();
}


static void
ngx_mcp_events_lost(ngx_mcp_redis_target_t *target)
{
    ngx_uint_t  was_up;

    was_up = ngx_mcp_events_is_up();

    if (was_up) {
        ngx_mcp_events_down_since = ngx_current_msec;
        ngx_mcp_events_state(NGX_MCP_REDIS_LOST);

        ngx_mcp_count(NGX_MCP_COUNT_EVENTS_LOST);
    }

    ngx_mcp_redis_log_lost(&ngx_mcp_events_log, target->reason);

    if (was_up) {
        ngx_mcp_barrier_lost();

        if (ngx_mcp_events_user->lost) {
            ngx_mcp_events_user->lost();
        }
    }
}


/*
 * An error that shows that this Redis cannot be used.
 */

static void
ngx_mcp_events_failed(redisReply *reply)
{
    ngx_int_t  rc;

    rc = ngx_mcp_redis_target_error(&ngx_mcp_events_target, reply);

    if (rc == NGX_AGAIN) {
        ngx_mcp_redis_log_refused(&ngx_mcp_events_log, reply->str);

    } else if (rc == NGX_DECLINED) {
        ngx_mcp_redis_target_fail(&ngx_mcp_events_target, reply->str);
    }
}


static void
ngx_mcp_events_message(ngx_mcp_redis_conn_t *conn, ngx_str_t *channel,
    ngx_str_t *bytes)
{
    if (bytes->len > ngx_mcp_events_max_message) {
        ngx_mcp_events_too_large(bytes);
        return;
    }

    if (channel->len == ngx_mcp_events_all.len) {
        ngx_mcp_events_to_user(ngx_mcp_events_user->published, bytes);

    } else if (channel->len == ngx_mcp_events_self.len) {
        ngx_mcp_events_own(bytes);

    } else if (channel->len == ngx_mcp_events_primary.len) {
        ngx_mcp_events_to_user(ngx_mcp_events_user->claimed, bytes);
    }
}


static void
ngx_mcp_events_to_user(void (*handler)(ngx_str_t *bytes), ngx_str_t *bytes)
{
    if (handler) {
        handler(bytes);
    }
}


static void
ngx_mcp_events_too_large(ngx_str_t *bytes)
{
    ngx_mcp_zone_root_t  *root;

    root = ngx_mcp_zone()->root;

    ngx_mcp_count(NGX_MCP_COUNT_EVENTS_TOO_LARGE);

    if (ngx_mcp_zone_log_once(&root->events_dropped_logged_at,
                              NGX_MCP_EVENTS_LOG_INTERVAL))
    {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "mcp sse: what Frappe has published is dropped: it has "
                      "%uz bytes, more than \"mcp_sse_max_message\"",
                      bytes->len);
    }
}


/*
 * A message on the channel of this worker.
 */

static void
ngx_mcp_events_own(ngx_str_t *bytes)
{
    uint64_t  number;

    if (bytes->len && bytes->data[0] == 'a') {
        ngx_mcp_events_to_user(ngx_mcp_events_user->answered, bytes);
        return;
    }

    if (bytes->len && bytes->data[0] == 'b') {
        number = ngx_mcp_barrier_back(bytes);

        if (number) {
            ngx_mcp_events_back(number);
            return;
        }
    }

    ngx_mcp_count(NGX_MCP_COUNT_EVENTS_MALFORMED);
}


static void
ngx_mcp_events_back(uint64_t number)
{
    /* what was published to the server before this one is no probe of it */

    if (ngx_mcp_events_first == 0 || number < ngx_mcp_events_first) {
        return;
    }

    ngx_mcp_events_probe_sent = 0;

    if (ngx_mcp_events_is_up()) {
        return;
    }

    ngx_mcp_events_state(NGX_MCP_REDIS_READY);

    ngx_mcp_redis_target_joined(&ngx_mcp_events_target);

    ngx_mcp_redis_log_ready(&ngx_mcp_events_log);
    ngx_mcp_redis_log_master(&ngx_mcp_events_log, &ngx_mcp_events_target);

    if (ngx_mcp_events_user->up) {
        ngx_mcp_events_user->up();
    }
}


/*
 * Publishes a barrier to this worker.  The time-out counts from the first one
 * that has not come back.
 */

static void
ngx_mcp_events_probe(void)
{
    uint64_t  number;

    number = ngx_mcp_barrier_send();

    if (number == 0) {
        return;
    }

    if (ngx_mcp_events_first == 0) {
        ngx_mcp_events_first = number;
    }

    if (!ngx_mcp_events_probe_sent) {
        ngx_mcp_events_probe_sent = 1;
        ngx_mcp_events_probed_at = ngx_current_msec;
    }
}


static void
ngx_mcp_events_timer_handler(void *data)
{
    ngx_mcp_timer_set(&ngx_mcp_events_timer, NGX_MCP_EVENTS_CHECK_INTERVAL_MS);

    /* twice: the probe takes one time-out on each connection */

    if (ngx_mcp_events_probe_sent
        && ngx_mcp_events_target.is_ready
        && ngx_current_msec - ngx_mcp_events_probed_at
           > 2 * ngx_mcp_events_target.conf->timeout)
    {
        ngx_mcp_events_probe_sent = 0;
        ngx_mcp_redis_target_fail(&ngx_mcp_events_target,
                                  "published messages do not come back");
    }

    if (!ngx_mcp_events_is_up()
        && ngx_current_msec - ngx_mcp_events_down_since
           > 2 * NGX_MCP_EVENTS_CHECK_INTERVAL_MS)
    {
        ngx_mcp_redis_log_lost(&ngx_mcp_events_log, ngx_mcp_events_reason());
    }

    if (ngx_mcp_events_first) {
        ngx_mcp_events_probe();
    }

    /* the record may have come, or its place may be another one */

    ngx_mcp_events_state(ngx_mcp_events_shown);

    if (ngx_mcp_events_user->second) {
        ngx_mcp_events_user->second();
    }
}


static const u_char *
ngx_mcp_events_reason(void)
{
    return ngx_mcp_events_target.attempts ? ngx_mcp_events_target.reason
                                          : (u_char *) "it does not answer";
}


/*
 * Sets the state, and shows it in the record of this worker, if there is one.
 */

static void
ngx_mcp_events_state(ngx_uint_t state)
{
    ngx_mcp_worker_t  *self;

    ngx_mcp_events_shown = state;

    self = ngx_mcp_workers_self();

    if (self) {
        self->events = state;
    }
}

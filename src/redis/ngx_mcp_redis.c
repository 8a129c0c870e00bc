
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Redis client of a worker: command and subscriber connection, clock, probe.
 *
 * There are two connections, since one that has subscribed takes no commands:
 * "cmd", and "sub" for the channels of this worker and of all workers.  This
 * file owns both and their target, which connects both again if one is lost.
 * The "data" of a command is a number or a static object, never a request,
 * which may be gone before the reply comes.
 *
 * Once a second the worker publishes a probe to itself.  It comes back only if
 * both connections work.  Every 10 seconds it asks for the time of Redis, by
 * which messages expire for all instances alike.
 */

#include "ngx_mcp_redis.h"
#include "ngx_mcp_redis_log.h"


/* of probes, and of the bus's handler "second" */

#define NGX_MCP_REDIS_CHECK_INTERVAL_MS  1000

/* Linux slews a clock by 500 ppm at most, adjtimex(2): two drift by 10 ms */

#define NGX_MCP_REDIS_CLOCK_INTERVAL_MS  10000

/*
 * The error of the clock is at most half of the round trip of TIME.  Two
 * workers differ by twice that: NGX_MCP_REMOTE_GUARD_MS is larger.
 */

#define NGX_MCP_REDIS_MAX_ROUND_TRIP_MS  100


static ngx_int_t ngx_mcp_redis_publish_to(ngx_str_t *argv,
    ngx_mcp_redis_reply_pt handler, void *data);
static ngx_uint_t ngx_mcp_redis_is_sharded(void);
static void ngx_mcp_redis_ready(ngx_mcp_redis_target_t *target);
static void ngx_mcp_redis_subscribe(void);
static void ngx_mcp_redis_subscribed(ngx_mcp_redis_conn_t *conn,
    redisReply *reply, void *data);
static void ngx_mcp_redis_lost(ngx_mcp_redis_target_t *target);
static void ngx_mcp_redis_message_handler(ngx_mcp_redis_conn_t *conn,
    ngx_str_t *channel, ngx_str_t *bytes);
static void ngx_mcp_redis_probe(void);
static void ngx_mcp_redis_probe_handler(ngx_mcp_redis_conn_t *conn,
    redisReply *reply, void *data);
static void ngx_mcp_redis_request_time(void);
static void ngx_mcp_redis_time_handler(ngx_mcp_redis_conn_t *conn,
    redisReply *reply, void *data);
static void ngx_mcp_redis_check_join(void);
static void ngx_mcp_redis_timer_handler(void *data);
static const u_char *ngx_mcp_redis_reason(void);


static ngx_mcp_redis_target_t  ngx_mcp_redis_target;
static ngx_mcp_redis_conn_t    ngx_mcp_redis_cmd;
static ngx_mcp_redis_conn_t    ngx_mcp_redis_sub;

static ngx_mcp_redis_conf_t  *ngx_mcp_redis_conf;
static ngx_mcp_redis_user_t  *ngx_mcp_redis_handlers;
static ngx_mcp_worker_t      *ngx_mcp_redis_self;

static ngx_mcp_redis_log_t  ngx_mcp_redis_log = {
    "redis",
    "sessions of this instance go on, messages for sessions of other "
    "instances are answered 503 until it is back", NULL, NULL
};

static ngx_mcp_timer_t  ngx_mcp_redis_timer;
static ngx_uint_t       ngx_mcp_redis_up;
static ngx_msec_t       ngx_mcp_redis_down_since;

static ngx_msec_t  ngx_mcp_redis_probed_at;
static ngx_uint_t  ngx_mcp_redis_probe_sent;       /* and not received yet */
static ngx_uint_t  ngx_mcp_redis_probed;   /* since "sub" is ready */

static int64_t     ngx_mcp_redis_clock_offset;     /* to ngx_current_msec */
static ngx_msec_t  ngx_mcp_redis_clock_at;
static ngx_uint_t  ngx_mcp_redis_has_clock;


ngx_int_t
ngx_mcp_redis_init(ngx_mcp_worker_t *self, ngx_mcp_redis_user_t *user,
    ngx_log_t *log)
{
    ngx_mcp_zone_t          *zone;
    ngx_mcp_redis_target_t  *target;

    zone = ngx_mcp_zone();

    if (ngx_mcp_packet_init(self->id, zone->secrets, log) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_mcp_redis_conf = zone->conf->redis;
    ngx_mcp_redis_handlers = user;
    ngx_mcp_redis_self = self;
    ngx_mcp_redis_down_since = ngx_current_msec;

    ngx_mcp_redis_log.conf = ngx_mcp_redis_conf;
    ngx_mcp_redis_log.logged = &zone->root->redis_logged;

    self->redis = NGX_MCP_REDIS_NEVER;

    ngx_mcp_redis_cmd.name = "mcp-sse-cmd";

    ngx_mcp_redis_sub.name = "mcp-sse-sub";
    ngx_mcp_redis_sub.message = ngx_mcp_redis_message_handler;

    target = &ngx_mcp_redis_target;
    target->conf = ngx_mcp_redis_conf;
    target->conns[0] = &ngx_mcp_redis_cmd;
    target->conns[1] = &ngx_mcp_redis_sub;
    target->nconns = 2;
    target->ready = ngx_mcp_redis_ready;
    target->lost = ngx_mcp_redis_lost;

    ngx_mcp_redis_target_open(target);

    ngx_mcp_redis_timer.handler = ngx_mcp_redis_timer_handler;
    ngx_mcp_timer_set(&ngx_mcp_redis_timer, NGX_MCP_REDIS_CHECK_INTERVAL_MS);

    return NGX_OK;
}


void
ngx_mcp_redis_exit(void)
{
    if (ngx_mcp_redis_conf) {
        ngx_mcp_redis_up = 0;
        ngx_mcp_redis_target_close(&ngx_mcp_redis_target);
    }
}


ngx_uint_t
ngx_mcp_redis_used(void)
{
    return ngx_mcp_redis_conf != NULL;
}


ngx_uint_t
ngx_mcp_redis_is_up(void)
{
    return ngx_mcp_redis_up;
}


ngx_msec_t
ngx_mcp_redis_down(void)
{
    return ngx_mcp_redis_up ? 0 : ngx_current_msec - ngx_mcp_redis_down_since;
}


int64_t
ngx_mcp_redis_now(void)
{
    /* a cached time could let an expired message start */

    ngx_time_update();

    return (int64_t) ngx_current_msec + ngx_mcp_redis_clock_offset;
}


uint64_t
ngx_mcp_redis_master(void)
{
    return ngx_mcp_redis_has_clock ? ngx_mcp_redis_target.master : 0;
}


ngx_int_t
ngx_mcp_redis_command(ngx_mcp_redis_reply_pt handler, void *data,
    ngx_uint_t argc, ngx_str_t *argv)
{
    return ngx_mcp_redis_conn_command(&ngx_mcp_redis_cmd,
                                      handler, data, argc, argv);
}


ngx_int_t
ngx_mcp_redis_publish(u_char *id, ngx_str_t *bytes,
    ngx_mcp_redis_reply_pt handler, void *data)
{
    u_char     buf[NGX_MCP_REDIS_MAX_KEY_LEN];
    ngx_str_t  argv[3];

    ngx_mcp_redis_key(&argv[1], buf, 'w', id);
    argv[2] = *bytes;

    return ngx_mcp_redis_publish_to(argv, handler, data);
}


ngx_int_t
ngx_mcp_redis_publish_all(ngx_str_t *bytes, ngx_mcp_redis_reply_pt handler,
    void *data)
{
    u_char     buf[NGX_MCP_REDIS_MAX_KEY_LEN];
    ngx_str_t  argv[3];

    ngx_mcp_redis_word(&argv[1], buf, "all");
    argv[2] = *bytes;

    return ngx_mcp_redis_publish_to(argv, handler, data);
}


/*
 * Publishes argv[2] to the channel argv[1].
 */

static ngx_int_t
ngx_mcp_redis_publish_to(ngx_str_t *argv, ngx_mcp_redis_reply_pt handler,
    void *data)
{
    if (ngx_mcp_redis_is_sharded()) {
        ngx_str_set(&argv[0], "SPUBLISH");

    } else {
        ngx_str_set(&argv[0], "PUBLISH");
    }

    return ngx_mcp_redis_command(handler, data, 3, argv);
}


/*
 * Returns whether channels belong to their slot.  Otherwise a cluster passes
 * each message to all of its nodes.
 */

static ngx_uint_t
ngx_mcp_redis_is_sharded(void)
{
    return ngx_mcp_redis_conf->mode == NGX_MCP_REDIS_CLUSTER
           && ngx_mcp_redis_cmd.version >= 7;
}


void
ngx_mcp_redis_send(ngx_mcp_packet_t *packet, ngx_uint_t type, u_char *id,
    ngx_mcp_redis_reply_pt handler)
{
    ngx_str_t  bytes;

    if (ngx_mcp_packet_seal(packet, type, id) == NGX_OK) {
        bytes.len = packet->size;
        bytes.data = packet->data;

        (void) ngx_mcp_redis_publish(id, &bytes, handler, NULL);
    }

    ngx_free(packet);
}


static void
ngx_mcp_redis_ready(ngx_mcp_redis_target_t *target)
{
    /* for each connection */

    ngx_mcp_count(NGX_MCP_COUNT_REDIS_CONNECTS);
    ngx_mcp_count(NGX_MCP_COUNT_REDIS_CONNECTS);

    ngx_mcp_redis_has_clock = 0;
    ngx_mcp_redis_request_time();

    ngx_mcp_redis_probed = 0;
    ngx_mcp_redis_probe_sent = 0;
    ngx_mcp_redis_subscribe();
}


static void
ngx_mcp_redis_subscribe(void)
{
    u_char       own[NGX_MCP_REDIS_MAX_KEY_LEN];
    u_char       all[NGX_MCP_REDIS_MAX_KEY_LEN];
    ngx_str_t    channels[2];
    const char  *command;

    command = ngx_mcp_redis_is_sharded() ? "SSUBSCRIBE" : "SUBSCRIBE";

    ngx_mcp_redis_word(&channels[0], all, "all");
    ngx_mcp_redis_key(&channels[1], own, 'w', ngx_mcp_redis_self->id);

    if (ngx_mcp_redis_conn_subscribe(&ngx_mcp_redis_sub, command,
                                     ngx_mcp_redis_subscribed, NULL, 2,
                                     channels)
        != NGX_OK)
    {
        ngx_mcp_redis_target_fail(&ngx_mcp_redis_target, "no memory");
    }
}


static void
ngx_mcp_redis_subscribed(ngx_mcp_redis_conn_t *conn, redisReply *reply,
    void *data)
{
    if (reply == NULL) {
        return;
    }

    if (reply->type == REDIS_REPLY_ERROR) {
        ngx_mcp_redis_failed(reply);

        /* "not now" ends it, too: nobody would subscribe again */

        ngx_mcp_redis_target_fail(&ngx_mcp_redis_target, reply->str);
        return;
    }

    ngx_mcp_redis_probe();
}


static void
ngx_mcp_redis_lost(ngx_mcp_redis_target_t *target)
{
    ngx_mcp_redis_probed = 0;
    ngx_mcp_redis_has_clock = 0;

    if (ngx_mcp_redis_up) {
        ngx_mcp_redis_up = 0;
        ngx_mcp_redis_down_since = ngx_current_msec;
        ngx_mcp_redis_self->redis = NGX_MCP_REDIS_LOST;

        ngx_mcp_count(NGX_MCP_COUNT_REDIS_LOST);
    }

    ngx_mcp_redis_log_lost(&ngx_mcp_redis_log, target->reason);
}


static void
ngx_mcp_redis_message_handler(ngx_mcp_redis_conn_t *conn, ngx_str_t *channel,
    ngx_str_t *bytes)
{
    ngx_uint_t                 which;
    ngx_mcp_packet_received_t  received;

    switch (ngx_mcp_packet_open(&received, bytes, ngx_cycle->log)) {

    case NGX_OK:

        ngx_log_debug3(NGX_LOG_DEBUG_CORE, ngx_cycle->log, 0,
                       "mcp redis: packet %uL of type %ui received, bytes %uz",
                       received.number, received.type, bytes->len);

        /* without the time of Redis, the packet may have expired */

        if (ngx_mcp_redis_has_clock) {
            ngx_mcp_redis_handlers->packet(&received);
        }

        return;

    case NGX_DONE:
        ngx_mcp_redis_probe_sent = 0;
        ngx_mcp_redis_probed = 1;
        ngx_mcp_redis_check_join();
        return;

    case NGX_DECLINED:
        which = NGX_MCP_COUNT_REDIS_FORGED;
        break;

    case NGX_ABORT:
        which = NGX_MCP_COUNT_REDIS_MALFORMED;
        break;

    default: /* NGX_ERROR, no memory: the sender sends it again */
        return;
    }

    ngx_mcp_count(which);
    ngx_mcp_redis_log_forged(&ngx_mcp_redis_log);
}


/*
 * Publishes a probe to this worker.  The time-out counts from the first one
 * that has not come back.
 */

static void
ngx_mcp_redis_probe(void)
{
    u_char     data[NGX_MCP_PACKET_HEADER_LEN];
    ngx_str_t  bytes;

    bytes.len = sizeof(data);
    bytes.data = data;

    ngx_mcp_packet_probe(data);

    if (ngx_mcp_redis_publish(ngx_mcp_redis_self->id, &bytes,
                              ngx_mcp_redis_probe_handler, NULL)
        == NGX_OK
        && !ngx_mcp_redis_probe_sent)
    {
        ngx_mcp_redis_probe_sent = 1;
        ngx_mcp_redis_probed_at = ngx_current_msec;
    }
}


static void
ngx_mcp_redis_probe_handler(ngx_mcp_redis_conn_t *conn, redisReply *reply,
    void *data)
{
    if (reply && reply->type == REDIS_REPLY_ERROR) {
        ngx_mcp_redis_failed(reply);
    }
}


static void
ngx_mcp_redis_request_time(void)
{
    ngx_str_t  argv[1];

    ngx_str_set(&argv[0], "TIME");

    /* "data" is the time of this request: several may be on their way */

    (void) ngx_mcp_redis_command(ngx_mcp_redis_time_handler,
                                 (void *) (uintptr_t) ngx_current_msec, 1,
                                 argv);
}


static void
ngx_mcp_redis_time_handler(ngx_mcp_redis_conn_t *conn, redisReply *reply,
    void *data)
{
    int64_t     now;
    ngx_msec_t  trip;

    if (reply == NULL) {
        return;
    }

    if (reply->type == REDIS_REPLY_ERROR) {
        ngx_mcp_redis_failed(reply);
        return;
    }

    if (ngx_mcp_redis_time(&now, reply) != NGX_OK) {
        ngx_mcp_redis_conn_fail(conn, "invalid reply to TIME");
        return;
    }

    /* inexact: TIME is sent again within a second */

    ngx_time_update();

    trip = ngx_current_msec - (ngx_msec_t) (uintptr_t) data;

    if (trip > NGX_MCP_REDIS_MAX_ROUND_TRIP_MS) {
        return;
    }

    ngx_mcp_redis_clock_offset = now - (int64_t) (ngx_current_msec - trip / 2);
    ngx_mcp_redis_clock_at = ngx_current_msec;
    ngx_mcp_redis_has_clock = 1;

    ngx_log_debug2(NGX_LOG_DEBUG_CORE, ngx_cycle->log, 0,
                   "mcp redis: clock offset %L ms, round trip %M ms",
                   ngx_mcp_redis_clock_offset, trip);

    ngx_mcp_redis_check_join();
}


static void
ngx_mcp_redis_check_join(void)
{
    if (!ngx_mcp_redis_up && ngx_mcp_redis_probed && ngx_mcp_redis_has_clock) {
        ngx_mcp_redis_handlers->join();
    }
}


void
ngx_mcp_redis_joined(void)
{
    if (ngx_mcp_redis_up || !ngx_mcp_redis_probed || !ngx_mcp_redis_has_clock) {
        return;
    }

    ngx_mcp_redis_up = 1;
    ngx_mcp_zone()->root->redis_reached = 1;
    ngx_mcp_redis_self->redis = NGX_MCP_REDIS_READY;

    ngx_mcp_redis_target_joined(&ngx_mcp_redis_target);

    ngx_mcp_redis_log_ready(&ngx_mcp_redis_log);
    ngx_mcp_redis_log_master(&ngx_mcp_redis_log, &ngx_mcp_redis_target);

    ngx_mcp_redis_handlers->up();
}


void
ngx_mcp_redis_refused(redisReply *reply)
{
    if (reply->type == REDIS_REPLY_ERROR
        && ngx_mcp_redis_target_error(&ngx_mcp_redis_target, reply)
           != NGX_DONE)
    {
        ngx_mcp_redis_log_refused(&ngx_mcp_redis_log, reply->str);
    }
}


void
ngx_mcp_redis_ignore(ngx_mcp_redis_conn_t *conn, redisReply *reply, void *data)
{
    if (reply) {
        ngx_mcp_redis_refused(reply);
    }
}


void
ngx_mcp_redis_failed(redisReply *reply)
{
    ngx_int_t  rc;

    rc = ngx_mcp_redis_target_error(&ngx_mcp_redis_target, reply);

    if (rc == NGX_AGAIN) {
        ngx_mcp_redis_log_refused(&ngx_mcp_redis_log, reply->str);

    } else if (rc == NGX_DECLINED) {
        ngx_mcp_redis_target_fail(&ngx_mcp_redis_target, reply->str);
    }
}


static const u_char *
ngx_mcp_redis_reason(void)
{
    if (ngx_mcp_redis_target.is_ready) {
        return (u_char *) "it takes more than 100 ms to answer";
    }

    return ngx_mcp_redis_target.attempts ? ngx_mcp_redis_target.reason
                                         : (u_char *) "it does not answer";
}


static void
ngx_mcp_redis_timer_handler(void *data)
{
    ngx_mcp_timer_set(&ngx_mcp_redis_timer, NGX_MCP_REDIS_CHECK_INTERVAL_MS);

    /* twice: the probe takes one time-out on each connection */

    if (ngx_mcp_redis_probe_sent
        && ngx_mcp_redis_target.is_ready
        && ngx_current_msec - ngx_mcp_redis_probed_at
           > 2 * ngx_mcp_redis_conf->timeout)
    {
        ngx_mcp_redis_probe_sent = 0;
        ngx_mcp_redis_target_fail(&ngx_mcp_redis_target,
                                  "published messages do not come back");
    }

    if (ngx_mcp_redis_down() > 2 * NGX_MCP_REDIS_CHECK_INTERVAL_MS) {
        ngx_mcp_redis_log_lost(&ngx_mcp_redis_log, ngx_mcp_redis_reason());
    }

    ngx_mcp_redis_probe();

    if (!ngx_mcp_redis_has_clock
        || ngx_current_msec - ngx_mcp_redis_clock_at
           >= NGX_MCP_REDIS_CLOCK_INTERVAL_MS)
    {
        ngx_mcp_redis_request_time();
    }

    if (ngx_mcp_redis_up) {
        ngx_mcp_redis_handlers->second();

    } else {
        ngx_mcp_redis_check_join();
    }
}


/*
 * The connections are this file's, and live as long as the process.  Whoever
 * waits for a reply is known by what was given as "data", never by a pointer
 * to a request.
 */

#include "ngx_mcp_redis.h"


#define NGX_MCP_REDIS_CHECK_INTERVAL_MS  1000
#define NGX_MCP_REDIS_CLOCK_INTERVAL_MS  10000
#define NGX_MCP_REDIS_MAX_ROUND_TRIP_MS  100
#define NGX_MCP_REDIS_LOG_INTERVAL       10


static void ngx_mcp_redis_cmd_ready(ngx_mcp_redis_conn_t *conn);
static void ngx_mcp_redis_sub_ready(ngx_mcp_redis_conn_t *conn);
static void ngx_mcp_redis_conn_lost(ngx_mcp_redis_conn_t *conn);
static void ngx_mcp_redis_message(redisAsyncContext *ac, void *reply,
    void *data);
static void ngx_mcp_redis_arrived(ngx_str_t *bytes);
static void ngx_mcp_redis_hello(void);
static void ngx_mcp_redis_ask_time(void);
static void ngx_mcp_redis_time(redisAsyncContext *ac, void *reply, void *data);
static void ngx_mcp_redis_check(void);
static void ngx_mcp_redis_every_second(void *data);
static void ngx_mcp_redis_log_error(void);


static ngx_mcp_redis_conn_t  ngx_mcp_redis_cmd;
static ngx_mcp_redis_conn_t  ngx_mcp_redis_sub;

static ngx_mcp_redis_conf_t  *ngx_mcp_redis_conf;
static ngx_mcp_redis_user_t  *ngx_mcp_redis_user;
static ngx_mcp_worker_t      *ngx_mcp_redis_self;

static ngx_mcp_timer_t  ngx_mcp_redis_timer;
static ngx_uint_t       ngx_mcp_redis_up;
static ngx_msec_t       ngx_mcp_redis_since;            /* not up */
static const u_char    *ngx_mcp_redis_reason =
                               (u_char *) "it takes more than 100 ms to answer";

static ngx_msec_t  ngx_mcp_redis_asked;            /* hello */
static ngx_uint_t  ngx_mcp_redis_asking;
static ngx_uint_t  ngx_mcp_redis_pong;

static int64_t     ngx_mcp_redis_offset;
static ngx_msec_t  ngx_mcp_redis_clock_at;
static ngx_uint_t  ngx_mcp_redis_clock;            /* is known */


ngx_int_t
ngx_mcp_redis_init(ngx_mcp_worker_t *self, ngx_mcp_redis_user_t *user,
    ngx_log_t *log)
{
    ngx_mcp_zone_t        *zone;
    ngx_mcp_redis_conn_t  *cmd, *sub;

    zone = ngx_mcp_zone();

    if (ngx_mcp_packet_init(self->id, zone->secrets, log) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_mcp_redis_conf = zone->conf->redis;
    ngx_mcp_redis_user = user;
    ngx_mcp_redis_self = self;
    ngx_mcp_redis_since = ngx_current_msec;

    self->redis = NGX_MCP_REDIS_NEVER;

    cmd = &ngx_mcp_redis_cmd;
    cmd->conf = ngx_mcp_redis_conf;
    cmd->name = "mcp-sse-cmd";
    cmd->ready = ngx_mcp_redis_cmd_ready;
    cmd->lost = ngx_mcp_redis_conn_lost;

    sub = &ngx_mcp_redis_sub;
    sub->conf = ngx_mcp_redis_conf;
    sub->name = "mcp-sse-sub";
    sub->ready = ngx_mcp_redis_sub_ready;
    sub->lost = ngx_mcp_redis_conn_lost;

    ngx_mcp_redis_conn_open(cmd);
    ngx_mcp_redis_conn_open(sub);

    ngx_mcp_redis_timer.handler = ngx_mcp_redis_every_second;
    ngx_mcp_timer_set(&ngx_mcp_redis_timer, NGX_MCP_REDIS_CHECK_INTERVAL_MS);

    return NGX_OK;
}


void
ngx_mcp_redis_exit(void)
{
    if (ngx_mcp_redis_conf) {
        ngx_mcp_redis_up = 0;

        ngx_mcp_redis_conn_close(&ngx_mcp_redis_cmd);
        ngx_mcp_redis_conn_close(&ngx_mcp_redis_sub);
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
    return ngx_mcp_redis_up
           ? 0 : ngx_current_msec - ngx_mcp_redis_since;
}


int64_t
ngx_mcp_redis_now(void)
{
    /* what is decided by it must not be decided by the past */

    ngx_time_update();

    return (int64_t) ngx_current_msec + ngx_mcp_redis_offset;
}


ngx_int_t
ngx_mcp_redis_command(redisCallbackFn *handler, void *data, ngx_uint_t argc,
    ngx_str_t *argv)
{
    return ngx_mcp_redis_conn_command(&ngx_mcp_redis_cmd,
                                      handler, data, argc, argv);
}


ngx_int_t
ngx_mcp_redis_publish(u_char *id, ngx_str_t *bytes, redisCallbackFn *handler,
    void *data)
{
    u_char     buf[NGX_MCP_REDIS_MAX_KEY_LEN];
    ngx_str_t  argv[3];

    ngx_str_set(&argv[0], "PUBLISH");
    ngx_mcp_redis_key(&argv[1], buf, 'w', id);
    argv[2] = *bytes;

    return ngx_mcp_redis_command(handler, data, 3, argv);
}


ngx_int_t
ngx_mcp_redis_publish_all(ngx_str_t *bytes, redisCallbackFn *handler,
    void *data)
{
    u_char     buf[NGX_MCP_REDIS_MAX_KEY_LEN];
    ngx_str_t  argv[3];

    ngx_str_set(&argv[0], "PUBLISH");
    ngx_mcp_redis_word(&argv[1], buf, "all");
    argv[2] = *bytes;

    return ngx_mcp_redis_command(handler, data, 3, argv);
}


void
ngx_mcp_redis_send(ngx_mcp_packet_t *packet, ngx_uint_t type, u_char *id,
    redisCallbackFn *handler)
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
ngx_mcp_redis_cmd_ready(ngx_mcp_redis_conn_t *conn)
{
    ngx_mcp_count(NGX_MCP_COUNT_REDIS_CONNECTS);

    ngx_mcp_redis_clock = 0;
    ngx_mcp_redis_ask_time();

    ngx_mcp_redis_asking = 0;
    ngx_mcp_redis_hello();
}


/*
 * This one is never told anything else: hiredis 0.14 would lose the reply,
 * and abort the worker when a message came after UNSUBSCRIBE.
 */

static void
ngx_mcp_redis_sub_ready(ngx_mcp_redis_conn_t *conn)
{
    u_char     own[NGX_MCP_REDIS_MAX_KEY_LEN];
    u_char     all[NGX_MCP_REDIS_MAX_KEY_LEN];
    ngx_str_t  argv[3];

    ngx_mcp_count(NGX_MCP_COUNT_REDIS_CONNECTS);

    ngx_mcp_redis_pong = 0;

    ngx_str_set(&argv[0], "SUBSCRIBE");
    ngx_mcp_redis_word(&argv[1], all, "all");
    ngx_mcp_redis_key(&argv[2], own, 'w', ngx_mcp_redis_self->id);

    if (ngx_mcp_redis_conn_command(conn,
                                   ngx_mcp_redis_message,
                                   NULL, 3, argv)
        != NGX_OK)
    {
        ngx_mcp_redis_conn_fail(conn, "no memory");
    }
}


static void
ngx_mcp_redis_conn_lost(ngx_mcp_redis_conn_t *conn)
{
    ngx_mcp_redis_reason = conn->reason;

    if (conn == &ngx_mcp_redis_sub) {
        ngx_mcp_redis_pong = 0;

    } else {
        ngx_mcp_redis_clock = 0;
    }

    if (ngx_mcp_redis_up) {
        ngx_mcp_redis_up = 0;
        ngx_mcp_redis_since = ngx_current_msec;
        ngx_mcp_redis_self->redis = NGX_MCP_REDIS_LOST;

        ngx_mcp_count(NGX_MCP_COUNT_REDIS_LOST);
    }

    ngx_mcp_redis_log_error();
}


static void
ngx_mcp_redis_message(redisAsyncContext *ac, void *reply, void *data)
{
    redisReply            *r = reply;
    ngx_str_t              bytes;
    ngx_mcp_redis_conn_t  *conn = ac->data;

    if (conn->ac != ac
        || r == NULL
        || r->type != REDIS_REPLY_ARRAY
        || r->elements != 3
        || r->element[0]->type != REDIS_REPLY_STRING)
    {
        return;
    }

    if (ngx_strcmp(r->element[0]->str, "subscribe") == 0) {
        ngx_mcp_redis_asking = 0;
        ngx_mcp_redis_hello();
        return;
    }

    if (r->element[2]->type == REDIS_REPLY_STRING) {
        bytes.len = r->element[2]->len;
        bytes.data = (u_char *) r->element[2]->str;

        ngx_mcp_redis_arrived(&bytes);
    }
}


static void
ngx_mcp_redis_arrived(ngx_str_t *bytes)
{
    ngx_uint_t                 which;
    ngx_mcp_packet_received_t  received;

    switch (ngx_mcp_packet_open(&received, bytes, ngx_cycle->log)) {

    case NGX_OK:

        /* without the time of Redis nothing can be said of expiry */

        if (ngx_mcp_redis_clock) {
            ngx_mcp_redis_user->packet(&received);
        }

        return;

    case NGX_DONE:
        ngx_mcp_redis_asking = 0;
        ngx_mcp_redis_pong = 1;
        ngx_mcp_redis_check();
        return;

    case NGX_DECLINED:
        which = NGX_MCP_COUNT_REDIS_FORGED;
        break;

    case NGX_ABORT:
        which = NGX_MCP_COUNT_REDIS_MALFORMED;
        break;

    default: /* NGX_ERROR: it is sent again */
        return;
    }

    ngx_mcp_count(which);

    if (ngx_mcp_zone_log_once(&ngx_mcp_zone()->root->forged_logged_at,
                              NGX_MCP_REDIS_LOG_INTERVAL))
    {
        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "mcp sse: redis \"%V\" brought a message that was not "
                      "sealed for this worker with one of our keys; have all "
                      "instances the same mcp_sse_key?",
                      &ngx_mcp_redis_conf->name);
    }
}


/*
 * Does what we publish come back?
 */

static void
ngx_mcp_redis_hello(void)
{
    u_char     data[NGX_MCP_PACKET_HEADER_LEN];
    ngx_str_t  bytes;

    bytes.len = sizeof(data);
    bytes.data = data;

    ngx_mcp_packet_probe(data);

    if (ngx_mcp_redis_publish(ngx_mcp_redis_self->id, &bytes,
                              ngx_mcp_redis_conn_check, NULL)
        == NGX_OK
        && !ngx_mcp_redis_asking)
    {
        ngx_mcp_redis_asking = 1;
        ngx_mcp_redis_asked = ngx_current_msec;
    }
}


static void
ngx_mcp_redis_ask_time(void)
{
    ngx_str_t  argv[1];

    ngx_str_set(&argv[0], "TIME");

    /* when this one was asked: others may be on their way */

    (void) ngx_mcp_redis_command(ngx_mcp_redis_time,
                              (void *) (uintptr_t) ngx_current_msec, 1, argv);
}


static void
ngx_mcp_redis_time(redisAsyncContext *ac, void *reply, void *data)
{
    int64_t                now, sec, usec;
    ngx_msec_t             trip;
    redisReply            *r = reply;
    ngx_mcp_redis_conn_t  *conn = ac->data;

    if (conn->ac != ac || r == NULL) {
        return;
    }

    if (r->type != REDIS_REPLY_ARRAY
        || r->elements != 2
        || r->element[0]->type != REDIS_REPLY_STRING
        || r->element[1]->type != REDIS_REPLY_STRING)
    {
        ngx_mcp_redis_conn_fail(conn,
                                r->type == REDIS_REPLY_ERROR
                                ? r->str : "it does not tell time");
        return;
    }

    /* one that took too long says little; there will be another */

    ngx_time_update();

    trip = ngx_current_msec - (ngx_msec_t) (uintptr_t) data;

    if (trip > NGX_MCP_REDIS_MAX_ROUND_TRIP_MS) {
        return;
    }

    sec = ngx_atoi((u_char *) r->element[0]->str, r->element[0]->len);
    usec = ngx_atoi((u_char *) r->element[1]->str, r->element[1]->len);

    now = sec * 1000 + usec / 1000;

    ngx_mcp_redis_offset = now
                                    - (int64_t) (ngx_current_msec - trip / 2);
    ngx_mcp_redis_clock_at = ngx_current_msec;
    ngx_mcp_redis_clock = 1;

    ngx_mcp_redis_check();
}


static void
ngx_mcp_redis_check(void)
{
    if (!ngx_mcp_redis_up && ngx_mcp_redis_pong && ngx_mcp_redis_clock) {
        ngx_mcp_redis_user->join();
    }
}


void
ngx_mcp_redis_joined(void)
{
    ngx_mcp_zone_root_t  *root;

    if (ngx_mcp_redis_up || !ngx_mcp_redis_pong || !ngx_mcp_redis_clock) {
        return;
    }

    ngx_mcp_redis_up = 1;
    ngx_mcp_zone()->root->redis_reached = 1;
    ngx_mcp_redis_self->redis = NGX_MCP_REDIS_READY;

    ngx_mcp_redis_cmd.attempts = 0;
    ngx_mcp_redis_sub.attempts = 0;

    root = ngx_mcp_zone()->root;

    /* once for all workers, and not if nobody has said that it was lost */

    if (ngx_atomic_cmp_set(&root->redis_state_logged, 0, 2)
        || ngx_atomic_cmp_set(&root->redis_state_logged, 1, 2))
    {
        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "mcp sse: redis \"%V\" is ready",
                      &ngx_mcp_redis_conf->name);
    }

    ngx_mcp_redis_user->up();
}


/*
 * root->redis_state_logged is the last state that a worker has logged: 0, none;
 * 1, Redis is lost; 2, Redis is ready.
 */

static void
ngx_mcp_redis_log_error(void)
{
    ngx_mcp_zone_root_t  *root;

    root = ngx_mcp_zone()->root;

    if (root->redis_state_logged == 1
        || !ngx_mcp_zone_log_once(&root->redis_state_logged_at,
                                  NGX_MCP_REDIS_LOG_INTERVAL))
    {
        return;
    }

    root->redis_state_logged = 1;

    ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                  "mcp sse: redis \"%V\" is lost: %s; sessions of this "
                  "instance go on, messages for those of others are answered "
                  "503 until it is back",
                  &ngx_mcp_redis_conf->name,
                  ngx_mcp_redis_reason);
}


void
ngx_mcp_redis_refused(redisReply *reply)
{
    if (reply->type != REDIS_REPLY_ERROR
        || !ngx_mcp_zone_log_once(
                            &ngx_mcp_zone()->root->redis_refused_logged_at,
                            NGX_MCP_REDIS_LOG_INTERVAL))
    {
        return;
    }

    ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                  "mcp sse: redis \"%V\" refuses a command: %s",
                  &ngx_mcp_redis_conf->name, reply->str);
}


void
ngx_mcp_redis_ignore(redisAsyncContext *ac, void *reply, void *data)
{
    if (reply) {
        ngx_mcp_redis_refused(reply);
    }
}


static void
ngx_mcp_redis_every_second(void *data)
{
    ngx_mcp_redis_conn_t  *sub;

    sub = &ngx_mcp_redis_sub;

    ngx_mcp_timer_set(&ngx_mcp_redis_timer, NGX_MCP_REDIS_CHECK_INTERVAL_MS);

    /* "now" is the last of a chain of events that may take its time */

    if (ngx_mcp_redis_asking
        && sub->is_ready
        && ngx_mcp_redis_cmd.is_ready
        && ngx_current_msec - ngx_mcp_redis_asked
           > 2 * ngx_mcp_redis_conf->timeout)
    {
        ngx_mcp_redis_asking = 0;
        ngx_mcp_redis_conn_fail(sub, "what is published to a worker "
                                              "does not come back");
    }

    if (ngx_mcp_redis_down() > 2 * NGX_MCP_REDIS_CHECK_INTERVAL_MS) {
        ngx_mcp_redis_log_error();
    }

    ngx_mcp_redis_hello();

    if (!ngx_mcp_redis_clock
        || ngx_current_msec - ngx_mcp_redis_clock_at
           >= NGX_MCP_REDIS_CLOCK_INTERVAL_MS)
    {
        ngx_mcp_redis_ask_time();
    }

    if (ngx_mcp_redis_up) {
        ngx_mcp_redis_user->second();

    } else {
        ngx_mcp_redis_check();
    }
}

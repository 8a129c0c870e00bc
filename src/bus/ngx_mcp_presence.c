
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * The directory of sessions in Redis: which worker has a session.
 *
 * The list links the sessions of this worker, those renewed last at its end,
 * and does not own them.  A command carries the key of its session in a block
 * that the handler of the reply frees.
 */

#include "ngx_mcp_presence.h"
#include "ngx_mcp_sessions.h"


#define NGX_MCP_PRESENCE_EXPIRES       "60"                      /* seconds */
#define NGX_MCP_PRESENCE_RENEW_MS      20000

/* renewing many sessions is done in portions, with a pause in between */

#define NGX_MCP_PRESENCE_MAX_COMMANDS  1000
#define NGX_MCP_PRESENCE_PAUSE_MS      20

/* after a command has failed */

#define NGX_MCP_PRESENCE_RETRY_MS      1000


static void ngx_mcp_presence_renew_due(void *data);
static ngx_int_t ngx_mcp_presence_renew(ngx_mcp_session_t *s);
static ngx_int_t ngx_mcp_presence_set(ngx_mcp_session_t *s, const char *option,
    ngx_mcp_redis_reply_pt handler);
static ngx_int_t ngx_mcp_presence_command(u_char *key,
    ngx_mcp_redis_reply_pt handler, ngx_uint_t argc, ngx_str_t *argv);
static void ngx_mcp_presence_set_reply(ngx_mcp_redis_conn_t *conn,
    redisReply *reply, void *data);
static void ngx_mcp_presence_retry(ngx_mcp_session_t *s);
static void ngx_mcp_presence_renew_reply(ngx_mcp_redis_conn_t *conn,
    redisReply *reply, void *data);
static void ngx_mcp_presence_restored(ngx_mcp_redis_conn_t *conn,
    redisReply *reply, void *data);
static ngx_uint_t ngx_mcp_presence_is_other(u_char *id, redisReply *reply);
static void ngx_mcp_presence_notify(u_char *id, u_char *key);


static ngx_queue_t  ngx_mcp_presences = {
    &ngx_mcp_presences, &ngx_mcp_presences
};

static ngx_mcp_timer_t  ngx_mcp_presence_timer;


void
ngx_mcp_presence_init(void)
{
    ngx_mcp_presence_timer.handler = ngx_mcp_presence_renew_due;
}


void
ngx_mcp_presence_enter(ngx_mcp_session_t *s)
{
    if (!ngx_mcp_redis_used()) {
        return;
    }

    ngx_queue_insert_head(&ngx_mcp_presences, &s->presence);
    s->in_directory = 1;

    if (ngx_mcp_redis_is_up()) {
        (void) ngx_mcp_presence_renew(s);
    }
}


void
ngx_mcp_presence_leave(ngx_mcp_session_t *s)
{
    if (s->in_directory) {
        ngx_queue_remove(&s->presence);
        s->in_directory = 0;
    }
}


void
ngx_mcp_presence_every_second(void)
{
    if (!ngx_mcp_presence_timer.set) {
        ngx_mcp_presence_renew_due(NULL);
    }
}


void
ngx_mcp_presence_all(void)
{
    ngx_queue_t        *q;
    ngx_mcp_session_t  *s;

    for (q = ngx_queue_head(&ngx_mcp_presences);
         q != ngx_queue_sentinel(&ngx_mcp_presences);
         q = ngx_queue_next(q))
    {
        s = ngx_queue_data(q, ngx_mcp_session_t, presence);
        s->refreshed_at = ngx_current_msec - NGX_MCP_PRESENCE_RENEW_MS;
    }

    ngx_mcp_presence_renew_due(NULL);
}


static void
ngx_mcp_presence_renew_due(void *data)
{
    ngx_uint_t          n;
    ngx_queue_t        *q;
    ngx_mcp_session_t  *s;

    for (n = 0; n < NGX_MCP_PRESENCE_MAX_COMMANDS; n++) {

        if (ngx_queue_empty(&ngx_mcp_presences) || !ngx_mcp_redis_is_up()) {
            return;
        }

        q = ngx_queue_head(&ngx_mcp_presences);
        s = ngx_queue_data(q, ngx_mcp_session_t, presence);

        if (ngx_current_msec - s->refreshed_at < NGX_MCP_PRESENCE_RENEW_MS
            || ngx_mcp_presence_renew(s) != NGX_OK)
        {
            return;
        }
    }

    ngx_mcp_timer_set(&ngx_mcp_presence_timer, NGX_MCP_PRESENCE_PAUSE_MS);
}


/*
 * A session that was never written takes the key from any other worker.  The
 * key of one that was written may belong to another worker by now.
 */

static ngx_int_t
ngx_mcp_presence_renew(ngx_mcp_session_t *s)
{
    u_char     buf[NGX_MCP_REDIS_MAX_KEY_LEN];
    ngx_int_t  rc;
    ngx_str_t  argv[4];

    if (s->published) {
        ngx_str_set(&argv[0], "GETEX");
        ngx_mcp_redis_key(&argv[1], buf, 's', s->sid.key);
        ngx_str_set(&argv[2], "EX");
        ngx_str_set(&argv[3], NGX_MCP_PRESENCE_EXPIRES);

        rc = ngx_mcp_presence_command(s->sid.key, ngx_mcp_presence_renew_reply,
                                      4, argv);

    } else {
        rc = ngx_mcp_presence_set(s, "GET", ngx_mcp_presence_set_reply);
    }

    if (rc == NGX_OK) {
        s->refreshed_at = ngx_current_msec;

        ngx_queue_remove(&s->presence);
        ngx_queue_insert_tail(&ngx_mcp_presences, &s->presence);
    }

    return rc;
}


/*
 * The option is GET, to learn of the worker that had the session, or NX.
 */

static ngx_int_t
ngx_mcp_presence_set(ngx_mcp_session_t *s, const char *option,
    ngx_mcp_redis_reply_pt handler)
{
    u_char     buf[NGX_MCP_REDIS_MAX_KEY_LEN];
    u_char     hex[NGX_MCP_REDIS_ID_LEN];
    ngx_str_t  argv[6];

    ngx_str_set(&argv[0], "SET");
    ngx_mcp_redis_key(&argv[1], buf, 's', s->sid.key);

    argv[2].data = hex;
    argv[2].len = ngx_hex_dump(hex, ngx_mcp_workers_self()->id,
                               NGX_MCP_WORKER_ID_LEN)
                  - hex;

    ngx_str_set(&argv[3], "EX");
    ngx_str_set(&argv[4], NGX_MCP_PRESENCE_EXPIRES);

    argv[5].data = (u_char *) option;
    argv[5].len = ngx_strlen(option);

    return ngx_mcp_presence_command(s->sid.key, handler, 6, argv);
}


/*
 * The data of the handler is a copy of the key, which the handler frees.
 */

static ngx_int_t
ngx_mcp_presence_command(u_char *key, ngx_mcp_redis_reply_pt handler,
    ngx_uint_t argc, ngx_str_t *argv)
{
    u_char     *copy;
    ngx_int_t   rc;

    copy = ngx_alloc(NGX_MCP_DIGEST_LEN, ngx_cycle->log);
    if (copy == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(copy, key, NGX_MCP_DIGEST_LEN);

    rc = ngx_mcp_redis_command(handler, copy, argc, argv);

    if (rc != NGX_OK) {
        ngx_free(copy);
    }

    return rc;
}


static void
ngx_mcp_presence_set_reply(ngx_mcp_redis_conn_t *conn, redisReply *reply,
    void *data)
{
    u_char             *key = data;
    u_char              id[NGX_MCP_WORKER_ID_LEN];
    ngx_mcp_session_t  *s;

    s = ngx_mcp_sessions_find(key);

    if (ngx_mcp_worker_lease_failed(reply)) {

        if (s) {
            ngx_mcp_presence_retry(s);
        }

    } else {

        if (s) {
            s->published = 1;

            ngx_log_debug2(NGX_LOG_DEBUG_CORE, ngx_cycle->log, 0,
                           "mcp presence: session %*s is in redis",
                           (size_t) NGX_MCP_HASH_LEN, s->sid.hash);
        }

        if (ngx_mcp_presence_is_other(id, reply)) {
            ngx_mcp_presence_notify(id, key);
        }
    }

    ngx_free(key);
}


static void
ngx_mcp_presence_retry(ngx_mcp_session_t *s)
{
    s->refreshed_at = ngx_current_msec - NGX_MCP_PRESENCE_RENEW_MS
                      + NGX_MCP_PRESENCE_RETRY_MS;

    ngx_queue_remove(&s->presence);
    ngx_queue_insert_head(&ngx_mcp_presences, &s->presence);
}


static void
ngx_mcp_presence_renew_reply(ngx_mcp_redis_conn_t *conn, redisReply *reply,
    void *data)
{
    u_char             *key = data;
    u_char              id[NGX_MCP_WORKER_ID_LEN];
    ngx_mcp_session_t  *s;

    s = ngx_mcp_worker_lease_failed(reply) ? NULL : ngx_mcp_sessions_find(key);

    ngx_free(key);

    /* one that was never written has been opened since the command was sent */

    if (s == NULL || !s->published) {
        return;
    }

    if (reply->type == REDIS_REPLY_NIL) {

        /*
         * The key has expired.  If another worker writes it first, the next
         * renewal finds that out.
         */

        ngx_log_debug2(NGX_LOG_DEBUG_CORE, ngx_cycle->log, 0,
                       "mcp presence: session %*s is written again",
                       (size_t) NGX_MCP_HASH_LEN, s->sid.hash);

        (void) ngx_mcp_presence_set(s, "NX", ngx_mcp_presence_restored);
        return;
    }

    if (ngx_mcp_presence_is_other(id, reply)) {
        ngx_log_debug2(NGX_LOG_DEBUG_CORE, ngx_cycle->log, 0,
                       "mcp presence: session %*s has another owner",
                       (size_t) NGX_MCP_HASH_LEN, s->sid.hash);

        ngx_mcp_sessions_close(s, NGX_MCP_CLOSE_REPLACED);
    }
}


static void
ngx_mcp_presence_restored(ngx_mcp_redis_conn_t *conn, redisReply *reply,
    void *data)
{
    ngx_mcp_worker_lease_ignore(conn, reply, NULL);

    ngx_free(data);
}


/*
 * Whether the reply is the id of another worker, which is stored in "id".
 */

static ngx_uint_t
ngx_mcp_presence_is_other(u_char *id, redisReply *reply)
{
    return ngx_mcp_redis_id(id, reply) == NGX_OK
           && ngx_memcmp(id, ngx_mcp_workers_self()->id, NGX_MCP_WORKER_ID_LEN)
              != 0;
}


/*
 * Tells the worker that had the session.  The packet may be lost: then that
 * worker finds out when it renews the session.
 */

static void
ngx_mcp_presence_notify(u_char *id, u_char *key)
{
    ngx_mcp_packet_t  *packet;

    packet = ngx_mcp_packet_alloc(NGX_MCP_DIGEST_LEN, ngx_cycle->log);
    if (packet == NULL) {
        return;
    }

    ngx_memcpy(packet->body, key, NGX_MCP_DIGEST_LEN);

    ngx_mcp_redis_send(packet, NGX_MCP_PACKET_REPLACED, id,
                       ngx_mcp_worker_lease_ignore);
}


void
ngx_mcp_presence_replaced(u_char *key)
{
    ngx_mcp_session_t  *s;

    s = ngx_mcp_sessions_find(key);

    if (s && s->published) {
        (void) ngx_mcp_presence_renew(s);
    }
}


/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Announcements between instances, and the list of ended session ids that they
 * share.
 *
 * Announcements are passed on at once, and the ended ids are in the zone and
 * in Redis, so that this file has no state.
 *
 * The age of an announcement that names another master cannot be told.  An id
 * that has ended never comes back, so that is taken at any age; what else is
 * announced holds for a moment only, and is taken for too old.
 */

#include "ngx_mcp_remote_announce.h"
#include "ngx_mcp_remote_recv.h"


/*
 * The body of NGX_MCP_PACKET_ANNOUNCE: expiry 8 (time of Redis, milliseconds),
 * master whose time that is 8, end 8 (unix seconds, or 0), key of the session,
 * sending instance, kind 1, data; of an ended id the key of its user.
 */

#define NGX_MCP_REMOTE_ANNOUNCE_HEAD_LEN                                      \
    (8 + 8 + 8 + NGX_MCP_DIGEST_LEN + NGX_MCP_INSTANCE_LEN + 1)

/* an older one is ignored, which also bounds the replay window */

#define NGX_MCP_REMOTE_ANNOUNCE_MAX_AGE_MS  5000

#define NGX_MCP_REMOTE_ANNOUNCE_KEY    "ended"

/* read at once, and in all: a zone of 200 MB has room for as many */

#define NGX_MCP_REMOTE_ANNOUNCE_PAGE   10000
#define NGX_MCP_REMOTE_ANNOUNCE_MAX    100000

/* a member of the list in Redis: the key of the session, that of the user */

#define NGX_MCP_REMOTE_ANNOUNCE_MEMBER_LEN  (2 * NGX_MCP_REDIS_ID_LEN)


/* an ended id that is being added to Redis */

typedef struct {
    u_char   key[NGX_MCP_DIGEST_LEN];
    u_char   user[NGX_MCP_DIGEST_LEN];
    time_t   end;
} ngx_mcp_remote_announce_id_t;


static void ngx_mcp_remote_announce_send(ngx_uint_t kind, u_char *key,
    time_t end, u_char *data, size_t len);
static void ngx_mcp_remote_announce_publish(ngx_mcp_packet_t *packet);
static void ngx_mcp_remote_announce_restore(u_char *key, u_char *user,
    time_t end);
static void ngx_mcp_remote_announce_added(ngx_mcp_redis_conn_t *conn,
    redisReply *reply, void *data);
static ngx_int_t ngx_mcp_remote_announce_add(u_char *key, u_char *user,
    time_t end, ngx_mcp_redis_reply_pt handler, void *data);
static void ngx_mcp_remote_announce_trim(ngx_str_t *name, ngx_str_t *now);
static void ngx_mcp_remote_announce_ask(uintptr_t offset);
static void ngx_mcp_remote_announce_read(ngx_mcp_redis_conn_t *conn,
    redisReply *reply, void *data);
static ngx_int_t ngx_mcp_remote_announce_member(redisReply *reply, u_char *key,
    u_char *user);
static void ngx_mcp_remote_announce_user(u_char *user, u_char *data,
    size_t len);


void
ngx_mcp_remote_announce(ngx_uint_t kind, u_char *key, time_t end, u_char *data,
    size_t len)
{
    if (!ngx_mcp_redis_is_up()) {
        return;
    }

    ngx_mcp_remote_announce_send(kind, key, end, data, len);

    if (end) {
        (void) ngx_mcp_remote_announce_add(key, data, end, ngx_mcp_redis_ignore,
                                           NULL);
    }
}


static void
ngx_mcp_remote_announce_send(ngx_uint_t kind, u_char *key, time_t end,
    u_char *data, size_t len)
{
    u_char            *p;
    int64_t            expires;
    ngx_mcp_packet_t  *packet;

    packet = ngx_mcp_packet_alloc(NGX_MCP_REMOTE_ANNOUNCE_HEAD_LEN + len,
                                  ngx_cycle->log);
    if (packet == NULL) {
        return;
    }

    expires = ngx_mcp_redis_now() + NGX_MCP_REMOTE_ANNOUNCE_MAX_AGE_MS;

    p = ngx_mcp_packet_put(packet->body, (uint64_t) expires);
    p = ngx_mcp_packet_put(p, ngx_mcp_redis_master());
    p = ngx_mcp_packet_put(p, (uint64_t) end);
    p = ngx_cpymem(p, key, NGX_MCP_DIGEST_LEN);
    p = ngx_cpymem(p, ngx_mcp_zone()->root->instance, NGX_MCP_INSTANCE_LEN);
    *p++ = (u_char) kind;

    if (len) {
        ngx_memcpy(p, data, len);
    }

    ngx_mcp_remote_announce_publish(packet);

    ngx_free(packet);
}


static void
ngx_mcp_remote_announce_publish(ngx_mcp_packet_t *packet)
{
    ngx_str_t  bytes;

    if (ngx_mcp_packet_seal(packet, NGX_MCP_PACKET_ANNOUNCE, NULL) != NGX_OK) {
        return;
    }

    bytes.len = packet->size;
    bytes.data = packet->data;

    (void) ngx_mcp_redis_publish_all(&bytes, ngx_mcp_redis_ignore, NULL);
}


void
ngx_mcp_remote_announce_receive(ngx_mcp_packet_received_t *received)
{
    u_char                         *p, *key;
    u_char                          user[NGX_MCP_DIGEST_LEN];
    size_t                          len;
    int64_t                         now, expires;
    time_t                          end;
    ngx_uint_t                      kind;
    ngx_mcp_replay_window_entry_t  *seen;

    if (received->body.len < NGX_MCP_REMOTE_ANNOUNCE_HEAD_LEN) {
        ngx_mcp_count(NGX_MCP_COUNT_REDIS_MALFORMED);
        return;
    }

    len = received->body.len - NGX_MCP_REMOTE_ANNOUNCE_HEAD_LEN;

    p = received->body.data;
    now = ngx_mcp_redis_now();
    end = (time_t) ngx_mcp_packet_get(p + 16);

    if (ngx_mcp_remote_recv_is_other(ngx_mcp_packet_get(p + 8))) {
        expires = end ? now + NGX_MCP_REMOTE_ANNOUNCE_MAX_AGE_MS : now;

    } else {
        expires = (int64_t) ngx_mcp_packet_get(p);
    }

    key = p + 24;
    p = key + NGX_MCP_DIGEST_LEN;

    /* workers of this instance have it from the zone */

    if (ngx_memcmp(p, ngx_mcp_zone()->root->instance, NGX_MCP_INSTANCE_LEN)
        == 0)
    {
        return;
    }

    kind = p[NGX_MCP_INSTANCE_LEN];
    p += NGX_MCP_INSTANCE_LEN + 1;

    if (now >= expires) {
        ngx_mcp_count(NGX_MCP_COUNT_REDIS_EXPIRED);
        return;
    }

    if (ngx_mcp_replay_window_enter(&received->sender->announce_window,
                             received->number,
                             ngx_current_msec + (ngx_msec_t) (expires - now),
                             &seen, ngx_cycle->log)
        != NGX_OK)
    {
        ngx_mcp_count(NGX_MCP_COUNT_REDIS_REPLAYED);
        return;
    }

    ngx_log_debug1(NGX_LOG_DEBUG_CORE, ngx_cycle->log, 0,
                   "mcp remote announce: received, kind:%ui", kind);

    if (end) {
        ngx_mcp_remote_announce_user(user, p, len);
        (void) ngx_mcp_revocation_add(key, user, end);
        len = 0;
    }

    if (len <= NGX_MCP_ANNOUNCE_MAX_LEN) {
        ngx_mcp_announce_self(kind, key, p, len);
    }
}


void
ngx_mcp_remote_announce_sync(void)
{
    u_char     buf[NGX_MCP_REDIS_MAX_KEY_LEN], time[NGX_TIME_T_LEN];
    ngx_str_t  name, now;

    ngx_mcp_revocation_each(ngx_mcp_remote_announce_restore);

    /* those of other instances */

    ngx_mcp_remote_announce_ask(0);

    ngx_mcp_redis_word(&name, buf, NGX_MCP_REMOTE_ANNOUNCE_KEY);
    now.data = time;
    now.len = ngx_sprintf(time, "%T", ngx_time()) - time;

    ngx_mcp_remote_announce_trim(&name, &now);
}


/*
 * Asks Redis for ended ids, but for the first ones.
 */

static void
ngx_mcp_remote_announce_ask(uintptr_t offset)
{
    u_char     buf[NGX_MCP_REDIS_MAX_KEY_LEN], time[NGX_TIME_T_LEN];
    u_char     first[NGX_INT_T_LEN], limit[NGX_INT_T_LEN];
    ngx_str_t  argv[8];

    ngx_str_set(&argv[0], "ZRANGEBYSCORE");
    ngx_mcp_redis_word(&argv[1], buf, NGX_MCP_REMOTE_ANNOUNCE_KEY);
    argv[2].data = time;
    argv[2].len = ngx_sprintf(time, "%T", ngx_time()) - time;
    ngx_str_set(&argv[3], "+inf");
    ngx_str_set(&argv[4], "WITHSCORES");
    ngx_str_set(&argv[5], "LIMIT");
    argv[6].data = first;
    argv[6].len = ngx_sprintf(first, "%ui", (ngx_uint_t) offset) - first;
    argv[7].data = limit;
    argv[7].len = ngx_sprintf(limit, "%ui",
                              (ngx_uint_t) NGX_MCP_REMOTE_ANNOUNCE_PAGE)
                  - limit;

    (void) ngx_mcp_redis_command(ngx_mcp_remote_announce_read, (void *) offset,
                                 8, argv);
}


static void
ngx_mcp_remote_announce_restore(u_char *key, u_char *user, time_t end)
{
    ngx_mcp_remote_announce_id_t  *id;

    id = ngx_alloc(sizeof(ngx_mcp_remote_announce_id_t), ngx_cycle->log);
    if (id == NULL) {
        return;
    }

    ngx_memcpy(id->key, key, NGX_MCP_DIGEST_LEN);
    ngx_memcpy(id->user, user, NGX_MCP_DIGEST_LEN);
    id->end = end;

    if (ngx_mcp_remote_announce_add(key, user, end,
                                    ngx_mcp_remote_announce_added, id)
        != NGX_OK)
    {
        ngx_free(id);
    }
}


/*
 * If Redis did not have the id, other instances do not have it either.
 */

static void
ngx_mcp_remote_announce_added(ngx_mcp_redis_conn_t *conn, redisReply *reply,
    void *data)
{
    ngx_mcp_remote_announce_id_t  *id = data;

    if (reply
        && reply->type == REDIS_REPLY_INTEGER
        && reply->integer
        && ngx_mcp_redis_is_up())
    {
        ngx_mcp_remote_announce_send(NGX_MCP_ANNOUNCE_ENDED, id->key, id->end,
                                     id->user, NGX_MCP_DIGEST_LEN);
    }

    ngx_mcp_redis_ignore(conn, reply, NULL);

    ngx_free(id);
}


static ngx_int_t
ngx_mcp_remote_announce_add(u_char *key, u_char *user, time_t end,
    ngx_mcp_redis_reply_pt handler, void *data)
{
    u_char    *p;
    u_char     buf[NGX_MCP_REDIS_MAX_KEY_LEN], time[NGX_TIME_T_LEN];
    u_char     hex[NGX_MCP_REMOTE_ANNOUNCE_MEMBER_LEN];
    ngx_str_t  argv[4];

    ngx_str_set(&argv[0], "ZADD");
    ngx_mcp_redis_word(&argv[1], buf, NGX_MCP_REMOTE_ANNOUNCE_KEY);
    argv[2].data = time;
    argv[2].len = ngx_sprintf(time, "%T", end) - time;
    p = ngx_hex_dump(hex, key, NGX_MCP_DIGEST_LEN);
    p = ngx_hex_dump(p, user, NGX_MCP_DIGEST_LEN);

    argv[3].data = hex;
    argv[3].len = p - hex;

    return ngx_mcp_redis_command(handler, data, 4, argv);
}


/*
 * Removes the ids that have expired by themselves.
 */

static void
ngx_mcp_remote_announce_trim(ngx_str_t *name, ngx_str_t *now)
{
    ngx_str_t  argv[4];

    ngx_str_set(&argv[0], "ZREMRANGEBYSCORE");
    argv[1] = *name;
    ngx_str_set(&argv[2], "-inf");
    argv[3] = *now;

    (void) ngx_mcp_redis_command(ngx_mcp_redis_ignore, NULL, 4, argv);
}


static void
ngx_mcp_remote_announce_read(ngx_mcp_redis_conn_t *conn, redisReply *reply,
    void *data)
{
    u_char       key[NGX_MCP_DIGEST_LEN], user[NGX_MCP_DIGEST_LEN];
    time_t       end;
    uintptr_t    offset;
    ngx_uint_t   i;
    redisReply  *score;

    if (reply == NULL || reply->type != REDIS_REPLY_ARRAY) {
        ngx_mcp_redis_ignore(conn, reply, data);
        return;
    }

    ngx_log_debug1(NGX_LOG_DEBUG_CORE, ngx_cycle->log, 0,
                   "mcp remote announce: %ui ended ids in redis",
                   (ngx_uint_t) reply->elements / 2);

    for (i = 0; i + 1 < reply->elements; i += 2) {

        score = reply->element[i + 1];

        if (score->type != REDIS_REPLY_STRING
            || ngx_mcp_remote_announce_member(reply->element[i], key, user)
               != NGX_OK)
        {
            continue;
        }

        end = ngx_atotm((u_char *) score->str, score->len);

        if (end != (time_t) NGX_ERROR) {
            (void) ngx_mcp_revocation_add(key, user, end);
        }
    }

    offset = (uintptr_t) data + NGX_MCP_REMOTE_ANNOUNCE_PAGE;

    if (reply->elements == 2 * NGX_MCP_REMOTE_ANNOUNCE_PAGE
        && offset < NGX_MCP_REMOTE_ANNOUNCE_MAX)
    {
        ngx_mcp_remote_announce_ask(offset);
        return;
    }

    /*
     * Another worker of this instance may have added the same ids before, so
     * this one checks all its sessions.
     */

    ngx_mcp_announce_resync();
}


static ngx_int_t
ngx_mcp_remote_announce_member(redisReply *reply, u_char *key, u_char *user)
{
    u_char  *p;

    if (reply->type != REDIS_REPLY_STRING) {
        return NGX_DECLINED;
    }

    p = (u_char *) reply->str;

    if (reply->len == NGX_MCP_REDIS_ID_LEN) {
        ngx_mcp_remote_announce_user(user, NULL, 0);
        return ngx_mcp_redis_hex(key, p);
    }

    if (reply->len != NGX_MCP_REMOTE_ANNOUNCE_MEMBER_LEN
        || ngx_mcp_redis_hex(key, p) != NGX_OK)
    {
        return NGX_DECLINED;
    }

    return ngx_mcp_redis_hex(user, p + NGX_MCP_REDIS_ID_LEN);
}


/*
 * An instance that does not send users ends ids of one user without a name.
 */

static void
ngx_mcp_remote_announce_user(u_char *user, u_char *data, size_t len)
{
    if (len == NGX_MCP_DIGEST_LEN) {
        ngx_memcpy(user, data, NGX_MCP_DIGEST_LEN);
        return;
    }

    ngx_memzero(user, NGX_MCP_DIGEST_LEN);
}

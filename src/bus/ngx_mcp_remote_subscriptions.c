
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * What clients have asked of sessions, for the other instances.
 *
 * The zone of each instance has a copy of what it needs: it is read when the
 * first message or stream of a session comes, and again when another instance
 * has announced a change.  What waits for a reply of Redis is in a block of its
 * own, which the handler of the reply frees.
 */

#include "ngx_mcp_remote_subscriptions.h"
#include "ngx_mcp_remote_announce.h"
#include "ngx_mcp_sessions.h"


/* the data of an announcement: key of the user, expiry 8 */

#define NGX_MCP_REMOTE_SUBSCRIPTIONS_DATA_LEN  (NGX_MCP_DIGEST_LEN + 8)

/* sessions that this worker has asked Redis for, by a part of their keys */

#define NGX_MCP_REMOTE_SUBSCRIPTIONS_ASKED     1024

/* a question to Redis */

typedef struct {
    u_char      key[NGX_MCP_DIGEST_LEN];
    u_char      user[NGX_MCP_DIGEST_LEN];
    time_t      expires;
    ngx_uint_t  changed;       /* what the zone has is old */
} ngx_mcp_remote_subscriptions_t;


static ngx_uint_t ngx_mcp_remote_subscriptions_used(void);
static void ngx_mcp_remote_subscriptions_announce(u_char *key, u_char *user,
    time_t expires);
static u_char *ngx_mcp_remote_subscriptions_asked(u_char *key);
static void ngx_mcp_remote_subscriptions_read(u_char *key, u_char *user,
    time_t expires, ngx_uint_t changed);
static void ngx_mcp_remote_subscriptions_reply(ngx_mcp_redis_conn_t *conn,
    redisReply *reply, void *data);
static void ngx_mcp_remote_subscriptions_field(ngx_mcp_subscriptions_all_t *all,
    redisReply *field, redisReply *value);
static void ngx_mcp_remote_subscriptions_again(ngx_mcp_session_t *s);
static void ngx_mcp_remote_subscriptions_write(ngx_mcp_session_t *s);
static void ngx_mcp_remote_subscriptions_set_level(ngx_str_t *name,
    ngx_uint_t level);
static void ngx_mcp_remote_subscriptions_set_uri(ngx_str_t *name, u_char *uri,
    time_t checked);
static void ngx_mcp_remote_subscriptions_set(ngx_str_t *name, ngx_str_t *field,
    ngx_str_t *value);
static void ngx_mcp_remote_subscriptions_expire(ngx_str_t *name,
    time_t expires);


static u_char  ngx_mcp_remote_subscriptions_keys
                      [NGX_MCP_REMOTE_SUBSCRIPTIONS_ASKED][NGX_MCP_DIGEST_LEN];

/* the last recovery of the zone after which Redis was asked */

static ngx_msec_t  ngx_mcp_remote_subscriptions_recovery;


static ngx_uint_t
ngx_mcp_remote_subscriptions_used(void)
{
    return ngx_mcp_redis_used()
           && ngx_mcp_zone()->conf->events
           && ngx_mcp_redis_is_up();
}


void
ngx_mcp_remote_subscriptions_level(u_char *key, u_char *user, time_t expires,
    ngx_uint_t level)
{
    u_char     buf[NGX_MCP_REDIS_MAX_KEY_LEN];
    ngx_str_t  name;

    if (!ngx_mcp_remote_subscriptions_used()) {
        return;
    }

    ngx_mcp_redis_key(&name, buf, 'u', key);
    ngx_mcp_remote_subscriptions_set_level(&name, level);
    ngx_mcp_remote_subscriptions_expire(&name, expires);
    ngx_mcp_remote_subscriptions_announce(key, user, expires);
}


void
ngx_mcp_remote_subscriptions_add(u_char *key, u_char *user, time_t expires,
    u_char *uri)
{
    u_char     buf[NGX_MCP_REDIS_MAX_KEY_LEN];
    ngx_str_t  name;

    if (!ngx_mcp_remote_subscriptions_used()) {
        return;
    }

    ngx_mcp_redis_key(&name, buf, 'u', key);
    ngx_mcp_remote_subscriptions_set_uri(&name, uri, ngx_time());
    ngx_mcp_remote_subscriptions_expire(&name, expires);
    ngx_mcp_remote_subscriptions_announce(key, user, expires);
}


void
ngx_mcp_remote_subscriptions_remove(u_char *key, u_char *user, time_t expires,
    u_char *uri)
{
    u_char     buf[NGX_MCP_REDIS_MAX_KEY_LEN], hex[NGX_MCP_REDIS_ID_LEN];
    ngx_str_t  argv[3];

    if (!ngx_mcp_remote_subscriptions_used()) {
        return;
    }

    ngx_str_set(&argv[0], "HDEL");
    ngx_mcp_redis_key(&argv[1], buf, 'u', key);
    argv[2].data = hex;
    argv[2].len = ngx_hex_dump(hex, uri, NGX_MCP_DIGEST_LEN) - hex;

    (void) ngx_mcp_redis_command(ngx_mcp_redis_ignore, NULL, 3, argv);

    ngx_mcp_remote_subscriptions_announce(key, user, expires);
}


void
ngx_mcp_remote_subscriptions_forget(u_char *key)
{
    u_char     buf[NGX_MCP_REDIS_MAX_KEY_LEN];
    ngx_str_t  argv[2];

    if (!ngx_mcp_remote_subscriptions_used()) {
        return;
    }

    ngx_str_set(&argv[0], "DEL");
    ngx_mcp_redis_key(&argv[1], buf, 'u', key);

    (void) ngx_mcp_redis_command(ngx_mcp_redis_ignore, NULL, 2, argv);
}


/*
 * Other instances read the change from Redis, which gets it before.
 */

static void
ngx_mcp_remote_subscriptions_announce(u_char *key, u_char *user,
    time_t expires)
{
    u_char  *p, data[NGX_MCP_REMOTE_SUBSCRIPTIONS_DATA_LEN];

    p = ngx_cpymem(data, user, NGX_MCP_DIGEST_LEN);
    (void) ngx_mcp_packet_put(p, (uint64_t) expires);

    ngx_mcp_remote_announce(NGX_MCP_ANNOUNCE_SUBSCRIPTIONS, key, 0, data,
                            NGX_MCP_REMOTE_SUBSCRIPTIONS_DATA_LEN);
}


ngx_uint_t
ngx_mcp_remote_subscriptions_asks(u_char *key)
{
    return ngx_mcp_remote_subscriptions_used()
           && ngx_memcmp(ngx_mcp_remote_subscriptions_asked(key), key,
                         NGX_MCP_DIGEST_LEN)
              != 0;
}


void
ngx_mcp_remote_subscriptions_recall(u_char *key, u_char *user, time_t expires)
{
    ngx_memcpy(ngx_mcp_remote_subscriptions_asked(key), key,
               NGX_MCP_DIGEST_LEN);

    if (!ngx_mcp_subscriptions_known(key)) {
        ngx_mcp_remote_subscriptions_read(key, user, expires, 0);
    }
}


static u_char *
ngx_mcp_remote_subscriptions_asked(u_char *key)
{
    ngx_uint_t  n;

    n = (key[0] * 256 + key[1]) % NGX_MCP_REMOTE_SUBSCRIPTIONS_ASKED;

    return ngx_mcp_remote_subscriptions_keys[n];
}


void
ngx_mcp_remote_subscriptions_changed(u_char *key, u_char *data, size_t len)
{
    u_char  *asked;
    time_t   expires;

    if (len != NGX_MCP_REMOTE_SUBSCRIPTIONS_DATA_LEN
        || !ngx_mcp_remote_subscriptions_used())
    {
        return;
    }

    asked = ngx_mcp_remote_subscriptions_asked(key);

    if (ngx_memcmp(asked, key, NGX_MCP_DIGEST_LEN) != 0
        && ngx_mcp_sessions_find(key) == NULL
        && !ngx_mcp_subscriptions_known(key))
    {
        return;
    }

    expires = (time_t) ngx_mcp_packet_get(data + NGX_MCP_DIGEST_LEN);

    ngx_mcp_remote_subscriptions_read(key, data, expires, 1);
}


static void
ngx_mcp_remote_subscriptions_read(u_char *key, u_char *user, time_t expires,
    ngx_uint_t changed)
{
    u_char                           buf[NGX_MCP_REDIS_MAX_KEY_LEN];
    ngx_str_t                        argv[2];
    ngx_mcp_remote_subscriptions_t  *question;

    question = ngx_alloc(sizeof(ngx_mcp_remote_subscriptions_t),
                         ngx_cycle->log);
    if (question == NULL) {
        return;
    }

    ngx_memcpy(question->key, key, NGX_MCP_DIGEST_LEN);
    ngx_memcpy(question->user, user, NGX_MCP_DIGEST_LEN);
    question->expires = expires;
    question->changed = changed;

    ngx_str_set(&argv[0], "HGETALL");
    ngx_mcp_redis_key(&argv[1], buf, 'u', key);

    if (ngx_mcp_redis_command(ngx_mcp_remote_subscriptions_reply, question, 2,
                              argv)
        != NGX_OK)
    {
        ngx_free(question);
    }
}


/*
 * What the client has asked of this instance meanwhile is newer, and was
 * written to Redis.
 */

static void
ngx_mcp_remote_subscriptions_reply(ngx_mcp_redis_conn_t *conn,
    redisReply *reply, void *data)
{
    u_char                          *asked;
    ngx_uint_t                       i;
    ngx_mcp_subscriptions_all_t      all;
    ngx_mcp_remote_subscriptions_t  *question = data;

    if (reply == NULL || reply->type != REDIS_REPLY_ARRAY) {

        /* asked again, with the next message */

        asked = ngx_mcp_remote_subscriptions_asked(question->key);
        ngx_memzero(asked, NGX_MCP_DIGEST_LEN);

        ngx_mcp_redis_ignore(conn, reply, NULL);
        ngx_free(question);
        return;
    }

    all.level = NGX_MCP_LOG_UNKNOWN;
    all.nuris = 0;

    for (i = 0; i + 1 < reply->elements; i += 2) {
        ngx_mcp_remote_subscriptions_field(&all, reply->element[i],
                                           reply->element[i + 1]);
    }

    ngx_log_debug3(NGX_LOG_DEBUG_CORE, ngx_cycle->log, 0,
                   "mcp remote subscriptions: level:%ui uris:%ui changed:%ui",
                   all.level, all.nuris, question->changed);

    if (question->changed || !ngx_mcp_subscriptions_known(question->key)) {
        ngx_mcp_subscriptions_put(question->key, question->user,
                                  question->expires, &all);
    }

    ngx_free(question);
}


static void
ngx_mcp_remote_subscriptions_field(ngx_mcp_subscriptions_all_t *all,
    redisReply *field, redisReply *value)
{
    time_t                        checked;
    ngx_mcp_subscriptions_uri_t  *uri;

    if (field->type != REDIS_REPLY_STRING
        || value->type != REDIS_REPLY_STRING)
    {
        return;
    }

    if (field->len == sizeof("level") - 1
        && ngx_strncmp(field->str, "level", sizeof("level") - 1) == 0)
    {
        if (value->len == 1 && value->str[0] >= '0' && value->str[0] < '8') {
            all->level = value->str[0] - '0';
        }

        return;
    }

    checked = ngx_atotm((u_char *) value->str, value->len);
    uri = &all->uris[all->nuris];

    if (field->len != NGX_MCP_REDIS_ID_LEN
        || checked == (time_t) NGX_ERROR
        || all->nuris == NGX_MCP_SUBSCRIPTIONS_MAX
        || ngx_mcp_redis_hex(uri->digest, (u_char *) field->str) != NGX_OK)
    {
        return;
    }

    /* the clock of the zone is another one */

    uri->checked = (uint32_t) (ngx_current_msec / 1000
                               - (ngx_msec_t) (ngx_time() - checked));
    all->nuris++;
}


void
ngx_mcp_remote_subscriptions_every_second(void)
{
    ngx_mcp_zone_root_t  *root;

    root = ngx_mcp_zone()->root;

    if (root->recovery_at == ngx_mcp_remote_subscriptions_recovery
        || root->phase != NGX_MCP_ZONE_READY
        || !ngx_mcp_remote_subscriptions_used())
    {
        return;
    }

    ngx_mcp_remote_subscriptions_recovery = root->recovery_at;

    ngx_memzero(ngx_mcp_remote_subscriptions_keys,
                sizeof(ngx_mcp_remote_subscriptions_keys));

    ngx_mcp_sessions_each(ngx_mcp_remote_subscriptions_again);
}


static void
ngx_mcp_remote_subscriptions_again(ngx_mcp_session_t *s)
{
    if (s->listen.len == 0 && ngx_mcp_remote_subscriptions_asks(s->sid.key)) {
        ngx_mcp_remote_subscriptions_recall(s->sid.key, s->user_key,
                                     s->sid.issued + s->conf->session_ttl);
    }
}


void
ngx_mcp_remote_subscriptions_sync(void)
{
    if (ngx_mcp_zone()->conf->events) {
        ngx_mcp_sessions_each(ngx_mcp_remote_subscriptions_write);
    }
}


static void
ngx_mcp_remote_subscriptions_write(ngx_mcp_session_t *s)
{
    time_t                        checked;
    ngx_str_t                     name;
    ngx_uint_t                    i;
    u_char                        buf[NGX_MCP_REDIS_MAX_KEY_LEN];
    ngx_mcp_subscriptions_all_t   all;

    if (ngx_mcp_subscriptions_get(s->sid.key, &all) != NGX_OK) {
        return;
    }

    ngx_mcp_redis_key(&name, buf, 'u', s->sid.key);

    if (all.level != NGX_MCP_LOG_UNKNOWN) {
        ngx_mcp_remote_subscriptions_set_level(&name, all.level);
    }

    for (i = 0; i < all.nuris; i++) {
        checked = ngx_time() - (time_t) (uint32_t)
                  (ngx_current_msec / 1000 - all.uris[i].checked);

        ngx_mcp_remote_subscriptions_set_uri(&name, all.uris[i].digest,
                                             checked);
    }

    ngx_mcp_remote_subscriptions_expire(&name,
                                        s->sid.issued + s->conf->session_ttl);
}


static void
ngx_mcp_remote_subscriptions_set_level(ngx_str_t *name, ngx_uint_t level)
{
    u_char     digit;
    ngx_str_t  field, value;

    digit = (u_char) ('0' + level);

    ngx_str_set(&field, "level");
    value.len = 1;
    value.data = &digit;

    ngx_mcp_remote_subscriptions_set(name, &field, &value);
}


static void
ngx_mcp_remote_subscriptions_set_uri(ngx_str_t *name, u_char *uri,
    time_t checked)
{
    u_char     hex[NGX_MCP_REDIS_ID_LEN], time[NGX_TIME_T_LEN];
    ngx_str_t  field, value;

    field.data = hex;
    field.len = ngx_hex_dump(hex, uri, NGX_MCP_DIGEST_LEN) - hex;
    value.data = time;
    value.len = ngx_sprintf(time, "%T", checked) - time;

    ngx_mcp_remote_subscriptions_set(name, &field, &value);
}


static void
ngx_mcp_remote_subscriptions_set(ngx_str_t *name, ngx_str_t *field,
    ngx_str_t *value)
{
    ngx_str_t  argv[4];

    ngx_str_set(&argv[0], "HSET");
    argv[1] = *name;
    argv[2] = *field;
    argv[3] = *value;

    (void) ngx_mcp_redis_command(ngx_mcp_redis_ignore, NULL, 4, argv);
}


static void
ngx_mcp_remote_subscriptions_expire(ngx_str_t *name, time_t expires)
{
    u_char     time[NGX_TIME_T_LEN];
    ngx_str_t  argv[3];

    ngx_str_set(&argv[0], "EXPIREAT");
    argv[1] = *name;
    argv[2].data = time;
    argv[2].len = ngx_sprintf(time, "%T", expires) - time;

    (void) ngx_mcp_redis_command(ngx_mcp_redis_ignore, NULL, 3, argv);
}


/*
 * Nothing is kept here: announcements are passed on at once, and ended ids
 * are in the zone.  One that Redis is told of is in a block that the handler
 * of the reply frees.
 */

#include "ngx_mcp_remote_announce.h"


/* of an announcement's body: expiry, end, key, instance, kind; then the data */

#define NGX_HTTP_MCP_SSE_BROADCAST_HEAD                                       \
    (8 + 8 + NGX_HTTP_MCP_SSE_DIGEST + NGX_HTTP_MCP_SSE_INSTANCE + 1)

/* one that comes later is of no use */

#define NGX_HTTP_MCP_SSE_BROADCAST_AGE    5000

#define NGX_HTTP_MCP_SSE_BROADCAST_NAME   "ended"
#define NGX_HTTP_MCP_SSE_BROADCAST_LIMIT  "10000"


typedef struct {
    u_char   key[NGX_HTTP_MCP_SSE_DIGEST];
    time_t   end;
} ngx_http_mcp_sse_broadcast_id_t;


static void ngx_http_mcp_sse_broadcast_tell(ngx_uint_t kind, u_char *key,
    time_t end, u_char *data, size_t len);
static void ngx_http_mcp_sse_broadcast_publish(
    ngx_http_mcp_sse_packet_t *packet);
static void ngx_http_mcp_sse_broadcast_again(u_char *key, time_t end);
static void ngx_http_mcp_sse_broadcast_added(redisAsyncContext *ac,
    void *reply, void *data);
static ngx_int_t ngx_http_mcp_sse_broadcast_add(u_char *key, time_t end,
    redisCallbackFn *handler, void *data);
static void ngx_http_mcp_sse_broadcast_trim(ngx_str_t *name, ngx_str_t *now);
static void ngx_http_mcp_sse_broadcast_read(redisAsyncContext *ac,
    void *reply, void *data);


void
ngx_http_mcp_sse_broadcast(ngx_uint_t kind, u_char *key, time_t end,
    u_char *data, size_t len)
{
    if (!ngx_http_mcp_sse_redis_is_up()) {
        return;
    }

    ngx_http_mcp_sse_broadcast_tell(kind, key, end, data, len);

    if (end) {
        (void) ngx_http_mcp_sse_broadcast_add(key, end,
                                       ngx_http_mcp_sse_redis_ignore, NULL);
    }
}


static void
ngx_http_mcp_sse_broadcast_tell(ngx_uint_t kind, u_char *key, time_t end,
    u_char *data, size_t len)
{
    u_char                     *p;
    int64_t                     expires;
    ngx_http_mcp_sse_packet_t  *packet;

    packet = ngx_http_mcp_sse_packet_alloc(NGX_HTTP_MCP_SSE_BROADCAST_HEAD
                                           + len, ngx_cycle->log);
    if (packet == NULL) {
        return;
    }

    expires = ngx_http_mcp_sse_redis_now() + NGX_HTTP_MCP_SSE_BROADCAST_AGE;

    p = ngx_http_mcp_sse_packet_put(packet->body, (uint64_t) expires);
    p = ngx_http_mcp_sse_packet_put(p, (uint64_t) end);
    p = ngx_cpymem(p, key, NGX_HTTP_MCP_SSE_DIGEST);
    p = ngx_cpymem(p, ngx_http_mcp_sse_zone()->root->instance,
                   NGX_HTTP_MCP_SSE_INSTANCE);
    *p++ = (u_char) kind;

    if (len) {
        ngx_memcpy(p, data, len);
    }

    ngx_http_mcp_sse_broadcast_publish(packet);

    ngx_free(packet);
}


static void
ngx_http_mcp_sse_broadcast_publish(ngx_http_mcp_sse_packet_t *packet)
{
    ngx_str_t  bytes;

    if (ngx_http_mcp_sse_packet_seal(packet, NGX_HTTP_MCP_SSE_PACKET_NEWS,
                                     NULL)
        != NGX_OK)
    {
        return;
    }

    bytes.len = packet->size;
    bytes.data = packet->data;

    (void) ngx_http_mcp_sse_redis_publish_all(&bytes,
                                       ngx_http_mcp_sse_redis_ignore, NULL);
}


void
ngx_http_mcp_sse_broadcast_hear(ngx_http_mcp_sse_received_t *received)
{
    u_char                   *p, *key;
    size_t                    len;
    int64_t                   expires;
    time_t                    end;
    ngx_uint_t                kind;
    ngx_http_mcp_sse_seen_t  *seen;

    if (received->body.len < NGX_HTTP_MCP_SSE_BROADCAST_HEAD) {
        ngx_http_mcp_sse_count(NGX_HTTP_MCP_SSE_COUNT_REDIS_MALFORMED);
        return;
    }

    len = received->body.len - NGX_HTTP_MCP_SSE_BROADCAST_HEAD;

    p = received->body.data;
    expires = (int64_t) ngx_http_mcp_sse_packet_get(p);
    end = (time_t) ngx_http_mcp_sse_packet_get(p + 8);
    key = p + 16;
    p = key + NGX_HTTP_MCP_SSE_DIGEST;

    /* workers of this instance were told by the zone */

    if (ngx_memcmp(p, ngx_http_mcp_sse_zone()->root->instance,
                   NGX_HTTP_MCP_SSE_INSTANCE)
        == 0)
    {
        return;
    }

    kind = p[NGX_HTTP_MCP_SSE_INSTANCE];
    p += NGX_HTTP_MCP_SSE_INSTANCE + 1;

    if (ngx_http_mcp_sse_redis_now() >= expires) {
        ngx_http_mcp_sse_count(NGX_HTTP_MCP_SSE_COUNT_REDIS_EXPIRED);
        return;
    }

    if (ngx_http_mcp_sse_window_enter(&received->sender->news,
                                      received->number, expires, &seen,
                                      ngx_cycle->log)
        != NGX_OK)
    {
        ngx_http_mcp_sse_count(NGX_HTTP_MCP_SSE_COUNT_REDIS_REPLAYED);
        return;
    }

    if (end) {
        (void) ngx_http_mcp_sse_revoked_add(key, end);
    }

    if (len <= NGX_HTTP_MCP_SSE_MAX_NEWS_LEN) {
        ngx_http_mcp_sse_news_tell_self(kind, key, p, len);
    }
}


void
ngx_http_mcp_sse_broadcast_ended(void)
{
    u_char     buf[NGX_HTTP_MCP_SSE_REDIS_MAX_KEY], time[NGX_TIME_T_LEN];
    ngx_str_t  argv[8];

    /* ours, for the others */

    ngx_http_mcp_sse_revoked_each(ngx_http_mcp_sse_broadcast_again);

    /* theirs, for us */

    ngx_str_set(&argv[0], "ZRANGEBYSCORE");
    ngx_http_mcp_sse_redis_word(&argv[1], buf, NGX_HTTP_MCP_SSE_BROADCAST_NAME);
    argv[2].data = time;
    argv[2].len = ngx_sprintf(time, "%T", ngx_time()) - time;
    ngx_str_set(&argv[3], "+inf");
    ngx_str_set(&argv[4], "WITHSCORES");
    ngx_str_set(&argv[5], "LIMIT");
    ngx_str_set(&argv[6], "0");
    ngx_str_set(&argv[7], NGX_HTTP_MCP_SSE_BROADCAST_LIMIT);

    (void) ngx_http_mcp_sse_redis_command(ngx_http_mcp_sse_broadcast_read,
                                          NULL, 8, argv);

    ngx_http_mcp_sse_broadcast_trim(&argv[1], &argv[2]);
}


static void
ngx_http_mcp_sse_broadcast_again(u_char *key, time_t end)
{
    ngx_http_mcp_sse_broadcast_id_t  *id;

    id = ngx_alloc(sizeof(ngx_http_mcp_sse_broadcast_id_t), ngx_cycle->log);
    if (id == NULL) {
        return;
    }

    ngx_memcpy(id->key, key, NGX_HTTP_MCP_SSE_DIGEST);
    id->end = end;

    if (ngx_http_mcp_sse_broadcast_add(key, end,
                                       ngx_http_mcp_sse_broadcast_added, id)
        != NGX_OK)
    {
        ngx_free(id);
    }
}


/*
 * What Redis did not know, others that were here before do not know either.
 */

static void
ngx_http_mcp_sse_broadcast_added(redisAsyncContext *ac, void *reply,
    void *data)
{
    redisReply                       *r = reply;
    ngx_http_mcp_sse_broadcast_id_t  *id = data;

    if (r
        && r->type == REDIS_REPLY_INTEGER
        && r->integer
        && ngx_http_mcp_sse_redis_is_up())
    {
        ngx_http_mcp_sse_broadcast_tell(NGX_HTTP_MCP_SSE_NEWS_ENDED, id->key,
                                        id->end, NULL, 0);
    }

    ngx_http_mcp_sse_redis_ignore(ac, reply, NULL);

    ngx_free(id);
}


static ngx_int_t
ngx_http_mcp_sse_broadcast_add(u_char *key, time_t end,
    redisCallbackFn *handler, void *data)
{
    u_char     buf[NGX_HTTP_MCP_SSE_REDIS_MAX_KEY], time[NGX_TIME_T_LEN];
    u_char     hex[NGX_HTTP_MCP_SSE_REDIS_HEX];
    ngx_str_t  argv[4];

    ngx_str_set(&argv[0], "ZADD");
    ngx_http_mcp_sse_redis_word(&argv[1], buf, NGX_HTTP_MCP_SSE_BROADCAST_NAME);
    argv[2].data = time;
    argv[2].len = ngx_sprintf(time, "%T", end) - time;
    argv[3].data = hex;
    argv[3].len = ngx_hex_dump(hex, key, NGX_HTTP_MCP_SSE_DIGEST) - hex;

    return ngx_http_mcp_sse_redis_command(handler, data, 4, argv);
}


/*
 * Takes off what has ended by itself.
 */

static void
ngx_http_mcp_sse_broadcast_trim(ngx_str_t *name, ngx_str_t *now)
{
    ngx_str_t  argv[4];

    ngx_str_set(&argv[0], "ZREMRANGEBYSCORE");
    argv[1] = *name;
    ngx_str_set(&argv[2], "-inf");
    argv[3] = *now;

    (void) ngx_http_mcp_sse_redis_command(ngx_http_mcp_sse_redis_ignore,
                                          NULL, 4, argv);
}


static void
ngx_http_mcp_sse_broadcast_read(redisAsyncContext *ac, void *reply,
    void *data)
{
    u_char       key[NGX_HTTP_MCP_SSE_WORKER_ID];
    time_t       end;
    ngx_uint_t   i;
    redisReply  *r = reply, *score;

    if (r == NULL || r->type != REDIS_REPLY_ARRAY) {
        ngx_http_mcp_sse_redis_ignore(ac, reply, data);
        return;
    }

    for (i = 0; i + 1 < r->elements; i += 2) {

        score = r->element[i + 1];

        if (score->type != REDIS_REPLY_STRING
            || ngx_http_mcp_sse_redis_id(key, r->element[i]) != NGX_OK)
        {
            continue;
        }

        end = ngx_atotm((u_char *) score->str, score->len);

        if (end != (time_t) NGX_ERROR) {
            (void) ngx_http_mcp_sse_revoked_add(key, end);
        }
    }

    /* another worker may have read, and added, the same before */

    ngx_http_mcp_sse_news_look();
}

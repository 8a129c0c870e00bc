
/*
 * The table links sessions and does not own them.
 */

#include "ngx_mcp_bus.h"
#include "ngx_mcp_remote_announce.h"
#include "ngx_mcp_presence.h"
#include "ngx_mcp_remote_recv.h"


static void ngx_http_mcp_sse_bus_up(void);
static void ngx_http_mcp_sse_bus_restore(void);
static void ngx_http_mcp_sse_bus_packet(
    ngx_http_mcp_sse_received_t *received);
static void ngx_http_mcp_sse_bus_second(void);
static ngx_int_t ngx_http_mcp_sse_bus_forward(u_char *key,
    ngx_http_mcp_sse_envelope_t *env, ngx_log_t *log);
static ngx_int_t ngx_http_mcp_sse_bus_put(u_char *key,
    ngx_http_mcp_sse_envelope_t *env, ngx_uint_t *path, ngx_log_t *log);


static ngx_rbtree_t                   ngx_http_mcp_sse_bus_table;
static ngx_rbtree_node_t              ngx_http_mcp_sse_bus_sentinel;
static ngx_http_mcp_sse_bus_owner_t  *ngx_http_mcp_sse_bus_owner;

static ngx_http_mcp_sse_receipt_bus_t  ngx_http_mcp_sse_bus_receipt = {
    ngx_http_mcp_sse_bus_forward,
    ngx_http_mcp_sse_bus_find
};

static ngx_http_mcp_sse_redis_user_t  ngx_http_mcp_sse_bus_redis = {
    ngx_http_mcp_sse_alive_join,
    ngx_http_mcp_sse_bus_up,
    ngx_http_mcp_sse_bus_packet,
    ngx_http_mcp_sse_bus_second
};


ngx_int_t
ngx_http_mcp_sse_bus_init(ngx_cycle_t *cycle,
    ngx_http_mcp_sse_bus_owner_t *owner)
{
    ngx_rbtree_init(&ngx_http_mcp_sse_bus_table,
                    &ngx_http_mcp_sse_bus_sentinel, ngx_rbtree_insert_value);

    ngx_http_mcp_sse_bus_owner = owner;

    if (ngx_http_mcp_sse_shm_init(cycle, owner, ngx_http_mcp_sse_bus_find)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ngx_http_mcp_sse_zone()->conf->redis == NULL) {
        return NGX_OK;
    }

    ngx_http_mcp_sse_alive_init(ngx_http_mcp_sse_bus_restore);
    ngx_http_mcp_sse_presence_init(owner, ngx_http_mcp_sse_bus_find);

    return ngx_http_mcp_sse_redis_init(ngx_http_mcp_sse_shm_self(),
                                       &ngx_http_mcp_sse_bus_redis,
                                       cycle->log);
}


void
ngx_http_mcp_sse_bus_exit(void)
{
    if (ngx_http_mcp_sse_redis_used()) {
        ngx_http_mcp_sse_alive_dead(ngx_http_mcp_sse_shm_self()->id);
        ngx_http_mcp_sse_redis_exit();
    }

    ngx_http_mcp_sse_shm_exit();
}


static void
ngx_http_mcp_sse_bus_up(void)
{
    ngx_http_mcp_sse_alive_up();
    ngx_http_mcp_sse_bus_restore();
}


/*
 * Puts all that Redis is to know there, for the first time or again.
 */

static void
ngx_http_mcp_sse_bus_restore(void)
{
    ngx_http_mcp_sse_presence_all();
    ngx_http_mcp_sse_broadcast_ended();
}


static void
ngx_http_mcp_sse_bus_packet(ngx_http_mcp_sse_received_t *received)
{
    switch (received->type) {

    case NGX_HTTP_MCP_SSE_PACKET_MESSAGE:
        ngx_http_mcp_sse_receipt(received, &ngx_http_mcp_sse_bus_receipt);
        return;

    case NGX_HTTP_MCP_SSE_PACKET_VERDICT:
        ngx_http_mcp_sse_delivery_verdict(received);
        return;

    case NGX_HTTP_MCP_SSE_PACKET_HEARD:
        ngx_http_mcp_sse_receipt_heard(received);
        return;

    case NGX_HTTP_MCP_SSE_PACKET_NEWS:
        ngx_http_mcp_sse_broadcast_hear(received);
        return;

    case NGX_HTTP_MCP_SSE_PACKET_REPLACED:

        if (received->body.len == NGX_HTTP_MCP_SSE_DIGEST) {
            ngx_http_mcp_sse_presence_replaced(received->body.data);
            return;
        }
    }

    ngx_http_mcp_sse_count(NGX_HTTP_MCP_SSE_COUNT_REDIS_MALFORMED);
}


static void
ngx_http_mcp_sse_bus_second(void)
{
    int64_t  now;

    now = ngx_http_mcp_sse_redis_now();

    ngx_http_mcp_sse_packet_expire(now);
    ngx_http_mcp_sse_receipt_expire(now);

    ngx_http_mcp_sse_alive_second();
    ngx_http_mcp_sse_presence_second();
}


ngx_int_t
ngx_http_mcp_sse_bus_register(ngx_http_mcp_sse_session_t *s, u_char *user,
    ngx_uint_t max)
{
    ngx_int_t                    rc;
    ngx_http_mcp_sse_session_t  *old;

    old = ngx_http_mcp_sse_bus_find(s->sid.key);

    if (old) {
        ngx_http_mcp_sse_bus_owner->close(old, NGX_HTTP_MCP_SSE_REPLACED);
    }

    ngx_memcpy(s->user_key, user, NGX_HTTP_MCP_SSE_DIGEST);

    rc = ngx_http_mcp_sse_registry_enter(s, user, max);

    if (rc != NGX_OK) {
        return rc;
    }

    ngx_http_mcp_sse_zone_insert(&ngx_http_mcp_sse_bus_table, &s->node,
                                 s->sid.key);
    s->listed = 1;

    ngx_http_mcp_sse_presence_enter(s);

    return NGX_OK;
}


void
ngx_http_mcp_sse_bus_unregister(ngx_http_mcp_sse_session_t *s,
    ngx_msec_t grace)
{
    /* as long as it is listed here, it is told of a zone that is damaged */

    ngx_http_mcp_sse_registry_leave(s, grace);
    ngx_http_mcp_sse_presence_leave(s);

    if (s->listed) {
        ngx_rbtree_delete(&ngx_http_mcp_sse_bus_table, &s->node);
        s->listed = 0;
    }
}


void
ngx_http_mcp_sse_bus_each(void (*handler)(ngx_http_mcp_sse_session_t *s))
{
    ngx_rbtree_node_t  *node, *next;

    node = ngx_http_mcp_sse_bus_table.root;

    if (node == &ngx_http_mcp_sse_bus_sentinel) {
        return;
    }

    node = ngx_rbtree_min(node, &ngx_http_mcp_sse_bus_sentinel);

    for ( /* void */ ; node; node = next) {
        next = ngx_rbtree_next(&ngx_http_mcp_sse_bus_table, node);

        handler(ngx_rbtree_data(node, ngx_http_mcp_sse_session_t, node));
    }
}


ngx_int_t
ngx_http_mcp_sse_bus_deliver(u_char *key, ngx_http_mcp_sse_envelope_t *env,
    ngx_log_t *log)
{
    ngx_int_t   rc;
    ngx_uint_t  path;

    rc = ngx_http_mcp_sse_bus_put(key, env, &path, log);

    if (rc == NGX_OK) {
        ngx_http_mcp_sse_count(path);
    }

    return rc;
}


/*
 * The same for what has come by way of Redis, and is counted there.
 */

static ngx_int_t
ngx_http_mcp_sse_bus_forward(u_char *key, ngx_http_mcp_sse_envelope_t *env,
    ngx_log_t *log)
{
    ngx_uint_t  path;

    return ngx_http_mcp_sse_bus_put(key, env, &path, log);
}


static ngx_int_t
ngx_http_mcp_sse_bus_put(u_char *key, ngx_http_mcp_sse_envelope_t *env,
    ngx_uint_t *path, ngx_log_t *log)
{
    ngx_int_t                    rc;
    ngx_http_mcp_sse_record_t   *record;
    ngx_http_mcp_sse_session_t  *s;

    s = ngx_http_mcp_sse_bus_find(key);
    record = s ? s->record : NULL;

    /* a record that is not listed any more belongs to a replaced session */

    if (record && record->has_news) {

        /* what came by other workers came first; it may end the session */

        ngx_http_mcp_sse_shm_drain();

        s = ngx_http_mcp_sse_bus_find(key);
        record = s ? s->record : NULL;
    }

    if (record && record->listed) {
        *path = NGX_HTTP_MCP_SSE_COUNT_OWN;

        rc = ngx_http_mcp_sse_inbox_accept(s, env);

        if (rc == NGX_OK) {
            ngx_http_mcp_sse_bus_owner->receive(s, env);
        }

        return rc;
    }

    *path = NGX_HTTP_MCP_SSE_COUNT_ZONE;

    rc = ngx_http_mcp_sse_inbox_deliver(key, env, log);

    if (rc == NGX_OK) {
        ngx_http_mcp_sse_envelope_free(env);
    }

    return rc;
}


ngx_int_t
ngx_http_mcp_sse_bus_deliver_far(ngx_http_mcp_sse_delivery_t *d)
{
    return ngx_http_mcp_sse_redis_used() ? ngx_http_mcp_sse_delivery_start(d)
                                         : NGX_DECLINED;
}


ngx_uint_t
ngx_http_mcp_sse_bus_unsure(void)
{
    if (ngx_http_mcp_sse_zone()->root->phase != NGX_HTTP_MCP_SSE_ZONE_WHOLE) {
        return 1;
    }

    return ngx_http_mcp_sse_redis_used()
           && (!ngx_http_mcp_sse_redis_is_up()
               || ngx_http_mcp_sse_alive_unsure());
}


void
ngx_http_mcp_sse_bus_announce(ngx_uint_t kind, u_char *key, u_char *data,
    size_t len)
{
    (void) ngx_http_mcp_sse_news_tell(kind, key, data, len);

    ngx_http_mcp_sse_broadcast(kind, key, 0, data, len);
}


ngx_int_t
ngx_http_mcp_sse_bus_revoke(u_char *key, time_t end)
{
    ngx_int_t  rc;

    rc = ngx_http_mcp_sse_revoked_add(key, end);

    if (rc == NGX_OK) {
        (void) ngx_http_mcp_sse_news_tell(NGX_HTTP_MCP_SSE_NEWS_ENDED, key,
                                          NULL, 0);

        ngx_http_mcp_sse_broadcast(NGX_HTTP_MCP_SSE_NEWS_ENDED, key, end,
                                   NULL, 0);
    }

    return rc;
}


ngx_http_mcp_sse_session_t *
ngx_http_mcp_sse_bus_find(u_char *key)
{
    ngx_rbtree_node_t  *node;

    node = ngx_http_mcp_sse_zone_find(&ngx_http_mcp_sse_bus_table, key,
                    offsetof(ngx_http_mcp_sse_session_t, sid)
                    + offsetof(ngx_http_mcp_sse_sid_t, key)
                    - offsetof(ngx_http_mcp_sse_session_t, node));

    return node ? ngx_rbtree_data(node, ngx_http_mcp_sse_session_t, node)
                : NULL;
}


/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Delivers messages to the worker that owns their session.
 *
 * DESIGN.  The way to a session depends on where its owner is:
 *
 *     this worker      its table of sessions; the envelope is handed over
 *     another worker   the inbox of the session in the zone, a copy, and a
 *                      datagram that wakes the owner
 *     another instance Redis, a sealed packet, ngx_mcp_remote_send.c
 *
 * ngx_mcp_bus_deliver() knows the first two, which are decided at once.  The
 * third takes time, so endpoint/ngx_mcp_pending.c suspends its request for it.
 * On the way in, a packet goes to the file that sends or receives its type.
 */

#include "ngx_mcp_bus.h"
#include "ngx_mcp_unregister.h"
#include "ngx_mcp_remote_announce.h"
#include "ngx_mcp_presence.h"
#include "ngx_mcp_remote_recv.h"
#include "ngx_mcp_remote_subscriptions.h"


static ngx_int_t ngx_mcp_bus_registered(ngx_log_t *log);
static void ngx_mcp_bus_up(void);
static void ngx_mcp_bus_packet(ngx_mcp_packet_received_t *received);
static void ngx_mcp_bus_every_second(void);


static ngx_mcp_redis_user_t  ngx_mcp_bus_redis = {
    ngx_mcp_worker_lease_join,
    ngx_mcp_bus_up,
    ngx_mcp_bus_packet,
    ngx_mcp_bus_every_second
};


ngx_int_t
ngx_mcp_bus_init(ngx_cycle_t *cycle, ngx_mcp_session_handlers_t *handlers)
{
    ngx_mcp_sessions_init(handlers);

    return ngx_mcp_workers_init(cycle, ngx_mcp_bus_registered);
}


static ngx_int_t
ngx_mcp_bus_registered(ngx_log_t *log)
{
    if (ngx_mcp_zone()->conf->redis == NULL) {
        return NGX_OK;
    }

    ngx_mcp_presence_init();

    return ngx_mcp_redis_init(ngx_mcp_workers_self(), &ngx_mcp_bus_redis, log);
}


void
ngx_mcp_bus_exit(void)
{
    if (ngx_mcp_redis_used()) {
        ngx_mcp_worker_lease_exit();
        ngx_mcp_redis_exit();
    }

    ngx_mcp_workers_exit();
}


static void
ngx_mcp_bus_up(void)
{
    ngx_mcp_worker_lease_up();
    ngx_mcp_bus_restore();
}


void
ngx_mcp_bus_restore(void)
{
    ngx_mcp_presence_all();
    ngx_mcp_remote_announce_sync();
    ngx_mcp_remote_subscriptions_sync();
}


static void
ngx_mcp_bus_packet(ngx_mcp_packet_received_t *received)
{
    switch (received->type) {

    case NGX_MCP_PACKET_MESSAGE:
        ngx_mcp_remote_recv(received);
        return;

    case NGX_MCP_PACKET_ACK:
        ngx_mcp_remote_send_acked(received);
        return;

    case NGX_MCP_PACKET_ACK_RECEIVED:
        ngx_mcp_remote_recv_confirmed(received);
        return;

    case NGX_MCP_PACKET_ANNOUNCE:
        ngx_mcp_remote_announce_receive(received);
        return;

    case NGX_MCP_PACKET_REPLACED:

        if (received->body.len == NGX_MCP_DIGEST_LEN) {
            ngx_mcp_presence_replaced(received->body.data);
            return;
        }
    }

    ngx_mcp_count(NGX_MCP_COUNT_REDIS_MALFORMED);
}


static void
ngx_mcp_bus_every_second(void)
{
    ngx_mcp_packet_expire(ngx_current_msec);
    ngx_mcp_remote_recv_expire();

    ngx_mcp_worker_lease_every_second();
    ngx_mcp_presence_every_second();
    ngx_mcp_remote_subscriptions_every_second();
}


ngx_int_t
ngx_mcp_bus_register(ngx_mcp_session_t *s, u_char *user, ngx_uint_t max)
{
    ngx_int_t           rc;
    ngx_mcp_session_t  *old;

    /* streams of Streamable HTTP stand side by side */

    old = s->streamable ? NULL : ngx_mcp_sessions_find(s->sid.key);

    if (old) {
        ngx_mcp_sessions_close(old, NGX_MCP_CLOSE_REPLACED);
    }

    ngx_memcpy(s->user_key, user, NGX_MCP_DIGEST_LEN);

    rc = ngx_mcp_registry_enter(s, user, max);

    if (rc != NGX_OK) {
        return rc;
    }

    ngx_mcp_sessions_add(s);

    /* what is in Redis is for messages of other instances and for take-overs */

    if (!s->streamable) {
        ngx_mcp_presence_enter(s);
    }

    return NGX_OK;
}


void
ngx_mcp_bus_unregister(ngx_mcp_session_t *s, ngx_msec_t grace, ngx_str_t *ids,
    ngx_uint_t n)
{
    /* recovery, which may run inside, finds it in the table of sessions */

    ngx_mcp_unregister(s, grace, ids, n);
    ngx_mcp_presence_leave(s);

    ngx_mcp_sessions_remove(s);
}


ngx_mcp_delivery_e
ngx_mcp_bus_deliver(u_char *key, ngx_mcp_envelope_t *env, ngx_uint_t forwarded,
    ngx_log_t *log)
{
    ngx_uint_t                 path;
    ngx_mcp_session_t         *s;
    ngx_mcp_delivery_e         rc;
    ngx_mcp_session_record_t  *record;

    s = ngx_mcp_sessions_find(key);
    record = s ? s->record : NULL;

    if (record && record->queued) {

        /* other workers' messages came before; one of them may end it */

        ngx_mcp_workers_drain();

        s = ngx_mcp_sessions_find(key);
        record = s ? s->record : NULL;
    }

    /* a record that is not listed belongs to a replaced session */

    if (record && record->listed) {
        path = NGX_MCP_COUNT_OWN;

        rc = ngx_mcp_inbox_accept(s, env);

        if (rc == NGX_MCP_DELIVERY_ACCEPTED) {
            ngx_mcp_sessions_receive(s, env);
        }

    } else {
        path = NGX_MCP_COUNT_ZONE;

        rc = ngx_mcp_inbox_deliver(key, env, log);

        if (rc == NGX_MCP_DELIVERY_ACCEPTED) {
            ngx_mcp_envelope_free(env);
        }
    }

    ngx_log_debug2(NGX_LOG_DEBUG_CORE, log, 0,
                   "mcp bus: %s, outcome:%d",
                   path == NGX_MCP_COUNT_OWN ? "own worker" : "zone",
                   (int) rc);

    if (rc == NGX_MCP_DELIVERY_ACCEPTED && !forwarded) {
        ngx_mcp_count(path);
    }

    return rc;
}


ngx_uint_t
ngx_mcp_bus_maybe_lost(void)
{
    if (ngx_mcp_zone()->root->phase != NGX_MCP_ZONE_READY) {
        return 1;
    }

    return ngx_mcp_redis_used()
           && (!ngx_mcp_redis_is_up() || ngx_mcp_worker_lease_maybe_lost());
}


void
ngx_mcp_bus_announce(ngx_uint_t kind, u_char *key, u_char *data, size_t len)
{
    ngx_log_debug1(NGX_LOG_DEBUG_CORE, ngx_cycle->log, 0,
                   "mcp bus: announce, kind:%ui", kind);

    (void) ngx_mcp_announce(kind, key, data, len);

    ngx_mcp_remote_announce(kind, key, 0, data, len);
}


ngx_int_t
ngx_mcp_bus_revoke(u_char *key, u_char *user, time_t end)
{
    ngx_int_t  rc;

    rc = ngx_mcp_revocation_add(key, user, end);

    if (rc == NGX_OK) {
        ngx_mcp_subscriptions_forget(key);
        ngx_mcp_remote_subscriptions_forget(key);

        (void) ngx_mcp_announce(NGX_MCP_ANNOUNCE_ENDED, key, NULL, 0);

        ngx_mcp_remote_announce(NGX_MCP_ANNOUNCE_ENDED, key, end, user,
                                NGX_MCP_DIGEST_LEN);
    }

    return rc;
}


/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Receives messages of other instances for sessions of this one, executes each
 * once and acknowledges it.
 *
 * DESIGN.  The replay window of the sender keeps the acknowledgement of each
 * packet until the packet expires, so that a packet that is sent again gets
 * the same acknowledgement.
 *
 * A message that has to wait for its turn is acknowledged as waiting, and the
 * sender confirms that.  Until then it is unconfirmed: if the acknowledgement
 * was lost, the client is refused when the message expires, so the message
 * must not start after that (ngx_mcp_dispatch.c).
 *
 * The expiry of a packet is a time of the master that it names, and two masters
 * are two clocks.  This worker judges it once, when the packet is new and while
 * it has joined that master itself; whatever it keeps from then on has times of
 * ngx_current_msec.  A new packet of another master is refused: its number
 * enters the window as STREAM_LOST, and the sender then sends the message in a
 * new packet.  A copy of the refused packet that comes later, through any
 * master, has the same answer and never runs.  Therefore:
 *
 *     - no message runs twice: a number is decided once, and when it leaves the
 *       window the floor refuses it, whatever time it is;
 *     - none runs after its refusal: it is accepted only by the clock by which
 *       it was sealed, and one that waits starts after that only if its sender
 *       has confirmed that its client gets 202;
 *     - none that had its 202 is lost: what was accepted stays so when masters
 *       change, and is acknowledged again, and confirmed, over any of them.
 *
 * A master that is not known, since INFO is not permitted, is taken for the
 * same one.
 *
 * The packet is part of the reply of Redis, which the connection frees when
 * this file has handled it.  The envelope is a copy, which the session
 * owns as soon as it is delivered; an unconfirmed message has a reference.
 */

#include "ngx_mcp_remote_recv.h"
#include "ngx_mcp_bus.h"
#include "ngx_mcp_places.h"


/* for how long the number of a packet of another master is known */

#define NGX_MCP_REMOTE_RECV_OTHER_MS  60000


/* an accepted message whose acknowledgement is not confirmed */

typedef struct {
    ngx_queue_t                   queue;
    u_char                        sender[NGX_MCP_PACKET_ID_LEN];
    uint64_t                      number;
    ngx_msec_t                    expires;
    ngx_mcp_envelope_t           *envelope;
} ngx_mcp_remote_recv_unconfirmed_t;


static ngx_mcp_replay_window_entry_t *ngx_mcp_remote_recv_again(
    ngx_mcp_packet_received_t *received, ngx_mcp_replay_window_entry_t *seen);
static ngx_mcp_replay_window_entry_t *ngx_mcp_remote_recv_new(
    ngx_mcp_packet_received_t *received);
static void ngx_mcp_remote_recv_expired(ngx_mcp_packet_received_t *received);
static ngx_uint_t ngx_mcp_remote_recv_deliver(
    ngx_mcp_packet_received_t *received, u_char *key, ngx_msec_t expires);
static ngx_uint_t ngx_mcp_remote_recv_waiting(ngx_mcp_session_t *s,
    ngx_mcp_envelope_t *env);
static ngx_int_t ngx_mcp_remote_recv_add_unconfirmed(
    ngx_mcp_packet_received_t *received, ngx_mcp_envelope_t *env,
    ngx_msec_t expires);
static void ngx_mcp_remote_recv_remove(
    ngx_mcp_remote_recv_unconfirmed_t *unconfirmed);
static void ngx_mcp_remote_recv_ack(ngx_mcp_packet_received_t *received,
    u_char *attempt, ngx_uint_t ack);


static ngx_queue_t  ngx_mcp_remote_recv_queue = {
    &ngx_mcp_remote_recv_queue, &ngx_mcp_remote_recv_queue
};


void
ngx_mcp_remote_recv(ngx_mcp_packet_received_t *received)
{
    ngx_mcp_replay_window_entry_t  *seen;

    if (received->body.len < NGX_MCP_REMOTE_HEAD_LEN) {
        ngx_mcp_count(NGX_MCP_COUNT_REDIS_MALFORMED);
        return;
    }

    /* the time of reading may be long ago: an expired message must not start */

    ngx_time_update();

    seen = ngx_mcp_replay_window_find(&received->sender->window,
                                      received->number);

    seen = seen ? ngx_mcp_remote_recv_again(received, seen)
                : ngx_mcp_remote_recv_new(received);

    if (seen == NULL) {
        return;
    }

    ngx_log_debug2(NGX_LOG_DEBUG_CORE, ngx_cycle->log, 0,
                   "mcp remote recv: packet %uL, ack:%ui", received->number,
                   seen->ack);

    ngx_mcp_remote_recv_ack(received, received->body.data, seen->ack);
}


/*
 * A waiting message may have been given up at its expiry, so it is not
 * acknowledged after that.
 */

static ngx_mcp_replay_window_entry_t *
ngx_mcp_remote_recv_again(ngx_mcp_packet_received_t *received,
    ngx_mcp_replay_window_entry_t *seen)
{
    if ((ngx_msec_int_t) (seen->expires - ngx_current_msec)
        <= NGX_MCP_REMOTE_GUARD_MS)
    {
        ngx_mcp_remote_recv_expired(received);
        return NULL;
    }

    ngx_log_debug1(NGX_LOG_DEBUG_CORE, ngx_cycle->log, 0,
                   "mcp remote recv: packet %uL again", received->number);

    ngx_mcp_count(NGX_MCP_COUNT_REDIS_DUPLICATE);

    return seen;
}


/*
 * Returns NULL if the packet gets no acknowledgement.
 */

static ngx_mcp_replay_window_entry_t *
ngx_mcp_remote_recv_new(ngx_mcp_packet_received_t *received)
{
    u_char                         *p;
    int64_t                         now, expires;
    ngx_int_t                       rc;
    ngx_uint_t                      other;
    ngx_mcp_replay_window_entry_t  *seen;

    p = received->body.data;

    now = ngx_mcp_redis_now();
    other = ngx_mcp_remote_recv_is_other(ngx_mcp_packet_get(p + 16));

    expires = other ? now + NGX_MCP_REMOTE_RECV_OTHER_MS
                    : (int64_t) ngx_mcp_packet_get(p + 8);

    if (now + NGX_MCP_REMOTE_GUARD_MS >= expires) {
        ngx_mcp_remote_recv_expired(received);
        return NULL;
    }

    rc = ngx_mcp_replay_window_enter(&received->sender->window,
                          received->number,
                          ngx_current_msec + (ngx_msec_t) (expires - now),
                          &seen, ngx_cycle->log);

    if (rc == NGX_DECLINED) {
        ngx_mcp_count(NGX_MCP_COUNT_REDIS_REPLAYED);
    }

    if (rc != NGX_OK) {
        return NULL;
    }

    if (other) {
        ngx_log_error(NGX_LOG_INFO, ngx_cycle->log, 0,
                      "mcp sse: a message that was sent by another master of "
                      "redis is not executed");

        seen->ack = NGX_MCP_ACK_STREAM_LOST;

    } else {
        seen->ack = ngx_mcp_remote_recv_deliver(received, p + 24,
                                                seen->expires);
    }

    return seen;
}


static void
ngx_mcp_remote_recv_expired(ngx_mcp_packet_received_t *received)
{
    ngx_log_debug1(NGX_LOG_DEBUG_CORE, ngx_cycle->log, 0,
                   "mcp remote recv: packet %uL expired", received->number);

    ngx_mcp_count(NGX_MCP_COUNT_REDIS_EXPIRED);
}


ngx_uint_t
ngx_mcp_remote_recv_is_other(uint64_t master)
{
    uint64_t  own;

    own = ngx_mcp_redis_master();

    return own && master && own != master;
}


/*
 * Returns the acknowledgement.
 */

static ngx_uint_t
ngx_mcp_remote_recv_deliver(ngx_mcp_packet_received_t *received, u_char *key,
    ngx_msec_t expires)
{
    size_t               size;
    ngx_str_t           *body;
    ngx_uint_t           ack;
    ngx_mcp_session_t   *s;
    ngx_mcp_delivery_e   rc;
    ngx_mcp_envelope_t  *env;

    body = &received->body;
    size = body->len - NGX_MCP_REMOTE_HEAD_LEN;

    env = ngx_mcp_envelope_alloc(size, ngx_mcp_packet_get(key + 16),
                                 ngx_cycle->log);
    if (env == NULL) {
        return ngx_mcp_remote_send_ack(NGX_MCP_DELIVERY_ERROR);
    }

    ngx_memcpy(env->data, body->data + NGX_MCP_REMOTE_HEAD_LEN, size);

    s = ngx_mcp_sessions_find(key);

    /* for the code below: another worker of this instance gets a copy */

    env->refs++;

    rc = ngx_mcp_bus_deliver(key, env, 1, ngx_cycle->log);
    ack = ngx_mcp_remote_send_ack(rc);

    if (rc != NGX_MCP_DELIVERY_ACCEPTED) {
        ngx_mcp_envelope_free(env);

    } else {
        ngx_mcp_count(NGX_MCP_COUNT_REDIS_RECEIVED);

        if (s
            && s == ngx_mcp_sessions_find(key)
            && ngx_mcp_remote_recv_waiting(s, env)
            && ngx_mcp_remote_recv_add_unconfirmed(received, env, expires)
               == NGX_OK)
        {
            ack = NGX_MCP_ACK_WAITING;
        }
    }

    ngx_mcp_envelope_free(env);

    return ack;
}


/*
 * Whether an envelope in the inbox of the session may not start at once.
 */

static ngx_uint_t
ngx_mcp_remote_recv_waiting(ngx_mcp_session_t *s, ngx_mcp_envelope_t *env)
{
    return ngx_mcp_places_used()
           || s->ncalls + env->nmessages > (ngx_uint_t) s->conf->max_calls
           || !ngx_queue_empty(&s->waiting)
           || ngx_queue_head(&s->inbox) != &env->queue;
}


static ngx_int_t
ngx_mcp_remote_recv_add_unconfirmed(ngx_mcp_packet_received_t *received,
    ngx_mcp_envelope_t *env, ngx_msec_t expires)
{
    ngx_mcp_remote_recv_unconfirmed_t  *unconfirmed;

    unconfirmed = ngx_alloc(sizeof(ngx_mcp_remote_recv_unconfirmed_t),
                            ngx_cycle->log);
    if (unconfirmed == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(unconfirmed->sender, received->sender->id,
               NGX_MCP_PACKET_ID_LEN);
    unconfirmed->number = received->number;
    unconfirmed->expires = expires;
    unconfirmed->envelope = env;

    env->refs++;
    env->unconfirmed = 1;
    env->start_before = expires;

    ngx_queue_insert_tail(&ngx_mcp_remote_recv_queue, &unconfirmed->queue);

    return NGX_OK;
}


void
ngx_mcp_remote_recv_confirmed(ngx_mcp_packet_received_t *received)
{
    uint64_t                            number;
    ngx_queue_t                        *q;
    ngx_mcp_remote_recv_unconfirmed_t  *unconfirmed;

    if (received->body.len != 8) {
        ngx_mcp_count(NGX_MCP_COUNT_REDIS_MALFORMED);
        return;
    }

    number = ngx_mcp_packet_get(received->body.data);

    for (q = ngx_queue_head(&ngx_mcp_remote_recv_queue);
         q != ngx_queue_sentinel(&ngx_mcp_remote_recv_queue);
         q = ngx_queue_next(q))
    {
        unconfirmed = ngx_queue_data(q, ngx_mcp_remote_recv_unconfirmed_t,
                                     queue);

        if (unconfirmed->number == number
            && ngx_memcmp(unconfirmed->sender, received->sender->id,
                          NGX_MCP_PACKET_ID_LEN)
               == 0)
        {
            ngx_log_debug1(NGX_LOG_DEBUG_CORE, ngx_cycle->log, 0,
                           "mcp remote recv: packet %uL confirmed", number);

            unconfirmed->envelope->unconfirmed = 0;
            ngx_mcp_remote_recv_remove(unconfirmed);
            return;
        }
    }
}


void
ngx_mcp_remote_recv_expire(void)
{
    ngx_queue_t                        *q, *next;
    ngx_mcp_remote_recv_unconfirmed_t  *unconfirmed;

    for (q = ngx_queue_head(&ngx_mcp_remote_recv_queue);
         q != ngx_queue_sentinel(&ngx_mcp_remote_recv_queue);
         q = next)
    {
        next = ngx_queue_next(q);

        unconfirmed = ngx_queue_data(q, ngx_mcp_remote_recv_unconfirmed_t,
                                     queue);

        if ((ngx_msec_int_t) (unconfirmed->expires - ngx_current_msec) <= 0) {
            ngx_mcp_remote_recv_remove(unconfirmed);
        }
    }
}


static void
ngx_mcp_remote_recv_remove(ngx_mcp_remote_recv_unconfirmed_t *unconfirmed)
{
    ngx_queue_remove(&unconfirmed->queue);
    ngx_mcp_envelope_free(unconfirmed->envelope);
    ngx_free(unconfirmed);
}


/*
 * The acknowledgement may be lost: the sender sends the packet again.
 */

static void
ngx_mcp_remote_recv_ack(ngx_mcp_packet_received_t *received, u_char *attempt,
    ngx_uint_t ack)
{
    u_char            *p;
    ngx_mcp_packet_t  *packet;

    packet = ngx_mcp_packet_alloc(NGX_MCP_ACK_LEN, ngx_cycle->log);
    if (packet == NULL) {
        return;
    }

    p = ngx_cpymem(packet->body, attempt, 8);
    p = ngx_mcp_packet_put(p, received->number);
    *p = (u_char) ack;

    ngx_mcp_redis_send(packet, NGX_MCP_PACKET_ACK, received->sender->id,
                       ngx_mcp_redis_ignore);
}

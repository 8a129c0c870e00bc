
/*
 * What has come belongs to hiredis and is gone when this returns: the
 * envelope is a copy, and the session's as soon as it is delivered; a doubt
 * has a reference to it.
 */

#include "ngx_mcp_remote_recv.h"
#include "ngx_mcp_bus.h"


/* an accepted message whose sender is not known to know that */

typedef struct {
    ngx_queue_t                   queue;
    u_char                        sender[NGX_MCP_PACKET_ID_LEN];
    uint64_t                      number;
    int64_t                       expires;
    ngx_mcp_envelope_t           *envelope;
} ngx_mcp_remote_recv_unconfirmed_t;


static ngx_int_t ngx_mcp_remote_recv_take(ngx_mcp_packet_received_t *received,
    u_char *key, int64_t expires);
static ngx_uint_t ngx_mcp_remote_recv_waiting(ngx_mcp_session_t *s,
    ngx_mcp_envelope_t *env);
static ngx_int_t ngx_mcp_remote_recv_unconfirmed(
    ngx_mcp_packet_received_t *received, ngx_mcp_envelope_t *env,
    int64_t expires);
static void ngx_mcp_remote_recv_remove(
    ngx_mcp_remote_recv_unconfirmed_t *doubt);
static void ngx_mcp_remote_recv_answer(ngx_mcp_packet_received_t *received,
    u_char *job, ngx_int_t verdict);


static ngx_queue_t  ngx_mcp_remote_recv_list = {
    &ngx_mcp_remote_recv_list, &ngx_mcp_remote_recv_list
};


void
ngx_mcp_remote_recv(ngx_mcp_packet_received_t *received)
{
    u_char                         *p;
    int64_t                         expires;
    ngx_mcp_replay_window_entry_t  *seen;

    if (received->body.len < NGX_MCP_REMOTE_SEND_HEAD_LEN) {
        ngx_mcp_count(NGX_MCP_COUNT_REDIS_MALFORMED);
        return;
    }

    p = received->body.data;
    expires = (int64_t) ngx_mcp_packet_get(p + 8);

    if (ngx_mcp_redis_now() + NGX_MCP_REMOTE_SEND_GUARD_MS >= expires) {
        ngx_mcp_count(NGX_MCP_COUNT_REDIS_EXPIRED);
        return;
    }

    switch (ngx_mcp_replay_window_enter(&received->sender->window,
                                        received->number, expires, &seen,
                                        ngx_cycle->log))
    {

    case NGX_OK:
        seen->verdict = ngx_mcp_remote_recv_take(received, p + 16, expires);
        break;

    case NGX_DONE:
        ngx_mcp_count(NGX_MCP_COUNT_REDIS_DUPLICATE);
        break;

    case NGX_DECLINED:
        ngx_mcp_count(NGX_MCP_COUNT_REDIS_REPLAYED);
        return;

    default: /* NGX_ERROR */
        return;
    }

    ngx_mcp_remote_recv_answer(received, p, seen->verdict);
}


static ngx_int_t
ngx_mcp_remote_recv_take(ngx_mcp_packet_received_t *received, u_char *key,
    int64_t expires)
{
    size_t               size;
    ngx_int_t            rc;
    ngx_str_t           *body;
    ngx_mcp_session_t   *s;
    ngx_mcp_envelope_t  *env;

    body = &received->body;
    size = body->len - NGX_MCP_REMOTE_SEND_HEAD_LEN;

    env = ngx_mcp_envelope_alloc(size,
                                 ngx_mcp_packet_get(key + 16),
                                 ngx_cycle->log);
    if (env == NULL) {
        return NGX_MCP_ACK_FULL;
    }

    ngx_memcpy(env->data, body->data + NGX_MCP_REMOTE_SEND_HEAD_LEN, size);

    s = ngx_mcp_sessions_find(key);

    /* it may go to another worker of this instance, which has a copy then */

    env->refs++;

    rc = ngx_mcp_bus_forward(key, env, ngx_cycle->log);

    if (rc != NGX_OK) {
        ngx_mcp_envelope_free(env);
    }

    switch (rc) {

    case NGX_OK:
        ngx_mcp_count(NGX_MCP_COUNT_REDIS_RECEIVED);

        rc = (s
              && s == ngx_mcp_sessions_find(key)
              && ngx_mcp_remote_recv_waiting(s, env)
              && ngx_mcp_remote_recv_unconfirmed(received, env, expires)
                 == NGX_OK)
             ? NGX_MCP_ACK_WAITING
             : NGX_MCP_ACK_ACCEPTED;
        break;

    case NGX_AGAIN:
        rc = NGX_MCP_ACK_STREAM_LOST;
        break;

    case NGX_DECLINED:
        rc = NGX_MCP_ACK_UNKNOWN;
        break;

    default: /* NGX_BUSY, NGX_ERROR */
        rc = NGX_MCP_ACK_FULL;
    }

    ngx_mcp_envelope_free(env);

    return rc;
}


/*
 * Whether what was put into the session's inbox will not start at once.
 */

static ngx_uint_t
ngx_mcp_remote_recv_waiting(ngx_mcp_session_t *s, ngx_mcp_envelope_t *env)
{
    return s->ncalls + env->nmessages > (ngx_uint_t) s->conf->max_calls
           || !ngx_queue_empty(&s->waiting)
           || ngx_queue_head(&s->inbox) != &env->queue;
}


/*
 * Should the sender never learn that it was accepted, its client is refused,
 * and it must not start after that.
 */

static ngx_int_t
ngx_mcp_remote_recv_unconfirmed(ngx_mcp_packet_received_t *received,
    ngx_mcp_envelope_t *env, int64_t expires)
{
    ngx_mcp_remote_recv_unconfirmed_t  *doubt;

    doubt = ngx_alloc(sizeof(ngx_mcp_remote_recv_unconfirmed_t),
                      ngx_cycle->log);
    if (doubt == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(doubt->sender, received->sender->id, NGX_MCP_PACKET_ID_LEN);
    doubt->number = received->number;
    doubt->expires = expires;
    doubt->envelope = env;

    env->refs++;
    env->unconfirmed = 1;
    env->start_before = ngx_current_msec
                + (ngx_msec_t) (expires - ngx_mcp_redis_now());

    ngx_queue_insert_tail(&ngx_mcp_remote_recv_list, &doubt->queue);

    return NGX_OK;
}


void
ngx_mcp_remote_recv_confirmed(ngx_mcp_packet_received_t *received)
{
    uint64_t                            number;
    ngx_queue_t                        *q;
    ngx_mcp_remote_recv_unconfirmed_t  *doubt;

    if (received->body.len != 8) {
        ngx_mcp_count(NGX_MCP_COUNT_REDIS_MALFORMED);
        return;
    }

    number = ngx_mcp_packet_get(received->body.data);

    for (q = ngx_queue_head(&ngx_mcp_remote_recv_list);
         q != ngx_queue_sentinel(&ngx_mcp_remote_recv_list);
         q = ngx_queue_next(q))
    {
        doubt = ngx_queue_data(q, ngx_mcp_remote_recv_unconfirmed_t, queue);

        if (doubt->number == number
            && ngx_memcmp(doubt->sender, received->sender->id,
                          NGX_MCP_PACKET_ID_LEN)
               == 0)
        {
            doubt->envelope->unconfirmed = 0;
            ngx_mcp_remote_recv_remove(doubt);
            return;
        }
    }
}


void
ngx_mcp_remote_recv_expire(int64_t now)
{
    ngx_queue_t                        *q, *next;
    ngx_mcp_remote_recv_unconfirmed_t  *doubt;

    for (q = ngx_queue_head(&ngx_mcp_remote_recv_list);
         q != ngx_queue_sentinel(&ngx_mcp_remote_recv_list);
         q = next)
    {
        next = ngx_queue_next(q);

        doubt = ngx_queue_data(q, ngx_mcp_remote_recv_unconfirmed_t, queue);

        if (doubt->expires <= now) {
            ngx_mcp_remote_recv_remove(doubt);
        }
    }
}


static void
ngx_mcp_remote_recv_remove(ngx_mcp_remote_recv_unconfirmed_t *doubt)
{
    ngx_queue_remove(&doubt->queue);
    ngx_mcp_envelope_free(doubt->envelope);
    ngx_free(doubt);
}


static void
ngx_mcp_remote_recv_answer(ngx_mcp_packet_received_t *received, u_char *job,
    ngx_int_t verdict)
{
    u_char            *p;
    ngx_mcp_packet_t  *packet;

    packet = ngx_mcp_packet_alloc(NGX_MCP_ACK_LEN, ngx_cycle->log);
    if (packet == NULL) {
        return;
    }

    p = ngx_cpymem(packet->body, job, 8);
    p = ngx_mcp_packet_put(p, received->number);
    *p = (u_char) verdict;

    /* what is lost is asked for again */

    ngx_mcp_redis_send(packet, NGX_MCP_PACKET_ACK,
                       received->sender->id,
                       ngx_mcp_redis_ignore);
}


/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Sends a message to the instance that has its session and waits for the
 * acknowledgement.
 *
 * DESIGN.  An attempt asks Redis which worker has the session
 * (ngx_mcp_remote_ask.c), seals the message for that worker, publishes it and
 * waits for the acknowledgement of the worker.  It belongs to this file.
 * Replies of Redis and acknowledgements carry the number of the attempt and
 * find it in a tree, since it may have ended before they arrive.
 *
 * A packet is for one worker and has one number.  While no worker can have
 * received it, the attempt may end with STREAM_LOST or RETRY, and the caller
 * may start another one.  After that only the same bytes are sent again to the
 * same worker, which executes them once, see ngx_mcp_remote_recv.c.
 *
 * The packet expires before the deadline.  A message that was not acknowledged
 * by the deadline is therefore not started later.
 *
 * The expiry is the time of the master that this worker has joined when it
 * seals the packet, and the packet names that master.  This worker may join
 * another one while it waits: it sends the same bytes there, never others,
 * since the owner may have the packet.  An owner that has it acknowledges it
 * as before.  One that does not have it cannot judge the expiry, notes the
 * number so that it does not run later, and says STREAM_LOST.  A new attempt
 * then has another number and names the new master.
 *
 * That Redis counts no receivers proves that the packet was not received, if it
 * was sent once: it is then sent to the master that it names, whose channels
 * have no other listeners than those counted.  Subscribers of a replica, or of
 * another node of a cluster, hear it uncounted, but have joined another master,
 * so they refuse it.
 */

#include "ngx_mcp_remote_send.h"
#include "ngx_mcp_remote_ask.h"
#include "ngx_mcp_worker_lease.h"


/* how often an unacknowledged packet is sent again */

#define NGX_MCP_REMOTE_SEND_RESEND_MS  500

/* a Redis that is lost for longer is not waited for, docs/PROTOCOL.md 11.5 */

#define NGX_MCP_REMOTE_SEND_DOWN_WAIT_MS  2000


struct ngx_mcp_remote_send_s {
    ngx_rbtree_node_t              node;       /* key: number of the attempt */
    ngx_mcp_remote_asker_t         asker;      /* for its owner */
    u_char                        *key;        /* of the session */
    ngx_mcp_envelope_t            *envelope;
    ngx_msec_t                     deadline;
    ngx_mcp_remote_send_pt         handler;
    void                          *data;
    ngx_mcp_packet_t              *packet;     /* NULL until it is sealed */
    u_char                         owner[NGX_MCP_WORKER_ID_LEN];
    ngx_uint_t                     sends;
    ngx_mcp_timer_t                timer;
    unsigned                       maybe_received:1;
};


static ngx_mcp_remote_send_t *ngx_mcp_remote_send_find(void *number);
static void ngx_mcp_remote_send_free(ngx_mcp_remote_send_t *attempt);
static void ngx_mcp_remote_send_end(ngx_mcp_remote_send_t *attempt,
    ngx_mcp_delivery_e rc);
static void ngx_mcp_remote_send_answered(void *data, ngx_mcp_delivery_e rc,
    u_char *owner);
static ngx_mcp_delivery_e ngx_mcp_remote_send_seal(
    ngx_mcp_remote_send_t *attempt);
static ngx_mcp_delivery_e ngx_mcp_remote_send_publish(
    ngx_mcp_remote_send_t *attempt);
static void ngx_mcp_remote_send_published(ngx_mcp_redis_conn_t *conn,
    redisReply *reply, void *data);
static ngx_int_t ngx_mcp_remote_send_ask_lease(ngx_mcp_remote_send_t *attempt);
static void ngx_mcp_remote_send_lease_reply(ngx_mcp_redis_conn_t *conn,
    redisReply *reply, void *data);
static void ngx_mcp_remote_send_confirm(ngx_mcp_remote_send_t *attempt);
static void ngx_mcp_remote_send_timer(void *data);
static void ngx_mcp_remote_send_wait(ngx_mcp_remote_send_t *attempt);


/* by NGX_MCP_ACK_*; the first is for values that this version does not know */

static struct {
    ngx_mcp_delivery_e  rc;
    ngx_uint_t          counter;       /* NGX_MCP_COUNTS: none */
} ngx_mcp_remote_acks[] = {
    { NGX_MCP_DELIVERY_NO_SESSION, NGX_MCP_COUNT_REDIS_UNKNOWN },
    { NGX_MCP_DELIVERY_ACCEPTED, NGX_MCP_COUNT_REDIS_ACCEPTED },
    { NGX_MCP_DELIVERY_INBOX_FULL, NGX_MCP_COUNT_REDIS_FULL },
    { NGX_MCP_DELIVERY_NO_SESSION, NGX_MCP_COUNT_REDIS_UNKNOWN },
    { NGX_MCP_DELIVERY_STREAM_LOST, NGX_MCP_COUNTS },
    { NGX_MCP_DELIVERY_ACCEPTED, NGX_MCP_COUNT_REDIS_ACCEPTED }
};


static ngx_rbtree_node_t  ngx_mcp_remote_sends_sentinel;

static ngx_rbtree_t  ngx_mcp_remote_sends = {
    &ngx_mcp_remote_sends_sentinel, &ngx_mcp_remote_sends_sentinel,
    ngx_rbtree_insert_value
};

static ngx_rbtree_key_t  ngx_mcp_remote_send_last_number;


ngx_mcp_delivery_e
ngx_mcp_remote_send(ngx_mcp_remote_send_t **attempt, u_char *key,
    ngx_mcp_envelope_t *env, ngx_msec_t deadline,
    ngx_mcp_remote_send_pt handler, void *data, ngx_uint_t *question)
{
    ngx_mcp_remote_send_t  *a;

    if (!ngx_mcp_redis_used()) {
        return NGX_MCP_DELIVERY_NO_SESSION;
    }

    if (!ngx_mcp_redis_is_up()) {
        return ngx_mcp_redis_down() < NGX_MCP_REMOTE_SEND_DOWN_WAIT_MS
               ? NGX_MCP_DELIVERY_RETRY : NGX_MCP_DELIVERY_UNREACHABLE;
    }

    a = ngx_calloc(sizeof(ngx_mcp_remote_send_t), ngx_cycle->log);
    if (a == NULL) {
        return NGX_MCP_DELIVERY_ERROR;
    }

    a->node.key = ++ngx_mcp_remote_send_last_number;
    a->key = key;
    a->envelope = env;
    a->deadline = deadline;
    a->handler = handler;
    a->data = data;
    a->asker.handler = ngx_mcp_remote_send_answered;
    a->asker.data = a;
    a->timer.handler = ngx_mcp_remote_send_timer;
    a->timer.data = a;

    ngx_rbtree_insert(&ngx_mcp_remote_sends, &a->node);

    if (ngx_mcp_remote_ask(&a->asker, key, *question) != NGX_OK) {
        ngx_mcp_remote_send_free(a);
        return NGX_MCP_DELIVERY_RETRY;
    }

    *question = a->asker.question;

    ngx_mcp_remote_send_wait(a);

    ngx_log_debug2(NGX_LOG_DEBUG_CORE, ngx_cycle->log, 0,
                   "mcp remote send #%ui: waits for the answer of ask #%ui",
                   a->node.key, *question);

    *attempt = a;

    return NGX_MCP_DELIVERY_PENDING;
}


ngx_mcp_delivery_e
ngx_mcp_remote_send_cancel(ngx_mcp_remote_send_t *attempt)
{
    ngx_mcp_delivery_e  rc;

    rc = attempt->maybe_received ? NGX_MCP_DELIVERY_SENT
                                 : NGX_MCP_DELIVERY_PENDING;

    ngx_mcp_remote_send_free(attempt);

    return rc;
}


/*
 * The data of a command is the number of its attempt.
 */

static ngx_mcp_remote_send_t *
ngx_mcp_remote_send_find(void *number)
{
    ngx_rbtree_key_t    key;
    ngx_rbtree_node_t  *node;

    key = (ngx_rbtree_key_t) (uintptr_t) number;
    node = ngx_mcp_remote_sends.root;

    while (node != &ngx_mcp_remote_sends_sentinel) {

        if (node->key == key) {
            return ngx_rbtree_data(node, ngx_mcp_remote_send_t, node);
        }

        node = (key < node->key) ? node->left : node->right;
    }

    return NULL;
}


static void
ngx_mcp_remote_send_free(ngx_mcp_remote_send_t *attempt)
{
    ngx_mcp_timer_del(&attempt->timer);
    ngx_mcp_remote_ask_leave(&attempt->asker);
    ngx_rbtree_delete(&ngx_mcp_remote_sends, &attempt->node);

    if (attempt->packet) {
        ngx_free(attempt->packet);
    }

    ngx_free(attempt);
}


static void
ngx_mcp_remote_send_end(ngx_mcp_remote_send_t *attempt, ngx_mcp_delivery_e rc)
{
    void                    *data;
    ngx_mcp_remote_send_pt   handler;

    ngx_log_debug2(NGX_LOG_DEBUG_CORE, ngx_cycle->log, 0,
                   "mcp remote send #%ui: end, outcome:%d",
                   attempt->node.key, (int) rc);

    handler = attempt->handler;
    data = attempt->data;

    ngx_mcp_remote_send_free(attempt);

    handler(data, rc);
}


/*
 * Redis has told which worker has the session, or that none has.
 */

static void
ngx_mcp_remote_send_answered(void *data, ngx_mcp_delivery_e rc, u_char *owner)
{
    ngx_mcp_remote_send_t  *attempt = data;

    if (rc == NGX_MCP_DELIVERY_PENDING) {
        ngx_memcpy(attempt->owner, owner, NGX_MCP_WORKER_ID_LEN);
        rc = ngx_mcp_remote_send_seal(attempt);
    }

    if (rc == NGX_MCP_DELIVERY_PENDING) {
        rc = ngx_mcp_remote_send_publish(attempt);
    }

    if (rc != NGX_MCP_DELIVERY_PENDING) {
        ngx_mcp_remote_send_end(attempt, rc);
        return;
    }

    ngx_mcp_count(NGX_MCP_COUNT_REDIS_SENT);
}


static ngx_mcp_delivery_e
ngx_mcp_remote_send_seal(ngx_mcp_remote_send_t *attempt)
{
    u_char              *p;
    int64_t              now, expires;
    ngx_mcp_packet_t    *packet;
    ngx_mcp_envelope_t  *env;

    if (!ngx_mcp_redis_is_up()) {
        return NGX_MCP_DELIVERY_RETRY;
    }

    env = attempt->envelope;

    packet = ngx_mcp_packet_alloc(NGX_MCP_REMOTE_HEAD_LEN + env->size,
                                  ngx_cycle->log);
    if (packet == NULL) {
        return NGX_MCP_DELIVERY_ERROR;
    }

    attempt->packet = packet;

    /* updates ngx_current_msec */

    now = ngx_mcp_redis_now();

    expires = now + (ngx_msec_int_t) (attempt->deadline - ngx_current_msec)
              - NGX_MCP_REMOTE_GUARD_MS;

    p = ngx_mcp_packet_put(packet->body, attempt->node.key);
    p = ngx_mcp_packet_put(p, (uint64_t) expires);
    p = ngx_mcp_packet_put(p, ngx_mcp_redis_master());
    p = ngx_cpymem(p, attempt->key, NGX_MCP_DIGEST_LEN);
    p = ngx_mcp_packet_put(p, env->nmessages);
    ngx_memcpy(p, env->data, env->size);

    return ngx_mcp_packet_seal(packet, NGX_MCP_PACKET_MESSAGE, attempt->owner)
           == NGX_OK
           ? NGX_MCP_DELIVERY_PENDING : NGX_MCP_DELIVERY_ERROR;
}


static ngx_mcp_delivery_e
ngx_mcp_remote_send_publish(ngx_mcp_remote_send_t *attempt)
{
    ngx_str_t  bytes;

    bytes.len = attempt->packet->size;
    bytes.data = attempt->packet->data;

    if (ngx_mcp_redis_publish(attempt->owner, &bytes,
                              ngx_mcp_remote_send_published,
                              (void *) (uintptr_t) attempt->node.key)
        != NGX_OK)
    {
        return NGX_MCP_DELIVERY_RETRY;
    }

    attempt->sends++;
    attempt->maybe_received = 1;

    ngx_log_debug3(NGX_LOG_DEBUG_CORE, ngx_cycle->log, 0,
                   "mcp remote send #%ui: packet %uL, sent %ui times",
                   attempt->node.key, attempt->packet->number,
                   attempt->sends);

    return NGX_MCP_DELIVERY_PENDING;
}


/*
 * The reply is the number of receivers.
 */

static void
ngx_mcp_remote_send_published(ngx_mcp_redis_conn_t *conn, redisReply *reply,
    void *data)
{
    ngx_mcp_remote_send_t  *attempt;

    attempt = ngx_mcp_remote_send_find(data);

    if (attempt == NULL) {
        return;
    }

    /* no reply, or one of another type, proves nothing */

    if (reply == NULL
        || (reply->type == REDIS_REPLY_INTEGER && reply->integer)
        || (reply->type != REDIS_REPLY_INTEGER
            && reply->type != REDIS_REPLY_ERROR))
    {
        return;
    }

    ngx_mcp_redis_refused(reply);

    /* an earlier one may have been received */

    if (attempt->sends > 1) {
        return;
    }

    attempt->maybe_received = 0;

    ngx_log_debug1(NGX_LOG_DEBUG_CORE, ngx_cycle->log, 0,
                   "mcp remote send #%ui: not received", attempt->node.key);

    if (ngx_mcp_remote_send_ask_lease(attempt) != NGX_OK) {
        ngx_mcp_remote_send_end(attempt, NGX_MCP_DELIVERY_RETRY);
    }
}


/*
 * The owner does not listen.  Either its subscription is being made again, or
 * the worker has gone and the stream may be opened elsewhere.
 */

static ngx_int_t
ngx_mcp_remote_send_ask_lease(ngx_mcp_remote_send_t *attempt)
{
    u_char     k[NGX_MCP_REDIS_MAX_KEY_LEN];
    ngx_str_t  argv[2];

    ngx_str_set(&argv[0], "EXISTS");
    ngx_mcp_redis_key(&argv[1], k, 'k', attempt->owner);

    return ngx_mcp_redis_command(ngx_mcp_remote_send_lease_reply,
                                 (void *) (uintptr_t) attempt->node.key, 2,
                                 argv);
}


static void
ngx_mcp_remote_send_lease_reply(ngx_mcp_redis_conn_t *conn, redisReply *reply,
    void *data)
{
    ngx_mcp_remote_send_t  *attempt;

    attempt = ngx_mcp_remote_send_find(data);

    if (attempt == NULL) {
        return;
    }

    if (reply && reply->type == REDIS_REPLY_INTEGER && reply->integer == 0
        && !ngx_mcp_worker_lease_maybe_lost())
    {
        ngx_mcp_remote_send_end(attempt, NGX_MCP_DELIVERY_STREAM_LOST);
        return;
    }

    ngx_mcp_remote_send_end(attempt, NGX_MCP_DELIVERY_RETRY);
}


void
ngx_mcp_remote_send_acked(ngx_mcp_packet_received_t *received)
{
    u_char                 *p;
    uint64_t                number;
    ngx_uint_t              ack;
    ngx_mcp_remote_send_t  *attempt;

    if (received->body.len != NGX_MCP_ACK_LEN) {
        ngx_mcp_count(NGX_MCP_COUNT_REDIS_MALFORMED);
        return;
    }

    p = received->body.data;

    number = ngx_mcp_packet_get(p);
    attempt = ngx_mcp_remote_send_find((void *) (uintptr_t) number);

    /* acknowledgements of a packet that was sent again arrive late */

    if (attempt == NULL
        || attempt->packet == NULL
        || attempt->packet->number != ngx_mcp_packet_get(p + 8)
        || ngx_memcmp(attempt->owner, received->sender->id,
                      NGX_MCP_WORKER_ID_LEN)
           != 0)
    {
        return;
    }

    ack = p[16] <= NGX_MCP_ACK_WAITING ? p[16] : 0;

    ngx_log_debug2(NGX_LOG_DEBUG_CORE, ngx_cycle->log, 0,
                   "mcp remote send #%ui: ack:%ui", attempt->node.key, ack);

    if (ack == NGX_MCP_ACK_WAITING) {
        ngx_mcp_remote_send_confirm(attempt);
    }

    if (ngx_mcp_remote_acks[ack].counter != NGX_MCP_COUNTS) {
        ngx_mcp_count(ngx_mcp_remote_acks[ack].counter);
    }

    ngx_mcp_remote_send_end(attempt, ngx_mcp_remote_acks[ack].rc);
}


ngx_uint_t
ngx_mcp_remote_send_ack(ngx_mcp_delivery_e rc)
{
    ngx_uint_t  ack;

    for (ack = NGX_MCP_ACK_ACCEPTED; ack < NGX_MCP_ACK_WAITING; ack++) {
        if (ngx_mcp_remote_acks[ack].rc == rc) {
            return ack;
        }
    }

    /* the zone is full, or there is no memory */

    return NGX_MCP_ACK_FULL;
}


/*
 * Tells the owner that the acknowledgement has arrived, so that the message
 * may start after its expiry.
 */

static void
ngx_mcp_remote_send_confirm(ngx_mcp_remote_send_t *attempt)
{
    ngx_mcp_packet_t  *packet;

    packet = ngx_mcp_packet_alloc(8, ngx_cycle->log);
    if (packet == NULL) {
        return;
    }

    (void) ngx_mcp_packet_put(packet->body, attempt->packet->number);

    ngx_mcp_redis_send(packet, NGX_MCP_PACKET_ACK_RECEIVED, attempt->owner,
                       ngx_mcp_redis_ignore);
}


static void
ngx_mcp_remote_send_timer(void *data)
{
    ngx_mcp_remote_send_t  *attempt = data;

    if ((ngx_msec_int_t) (attempt->deadline - ngx_current_msec) <= 0) {
        ngx_mcp_count(NGX_MCP_COUNT_REDIS_UNANSWERED);

        ngx_mcp_remote_send_end(attempt, attempt->maybe_received
                                         ? NGX_MCP_DELIVERY_UNACKNOWLEDGED
                                         : NGX_MCP_DELIVERY_UNREACHABLE);
        return;
    }

    /* the packet may have been lost, or its acknowledgement */

    if (attempt->maybe_received
        && ngx_mcp_remote_send_publish(attempt) == NGX_MCP_DELIVERY_PENDING)
    {
        ngx_mcp_count(NGX_MCP_COUNT_REDIS_RESENT);
    }

    ngx_mcp_remote_send_wait(attempt);
}


static void
ngx_mcp_remote_send_wait(ngx_mcp_remote_send_t *attempt)
{
    ngx_msec_int_t  left;

    left = (ngx_msec_int_t) (attempt->deadline - ngx_current_msec);
    left = ngx_max(left, 1);

    ngx_mcp_timer_set(&attempt->timer,
                      ngx_min(left, NGX_MCP_REMOTE_SEND_RESEND_MS));
}

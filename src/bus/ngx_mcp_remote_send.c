
/*
 * A job belongs to this file.  It is known to Redis's replies and to owners
 * by its number, so that it may end at any time; it points to the delivery it
 * is for, whose owner ends it with delivery_forget().
 *
 * A packet is for one owner and has one number.  As long as nobody is known
 * to have received it, another one may be made for another owner; after that
 * only the same bytes are sent again, to the same owner, which runs them once.
 */

#include "ngx_mcp_remote_send.h"
#include "ngx_mcp_worker_lease.h"


#define NGX_MCP_REMOTE_SEND_RESEND_MS  500

/* how long a lost Redis is waited for */

#define NGX_MCP_REMOTE_SEND_DOWN_WAIT_MS  2000


typedef struct {
    ngx_rbtree_node_t              node;       /* key: the job's number */
    ngx_mcp_remote_send_t         *delivery;
    ngx_mcp_packet_t              *packet;     /* NULL: not made yet */
    u_char                         owner[NGX_MCP_WORKER_ID_LEN];
    ngx_uint_t                     sends;
    ngx_mcp_timer_t                timer;
} ngx_mcp_remote_send_job_t;


static ngx_mcp_remote_send_job_t *ngx_mcp_remote_send_find(void *number);
static void ngx_mcp_remote_send_free(ngx_mcp_remote_send_job_t *job);
static void ngx_mcp_remote_send_end(ngx_mcp_remote_send_job_t *job,
    ngx_int_t rc);
static ngx_int_t ngx_mcp_remote_send_ask(ngx_mcp_remote_send_job_t *job);
static void ngx_mcp_remote_send_owner_reply(redisAsyncContext *ac, void *reply,
    void *data);
static ngx_int_t ngx_mcp_remote_send_owner(ngx_mcp_remote_send_job_t *job,
    redisReply *reply);
static ngx_int_t ngx_mcp_remote_send_seal(ngx_mcp_remote_send_job_t *job);
static ngx_int_t ngx_mcp_remote_send_send(ngx_mcp_remote_send_job_t *job);
static void ngx_mcp_remote_send_sent(redisAsyncContext *ac, void *reply,
    void *data);
static ngx_int_t ngx_mcp_remote_send_alive(ngx_mcp_remote_send_job_t *job);
static void ngx_mcp_remote_send_is_alive(redisAsyncContext *ac, void *reply,
    void *data);
static void ngx_mcp_remote_send_confirm(ngx_mcp_remote_send_job_t *job);
static void ngx_mcp_remote_send_timer(void *data);
static void ngx_mcp_remote_send_wait(ngx_mcp_remote_send_job_t *job);


static ngx_rbtree_node_t  ngx_mcp_remote_sends_sentinel;

static ngx_rbtree_t  ngx_mcp_remote_sends = {
    &ngx_mcp_remote_sends_sentinel, &ngx_mcp_remote_sends_sentinel,
    ngx_rbtree_insert_value
};

static uint64_t  ngx_mcp_remote_send_last_id;


ngx_int_t
ngx_mcp_remote_send_start(ngx_mcp_remote_send_t *d)
{
    ngx_mcp_remote_send_job_t  *job;

    d->maybe_alive = 1;

    if (!ngx_mcp_redis_is_up()) {
        return ngx_mcp_redis_down() < NGX_MCP_REMOTE_SEND_DOWN_WAIT_MS
               ? NGX_AGAIN : NGX_ABORT;
    }

    job = ngx_calloc(sizeof(ngx_mcp_remote_send_job_t), ngx_cycle->log);
    if (job == NULL) {
        return NGX_ERROR;
    }

    job->node.key = (ngx_rbtree_key_t) ++ngx_mcp_remote_send_last_id;
    job->delivery = d;
    job->timer.handler = ngx_mcp_remote_send_timer;
    job->timer.data = job;

    ngx_rbtree_insert(&ngx_mcp_remote_sends, &job->node);

    if (ngx_mcp_remote_send_ask(job) != NGX_OK) {
        ngx_mcp_remote_send_free(job);
        return NGX_AGAIN;
    }

    d->attempt = job->node.key;
    d->maybe_executed = 0;

    ngx_mcp_remote_send_wait(job);

    return NGX_DONE;
}


void
ngx_mcp_remote_send_cancel(ngx_mcp_remote_send_t *d)
{
    ngx_mcp_remote_send_job_t  *job;

    if (d->attempt == 0) {
        return;
    }

    job = ngx_mcp_remote_send_find((void *) (uintptr_t) d->attempt);
    d->attempt = 0;

    if (job) {
        ngx_mcp_remote_send_free(job);
    }
}


static ngx_mcp_remote_send_job_t *
ngx_mcp_remote_send_find(void *number)
{
    ngx_rbtree_key_t    key;
    ngx_rbtree_node_t  *node;

    key = (ngx_rbtree_key_t) (uintptr_t) number;
    node = ngx_mcp_remote_sends.root;

    while (node != &ngx_mcp_remote_sends_sentinel) {

        if (node->key == key) {
            return ngx_rbtree_data(node, ngx_mcp_remote_send_job_t, node);
        }

        node = (key < node->key) ? node->left : node->right;
    }

    return NULL;
}


static void
ngx_mcp_remote_send_free(ngx_mcp_remote_send_job_t *job)
{
    ngx_mcp_timer_del(&job->timer);
    ngx_rbtree_delete(&ngx_mcp_remote_sends, &job->node);

    if (job->packet) {
        ngx_free(job->packet);
    }

    ngx_free(job);
}


static void
ngx_mcp_remote_send_end(ngx_mcp_remote_send_job_t *job, ngx_int_t rc)
{
    ngx_mcp_remote_send_t  *d;

    d = job->delivery;
    d->attempt = 0;

    if (rc == NGX_DECLINED) {
        d->maybe_alive = 0;
    }

    ngx_mcp_remote_send_free(job);

    d->handler(d->data, rc);
}


/*
 * Who has the session, and does Redis still know us?
 */

static ngx_int_t
ngx_mcp_remote_send_ask(ngx_mcp_remote_send_job_t *job)
{
    u_char     s[NGX_MCP_REDIS_MAX_KEY_LEN];
    u_char     k[NGX_MCP_REDIS_MAX_KEY_LEN];
    ngx_str_t  argv[3];

    ngx_str_set(&argv[0], "MGET");
    ngx_mcp_redis_key(&argv[1], s, 's', job->delivery->key);
    ngx_mcp_redis_key(&argv[2], k, 'k', ngx_mcp_workers_self()->id);

    return ngx_mcp_redis_command(ngx_mcp_remote_send_owner_reply,
                                   (void *) (uintptr_t) job->node.key, 3,
                                   argv);
}


static void
ngx_mcp_remote_send_owner_reply(redisAsyncContext *ac, void *reply, void *data)
{
    ngx_int_t                   rc;
    redisReply                 *r = reply;
    ngx_mcp_remote_send_job_t  *job;

    job = ngx_mcp_remote_send_find(data);

    if (job == NULL) {
        return;
    }

    if (r == NULL || r->type != REDIS_REPLY_ARRAY || r->elements != 2) {

        if (r) {
            ngx_mcp_redis_refused(r);
        }

        ngx_mcp_remote_send_end(job, NGX_AGAIN);
        return;
    }

    if (r->element[1]->type == REDIS_REPLY_NIL) {
        ngx_mcp_worker_lease_lost();
    }

    rc = ngx_mcp_remote_send_owner(job, r->element[0]);

    if (rc == NGX_OK) {
        rc = ngx_mcp_remote_send_seal(job);
    }

    if (rc == NGX_OK) {
        rc = ngx_mcp_remote_send_send(job);
    }

    if (rc != NGX_OK) {
        ngx_mcp_remote_send_end(job, rc);
        return;
    }

    ngx_mcp_count(NGX_MCP_COUNT_REDIS_SENT);
}


static ngx_int_t
ngx_mcp_remote_send_owner(ngx_mcp_remote_send_job_t *job, redisReply *reply)
{
    if (reply->type == REDIS_REPLY_NIL) {
        return ngx_mcp_worker_lease_maybe_lost() ? NGX_AGAIN : NGX_DECLINED;
    }

    if (ngx_mcp_redis_id(job->owner, reply) != NGX_OK) {
        return NGX_DECLINED;
    }

    /* what was ours is not any more: the zone was asked before */

    return ngx_memcmp(job->owner, ngx_mcp_workers_self()->id,
                      NGX_MCP_WORKER_ID_LEN)
           == 0
           ? NGX_DECLINED : NGX_OK;
}


/*
 * It expires before its client is told that there was no answer.
 */

static ngx_int_t
ngx_mcp_remote_send_seal(ngx_mcp_remote_send_job_t *job)
{
    u_char                 *p;
    int64_t                 now, expires;
    ngx_mcp_packet_t       *packet;
    ngx_mcp_remote_send_t  *d;
    ngx_mcp_envelope_t     *env;

    if (!ngx_mcp_redis_is_up()) {
        return NGX_AGAIN;
    }

    d = job->delivery;
    env = d->envelope;

    packet = ngx_mcp_packet_alloc(NGX_MCP_REMOTE_SEND_HEAD_LEN
                                  + env->size, ngx_cycle->log);
    if (packet == NULL) {
        return NGX_ERROR;
    }

    job->packet = packet;

    /* sets ngx_current_msec */

    now = ngx_mcp_redis_now();

    expires = now + (ngx_msec_int_t) (d->deadline - ngx_current_msec)
              - NGX_MCP_REMOTE_SEND_GUARD_MS;

    p = ngx_mcp_packet_put(packet->body, job->node.key);
    p = ngx_mcp_packet_put(p, (uint64_t) expires);
    p = ngx_cpymem(p, d->key, NGX_MCP_DIGEST_LEN);
    p = ngx_mcp_packet_put(p, env->nmessages);
    ngx_memcpy(p, env->data, env->size);

    return ngx_mcp_packet_seal(packet, NGX_MCP_PACKET_MESSAGE, job->owner);
}


static ngx_int_t
ngx_mcp_remote_send_send(ngx_mcp_remote_send_job_t *job)
{
    ngx_str_t  bytes;

    bytes.len = job->packet->size;
    bytes.data = job->packet->data;

    if (ngx_mcp_redis_publish(job->owner, &bytes,
                              ngx_mcp_remote_send_sent,
                              (void *) (uintptr_t) job->node.key)
        != NGX_OK)
    {
        return NGX_AGAIN;
    }

    job->sends++;
    job->delivery->maybe_executed = 1;

    return NGX_OK;
}


/*
 * The reply is to how many it went.
 */

static void
ngx_mcp_remote_send_sent(redisAsyncContext *ac, void *reply, void *data)
{
    redisReply                 *r = reply;
    ngx_mcp_remote_send_job_t  *job;

    job = ngx_mcp_remote_send_find(data);

    if (job == NULL) {
        return;
    }

    /* without a reply, or with another's, it may have gone, or still go */

    if (r == NULL
        || (r->type == REDIS_REPLY_INTEGER && r->integer)
        || (r->type != REDIS_REPLY_INTEGER && r->type != REDIS_REPLY_ERROR))
    {
        return;
    }

    ngx_mcp_redis_refused(r);

    /* the one before may have gone */

    if (job->sends > 1) {
        return;
    }

    job->delivery->maybe_executed = 0;

    if (ngx_mcp_remote_send_alive(job) != NGX_OK) {
        ngx_mcp_remote_send_end(job, NGX_AGAIN);
    }
}


/*
 * Nobody listens: its subscription may be coming back; or the worker is gone,
 * and the stream may be opened again elsewhere.
 */

static ngx_int_t
ngx_mcp_remote_send_alive(ngx_mcp_remote_send_job_t *job)
{
    u_char     k[NGX_MCP_REDIS_MAX_KEY_LEN];
    ngx_str_t  argv[2];

    ngx_str_set(&argv[0], "EXISTS");
    ngx_mcp_redis_key(&argv[1], k, 'k', job->owner);

    return ngx_mcp_redis_command(ngx_mcp_remote_send_is_alive,
                                   (void *) (uintptr_t) job->node.key, 2,
                                   argv);
}


static void
ngx_mcp_remote_send_is_alive(redisAsyncContext *ac, void *reply, void *data)
{
    redisReply                 *r = reply;
    ngx_mcp_remote_send_job_t  *job;

    job = ngx_mcp_remote_send_find(data);

    if (job == NULL) {
        return;
    }

    if (r && r->type == REDIS_REPLY_INTEGER && r->integer == 0
        && !ngx_mcp_worker_lease_maybe_lost())
    {
        job->delivery->maybe_alive = 0;
    }

    ngx_mcp_remote_send_end(job, NGX_AGAIN);
}


void
ngx_mcp_remote_send_ack(ngx_mcp_packet_received_t *received)
{
    u_char                     *p;
    uint64_t                    number;
    ngx_int_t                   rc;
    ngx_mcp_remote_send_job_t  *job;

    if (received->body.len != NGX_MCP_ACK_LEN) {
        ngx_mcp_count(NGX_MCP_COUNT_REDIS_MALFORMED);
        return;
    }

    p = received->body.data;

    number = ngx_mcp_packet_get(p);
    job = ngx_mcp_remote_send_find((void *) (uintptr_t) number);

    /* repeated ones come late */

    if (job == NULL
        || job->packet == NULL
        || job->packet->number != ngx_mcp_packet_get(p + 8)
        || ngx_memcmp(job->owner, received->sender->id, NGX_MCP_WORKER_ID_LEN)
           != 0)
    {
        return;
    }

    switch (p[16]) {

    case NGX_MCP_ACK_WAITING:
        ngx_mcp_remote_send_confirm(job);

        /* fall through */

    case NGX_MCP_ACK_ACCEPTED:
        ngx_mcp_count(NGX_MCP_COUNT_REDIS_ACCEPTED);
        rc = NGX_OK;
        break;

    case NGX_MCP_ACK_FULL:
        ngx_mcp_count(NGX_MCP_COUNT_REDIS_FULL);
        rc = NGX_BUSY;
        break;

    case NGX_MCP_ACK_STREAM_LOST:
        job->delivery->maybe_alive = 0;
        rc = NGX_AGAIN;
        break;

    default:
        ngx_mcp_count(NGX_MCP_COUNT_REDIS_UNKNOWN);
        rc = NGX_DECLINED;
    }

    job->delivery->maybe_executed = 0;

    ngx_mcp_remote_send_end(job, rc);
}


/*
 * It waits for its turn, which may come when a client that has heard nothing
 * was refused: the owner is to know that this one has not been.
 */

static void
ngx_mcp_remote_send_confirm(ngx_mcp_remote_send_job_t *job)
{
    ngx_mcp_packet_t  *packet;

    packet = ngx_mcp_packet_alloc(8, ngx_cycle->log);
    if (packet == NULL) {
        return;
    }

    (void) ngx_mcp_packet_put(packet->body, job->packet->number);

    ngx_mcp_redis_send(packet, NGX_MCP_PACKET_ACK_RECEIVED,
                       job->owner, ngx_mcp_redis_ignore);
}


static void
ngx_mcp_remote_send_timer(void *data)
{
    ngx_mcp_remote_send_job_t  *job = data;

    if ((ngx_msec_int_t) (job->delivery->deadline - ngx_current_msec) <= 0) {
        ngx_mcp_count(NGX_MCP_COUNT_REDIS_UNANSWERED);
        ngx_mcp_remote_send_end(job, NGX_ABORT);
        return;
    }

    /* the one before may have been lost, or the verdict on it */

    if (job->packet
        && job->delivery->maybe_executed
        && ngx_mcp_remote_send_send(job) == NGX_OK)
    {
        ngx_mcp_count(NGX_MCP_COUNT_REDIS_RESENT);
    }

    ngx_mcp_remote_send_wait(job);
}


static void
ngx_mcp_remote_send_wait(ngx_mcp_remote_send_job_t *job)
{
    ngx_msec_int_t  left;

    left = (ngx_msec_int_t) (job->delivery->deadline - ngx_current_msec);
    left = ngx_max(left, 1);

    ngx_mcp_timer_set(&job->timer,
                      ngx_min(left, NGX_MCP_REMOTE_SEND_RESEND_MS));
}


/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Asks Redis which worker has a session.
 *
 * A question belongs to this file until it is answered, even if all that have
 * asked it have left.  The reply carries its number, since a question may have
 * ended before the reply arrives.
 */

#include "ngx_mcp_remote_ask.h"
#include "ngx_mcp_worker_lease.h"


typedef struct {
    ngx_rbtree_node_t   node;            /* key: its number */
    ngx_queue_t         askers;          /* in their order */
} ngx_mcp_remote_question_t;


static ngx_mcp_remote_question_t *ngx_mcp_remote_ask_redis(u_char *key);
static ngx_mcp_remote_question_t *ngx_mcp_remote_ask_find(
    ngx_rbtree_key_t number);
static void ngx_mcp_remote_ask_replied(ngx_mcp_redis_conn_t *conn,
    redisReply *reply, void *data);
static ngx_mcp_delivery_e ngx_mcp_remote_ask_owner(redisReply *r,
    u_char *owner);


static ngx_rbtree_node_t  ngx_mcp_remote_questions_sentinel;

static ngx_rbtree_t  ngx_mcp_remote_questions = {
    &ngx_mcp_remote_questions_sentinel, &ngx_mcp_remote_questions_sentinel,
    ngx_rbtree_insert_value
};

static ngx_rbtree_key_t  ngx_mcp_remote_ask_last_number;


ngx_int_t
ngx_mcp_remote_ask(ngx_mcp_remote_asker_t *asker, u_char *key, ngx_uint_t join)
{
    ngx_mcp_remote_question_t  *question;

    question = join ? ngx_mcp_remote_ask_find(join) : NULL;

    if (question == NULL) {
        question = ngx_mcp_remote_ask_redis(key);
    }

    if (question == NULL) {
        return NGX_ERROR;
    }

    asker->question = question->node.key;
    ngx_queue_insert_tail(&question->askers, &asker->queue);

    return NGX_OK;
}


/*
 * Asks for the owner of the session and for the lease of this worker: without
 * the lease, Redis has lost its data, and a missing owner proves nothing.
 */

static ngx_mcp_remote_question_t *
ngx_mcp_remote_ask_redis(u_char *key)
{
    u_char                      s[NGX_MCP_REDIS_MAX_KEY_LEN];
    u_char                      k[NGX_MCP_REDIS_MAX_KEY_LEN];
    ngx_str_t                   argv[3];
    ngx_mcp_remote_question_t  *question;

    question = ngx_calloc(sizeof(ngx_mcp_remote_question_t), ngx_cycle->log);
    if (question == NULL) {
        return NULL;
    }

    question->node.key = ++ngx_mcp_remote_ask_last_number;
    ngx_queue_init(&question->askers);

    ngx_str_set(&argv[0], "MGET");
    ngx_mcp_redis_key(&argv[1], s, 's', key);
    ngx_mcp_redis_key(&argv[2], k, 'k', ngx_mcp_workers_self()->id);

    if (ngx_mcp_redis_command(ngx_mcp_remote_ask_replied,
                              (void *) (uintptr_t) question->node.key, 3, argv)
        != NGX_OK)
    {
        ngx_free(question);
        return NULL;
    }

    ngx_rbtree_insert(&ngx_mcp_remote_questions, &question->node);

    ngx_log_debug1(NGX_LOG_DEBUG_CORE, ngx_cycle->log, 0,
                   "mcp remote ask #%ui: ask redis for the owner",
                   question->node.key);

    return question;
}


static ngx_mcp_remote_question_t *
ngx_mcp_remote_ask_find(ngx_rbtree_key_t number)
{
    ngx_rbtree_node_t  *node;

    node = ngx_mcp_remote_questions.root;

    while (node != &ngx_mcp_remote_questions_sentinel) {

        if (node->key == number) {
            return ngx_rbtree_data(node, ngx_mcp_remote_question_t, node);
        }

        node = (number < node->key) ? node->left : node->right;
    }

    return NULL;
}


void
ngx_mcp_remote_ask_leave(ngx_mcp_remote_asker_t *asker)
{
    if (asker->question) {
        asker->question = 0;
        ngx_queue_remove(&asker->queue);
    }
}


/*
 * A handler may make others leave: the next one is always the head.
 */

static void
ngx_mcp_remote_ask_replied(ngx_mcp_redis_conn_t *conn, redisReply *reply,
    void *data)
{
    u_char                      owner[NGX_MCP_WORKER_ID_LEN];
    ngx_queue_t                *q;
    ngx_mcp_delivery_e          rc;
    ngx_mcp_remote_asker_t     *asker;
    ngx_mcp_remote_question_t  *question;

    question = ngx_mcp_remote_ask_find((ngx_rbtree_key_t) (uintptr_t) data);

    if (question == NULL) {
        return;
    }

    ngx_rbtree_delete(&ngx_mcp_remote_questions, &question->node);

    rc = ngx_mcp_remote_ask_owner(reply, owner);

    while (!ngx_queue_empty(&question->askers)) {
        q = ngx_queue_head(&question->askers);
        asker = ngx_queue_data(q, ngx_mcp_remote_asker_t, queue);

        ngx_mcp_remote_ask_leave(asker);

        asker->handler(asker->data, rc, owner);
    }

    ngx_free(question);
}


static ngx_mcp_delivery_e
ngx_mcp_remote_ask_owner(redisReply *r, u_char *owner)
{
    if (r == NULL || r->type != REDIS_REPLY_ARRAY || r->elements != 2) {

        if (r) {
            ngx_mcp_redis_refused(r);
        }

        return NGX_MCP_DELIVERY_RETRY;
    }

    if (r->element[1]->type == REDIS_REPLY_NIL) {
        ngx_mcp_worker_lease_lost();
    }

    if (r->element[0]->type == REDIS_REPLY_NIL) {
        return ngx_mcp_worker_lease_maybe_lost()
               ? NGX_MCP_DELIVERY_RETRY : NGX_MCP_DELIVERY_NO_SESSION;
    }

    /* this worker had it, but the zone has it no more */

    if (ngx_mcp_redis_id(owner, r->element[0]) != NGX_OK
        || ngx_memcmp(owner, ngx_mcp_workers_self()->id, NGX_MCP_WORKER_ID_LEN)
           == 0)
    {
        return NGX_MCP_DELIVERY_NO_SESSION;
    }

    return NGX_MCP_DELIVERY_PENDING;
}

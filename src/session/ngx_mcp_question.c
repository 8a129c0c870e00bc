
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * A call asks its client: whether it may, the key in Redis, the request.
 */

#include "ngx_mcp_question.h"
#include "ngx_mcp_question_open.h"
#include "ngx_mcp_client.h"


#define NGX_MCP_QUESTION_PER_CALL  4      /* open ones */
#define NGX_MCP_QUESTION_PER_USER  16     /* in this worker */

/* for how long a refusal waits for Redis, if no call says it */

#define NGX_MCP_QUESTION_ENDED_MS  5000


typedef struct {
    ngx_int_t             code;
    const char           *message;
    ngx_uint_t            counter;
} ngx_mcp_question_refusal_t;


static ngx_uint_t ngx_mcp_question_refused(ngx_mcp_task_t *task,
    ngx_mcp_pushed_t *pushed, ngx_mcp_question_refusal_t *refusal);
static const char *ngx_mcp_question_lacks(ngx_mcp_sink_t *sink,
    ngx_mcp_pushed_t *pushed);
static ngx_uint_t ngx_mcp_question_too_many(ngx_mcp_task_t *task);
static ngx_mcp_question_t *ngx_mcp_question_create(ngx_mcp_task_t *task,
    ngx_mcp_pushed_t *pushed);
static void ngx_mcp_question_write(ngx_mcp_question_t *q,
    ngx_mcp_pushed_t *pushed);
static ngx_int_t ngx_mcp_question_announce(ngx_mcp_question_t *q);
static void ngx_mcp_question_asked(ngx_mcp_redis_conn_t *conn,
    redisReply *reply, void *data);
static void ngx_mcp_question_send(ngx_mcp_question_t *q);


/* mcp:ask:K, mcp:reply:K; the id of the call, seconds */

static ngx_str_t  ngx_mcp_question_script = ngx_string(
    "if not redis.call('SET',KEYS[1],ARGV[1],'NX','EX',ARGV[2]) then "
    "return 0 end "
    "redis.call('RPUSH',KEYS[2],'asked')"
    "redis.call('EXPIRE',KEYS[2],ARGV[2])"
    "return 1");


void
ngx_mcp_question_ask(ngx_mcp_task_t *task, ngx_mcp_pushed_t *pushed)
{
    ngx_mcp_question_t          *q;
    ngx_mcp_question_refusal_t   refusal;

    if (ngx_mcp_question_refused(task, pushed, &refusal)) {
        ngx_log_error(NGX_LOG_INFO, ngx_cycle->log, 0,
                      "mcp sse: session %*s: a client is not asked: %s",
                      (size_t) NGX_MCP_HASH_LEN, task->session->sid.hash,
                      refusal.message);

        ngx_mcp_count(refusal.counter);
        ngx_mcp_question_answer_error(NGX_MCP_QUESTION_REFUSAL,
                                      &pushed->reply, NULL, refusal.code,
                                      refusal.message,
                                      task->session->conf->ask_timeout);
        return;
    }

    q = ngx_mcp_question_create(task, pushed);
    if (q == NULL) {
        return;
    }

    /* without "asked" the asker gives up */

    if (ngx_mcp_question_announce(q) != NGX_OK) {
        ngx_mcp_question_over(q, NGX_MCP_COUNT_ASKED_ENDED);
    }
}


/*
 * Returns whether the client cannot be asked, and why.
 */

static ngx_uint_t
ngx_mcp_question_refused(ngx_mcp_task_t *task, ngx_mcp_pushed_t *pushed,
    ngx_mcp_question_refusal_t *refusal)
{
    refusal->code = NGX_MCP_ERR_CLOSED;
    refusal->counter = NGX_MCP_COUNT_ASKED_ENDED;

    if (task->cancelled || task->call == NULL || task->call->end) {
        refusal->message = "The call has ended";
        return 1;
    }

    if (!ngx_mcp_task_has_receiver(task)) {
        refusal->message = "The client does not wait for the call";
        return 1;
    }

    refusal->counter = NGX_MCP_COUNT_ASKED_REFUSED;

    refusal->code = NGX_MCP_ERR_NO_METHOD;
    refusal->message = ngx_mcp_question_lacks(task->sink, pushed);

    if (refusal->message) {
        return 1;
    }

    refusal->code = NGX_MCP_ERR_TOO_MANY;

    if (ngx_mcp_question_too_many(task)) {
        refusal->message = "Too many open questions";
        return 1;
    }

    if (ngx_mcp_task_room(task, pushed->params.len) == NGX_BUSY) {
        refusal->message = "The client does not read its stream";
        return 1;
    }

    return 0;
}


/*
 * Returns what the client has not declared, or NULL.
 */

static const char *
ngx_mcp_question_lacks(ngx_mcp_sink_t *sink, ngx_mcp_pushed_t *pushed)
{
    ngx_uint_t  needs;

    if (!sink->progress) {
        return "The client does not accept a stream";
    }

    switch (pushed->method) {

    case NGX_MCP_PUSHED_ELICIT:
        needs = pushed->url ? NGX_MCP_CLIENT_URL : NGX_MCP_CLIENT_FORM;
        break;

    case NGX_MCP_PUSHED_SAMPLE:
        needs = NGX_MCP_CLIENT_SAMPLING;

        if (pushed->tools) {
            needs |= NGX_MCP_CLIENT_SAMPLING_TOOLS;
        }

        if (pushed->context) {
            needs |= NGX_MCP_CLIENT_SAMPLING_CONTEXT;
        }

        break;

    default: /* NGX_MCP_PUSHED_ROOTS */
        needs = NGX_MCP_CLIENT_ROOTS;
        break;
    }

    return (sink->asks & needs) == needs
           ? NULL : "The client does not support this question";
}


static ngx_uint_t
ngx_mcp_question_too_many(ngx_mcp_task_t *task)
{
    ngx_uint_t           ncall, nuser;
    ngx_queue_t         *queue, *list;
    ngx_mcp_session_t   *s, *other;
    ngx_mcp_question_t  *q;

    s = task->session;
    ncall = 0;
    nuser = 0;

    list = ngx_mcp_question_list();

    for (queue = ngx_queue_head(list);
         queue != ngx_queue_sentinel(list);
         queue = ngx_queue_next(queue))
    {
        q = ngx_queue_data(queue, ngx_mcp_question_t, queue);

        if (q->task == NULL) {
            continue;
        }

        ncall += (q->task == task);

        other = q->task->session;

        nuser += (other->user.len == s->user.len
                  && other->site.len == s->site.len
                  && ngx_memcmp(other->user.data, s->user.data, s->user.len)
                     == 0
                  && ngx_memcmp(other->site.data, s->site.data, s->site.len)
                     == 0);
    }

    return ncall >= NGX_MCP_QUESTION_PER_CALL
           || nuser >= NGX_MCP_QUESTION_PER_USER;
}


static ngx_mcp_question_t *
ngx_mcp_question_create(ngx_mcp_task_t *task, ngx_mcp_pushed_t *pushed)
{
    u_char              *p;
    ngx_mcp_question_t  *q;

    q = ngx_calloc(sizeof(ngx_mcp_question_t)
                   + pushed->reply.len + NGX_MCP_QUESTION_ID_MAX_LEN
                   + NGX_MCP_CALL_ID_LEN
                   + sizeof("{\"jsonrpc\":\"2.0\",\"id\":\"\",\"method\":,"
                            "\"params\":}")
                   + NGX_MCP_QUESTION_ID_MAX_LEN
                   + pushed->raw_method.len + pushed->params.len,
                   ngx_cycle->log);
    if (q == NULL) {
        return NULL;
    }

    p = (u_char *) (q + 1);

    q->k.len = pushed->reply.len;
    q->k.data = p;
    p = ngx_cpymem(p, pushed->reply.data, pushed->reply.len);

    q->call.len = NGX_MCP_CALL_ID_LEN;
    q->call.data = p;
    p = ngx_cpymem(p, task->call_id.text, NGX_MCP_CALL_ID_LEN);

    q->id.data = p;
    q->request.data = p + NGX_MCP_QUESTION_ID_MAX_LEN;

    if (ngx_mcp_question_id_make(&q->id, ngx_mcp_zone()->secrets->elts, &q->k,
                                 task->session->sid.key)
        != NGX_OK)
    {
        ngx_free(q);
        return NULL;
    }

    ngx_mcp_question_write(q, pushed);

    ngx_mcp_question_open(q, task);

    return q;
}


static void
ngx_mcp_question_write(ngx_mcp_question_t *q, ngx_mcp_pushed_t *pushed)
{
    u_char  *p;

    p = ngx_sprintf(q->request.data,
                    "{\"jsonrpc\":\"2.0\",\"id\":\"%V\",\"method\":%V",
                    &q->id, &pushed->raw_method);

    if (pushed->params.data) {
        p = ngx_sprintf(p, ",\"params\":%V", &pushed->params);
    }

    *p++ = '}';

    q->request.len = p - q->request.data;
}


/*
 * Tells the asker that its question is open, unless K is in use.
 */

static ngx_int_t
ngx_mcp_question_announce(ngx_mcp_question_t *q)
{
    u_char      ask[NGX_MCP_QUESTION_MAX_NAME];
    u_char      reply[NGX_MCP_QUESTION_MAX_NAME];
    u_char      seconds[NGX_INT64_LEN];
    ngx_str_t   words[7];

    ngx_str_set(&words[0], "EVAL");
    words[1] = ngx_mcp_question_script;
    ngx_str_set(&words[2], "2");
    ngx_mcp_question_name(&words[3], ask, "mcp:ask:", &q->k);
    ngx_mcp_question_name(&words[4], reply, "mcp:reply:", &q->k);
    words[5] = q->call;
    ngx_mcp_question_expiry(&words[6], seconds,
                            q->task->session->conf->ask_timeout);

    if (ngx_mcp_events_command(ngx_mcp_question_asked, q, 7, words)
        != NGX_OK)
    {
        return NGX_DECLINED;
    }

    q->commands++;

    return NGX_OK;
}


static void
ngx_mcp_question_asked(ngx_mcp_redis_conn_t *conn, redisReply *reply,
    void *data)
{
    ngx_mcp_question_t  *q = data;

    ngx_mcp_session_t        *s;
    ngx_mcp_pushed_address_t  to;

    q->commands--;

    if (reply && reply->type == REDIS_REPLY_ERROR) {
        ngx_mcp_events_refused(reply);
        reply = NULL;
    }

    if (q->task == NULL) {
        ngx_mcp_question_free(q);
        return;
    }

    /* nobody knows whether the script has run */

    if (reply == NULL) {
        ngx_mcp_question_tell(q, NGX_MCP_ERR_UNAVAILABLE,
                              "Redis has failed", NGX_MCP_COUNT_ASKED_ENDED);
        return;
    }

    if (reply->type == REDIS_REPLY_INTEGER && reply->integer == 1) {
        ngx_mcp_question_send(q);
        return;
    }

    s = q->task->session;

    to.site = s->events_site;
    to.call = q->call;
    ngx_str_null(&to.user);

    ngx_mcp_push_drop(NGX_MCP_COUNT_EVENTS_MALFORMED, &to,
                      "its \"reply\" is in use");

    ngx_mcp_question_over(q, NGX_MCP_COUNTS);
}


/*
 * While the stream of a legacy session is lost, what is sent is dropped: a new
 * stream gets it by ngx_mcp_question_again().
 */

static void
ngx_mcp_question_send(ngx_mcp_question_t *q)
{
    ngx_mcp_event_t  *ev;

    if (!q->sent) {
        q->sent = 1;
        ngx_mcp_timer_set(&q->timer, q->task->session->conf->ask_timeout);
    }

    ev = ngx_mcp_event_alloc(q->request.len, ngx_cycle->log);

    if (ev) {
        ev->last = ngx_cpymem(ev->last, q->request.data, q->request.len);
        ev = ngx_mcp_event_frame(ev, ngx_cycle->log);
    }

    if (ev == NULL) {
        ngx_mcp_question_tell(q, NGX_MCP_ERR_INTERNAL, "No memory",
                              NGX_MCP_COUNT_ASKED_ENDED);
        return;
    }

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, ngx_cycle->log, 0,
                   "mcp question: session %*s is asked",
                   (size_t) NGX_MCP_HASH_LEN, q->task->session->sid.hash);

    ngx_mcp_task_tell(q->task, ev, 0);
}


void
ngx_mcp_question_ended(ngx_mcp_pushed_t *pushed)
{
    ngx_mcp_count(NGX_MCP_COUNT_ASKED_ENDED);

    ngx_mcp_question_answer_error(NGX_MCP_QUESTION_REFUSAL, &pushed->reply,
                                  NULL, NGX_MCP_ERR_CLOSED,
                                  "The call has ended",
                                  NGX_MCP_QUESTION_ENDED_MS);
}


void
ngx_mcp_question_again(ngx_mcp_session_t *s)
{
    ngx_queue_t         *queue, *next, *list;
    ngx_mcp_question_t  *q;

    list = ngx_mcp_question_list();

    for (queue = ngx_queue_head(list);
         queue != ngx_queue_sentinel(list);
         queue = next)
    {
        next = ngx_queue_next(queue);

        q = ngx_queue_data(queue, ngx_mcp_question_t, queue);

        if (q->sent && q->task && q->task->session == s) {
            ngx_mcp_question_send(q);
        }
    }
}

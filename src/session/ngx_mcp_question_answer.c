
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * The last element of mcp:reply:<K>.
 *
 * An answer belongs to itself: it is in the list of those that wait for Redis,
 * or its command is on the way, whose handler runs in any case.  The scripts
 * can be repeated: an answer whose reply is lost is sent again.  The worker
 * stays until its answers are there, or their time is over.
 */

#include "ngx_mcp_question_answer.h"
#include "ngx_mcp_counters.h"
#include "ngx_mcp_session_timers.h"


/* those that wait for Redis in this worker */

#define NGX_MCP_QUESTION_MAX_RESPONSES  64
#define NGX_MCP_QUESTION_MAX_WAITING    1024

/* keys live longer than the question */

#define NGX_MCP_QUESTION_EXTRA_SEC      60


typedef struct {
    ngx_queue_t    queue;          /* in the list of those that wait */
    ngx_uint_t     kind;           /* ngx_mcp_question_answer_e */
    ngx_str_t      k;              /* these are in the same block */
    ngx_str_t      call;
    ngx_str_t      value;
    ngx_msec_t     timeout;
    ngx_msec_t     started;
} ngx_mcp_question_answer_t;


static ngx_mcp_question_answer_t *ngx_mcp_question_answer_create(
    ngx_uint_t kind, ngx_str_t *k, ngx_str_t *call, const char *member,
    ngx_str_t *value);
static ngx_int_t ngx_mcp_question_answer_send(ngx_mcp_question_answer_t *a);
static void ngx_mcp_question_answer_reply(ngx_mcp_redis_conn_t *conn,
    redisReply *reply, void *data);
static void ngx_mcp_question_answer_wait(ngx_mcp_question_answer_t *a);
static void ngx_mcp_question_answer_free(ngx_mcp_question_answer_t *a);


/*
 * mcp:ask:K, mcp:reply:K; the answer, seconds, and what the kind needs.  All
 * return whether the answer counts.
 */

static ngx_str_t  ngx_mcp_question_scripts[] = {

    /* RESPONSE: the channel of the worker, without its name */

    ngx_string("local c=redis.call('GET',KEYS[1])"
               "if not c then return 0 end "
               "redis.call('DEL',KEYS[1])"
               "redis.call('RPUSH',KEYS[2],ARGV[1])"
               "redis.call('EXPIRE',KEYS[2],ARGV[2])"
               "redis.call('PUBLISH',ARGV[3]..string.sub(c,1,12),"
               "'a'..string.sub(KEYS[1],9))"
               "return 1"),

    /* END: the id of the call */

    ngx_string("if redis.call('GET',KEYS[1])~=ARGV[3] then return 0 end "
               "redis.call('DEL',KEYS[1])"
               "redis.call('RPUSH',KEYS[2],ARGV[1])"
               "redis.call('EXPIRE',KEYS[2],ARGV[2])"
               "return 1"),

    /* REFUSAL: the list of another question stays as it is */

    ngx_string("if redis.call('GET',KEYS[1]) then return 0 end "
               "redis.call('RPUSH',KEYS[2],ARGV[1])"
               "redis.call('EXPIRE',KEYS[2],ARGV[2])"
               "return 1")
};

static ngx_queue_t  ngx_mcp_question_waiting = {
    &ngx_mcp_question_waiting, &ngx_mcp_question_waiting
};

static ngx_uint_t  ngx_mcp_question_nwaiting;
static ngx_uint_t  ngx_mcp_question_nresponses;      /* of these */


void
ngx_mcp_question_answer(ngx_uint_t kind, ngx_str_t *k, ngx_str_t *call,
    const char *member, ngx_str_t *value, ngx_msec_t timeout)
{
    ngx_mcp_question_answer_t  *a;

    a = ngx_mcp_question_answer_create(kind, k, call, member, value);
    if (a == NULL) {
        return;
    }

    a->timeout = timeout;
    a->started = ngx_current_msec;

    ngx_mcp_timer_hold();

    if (ngx_mcp_question_answer_send(a) != NGX_OK) {
        ngx_mcp_question_answer_wait(a);
    }
}


static ngx_mcp_question_answer_t *
ngx_mcp_question_answer_create(ngx_uint_t kind, ngx_str_t *k, ngx_str_t *call,
    const char *member, ngx_str_t *value)
{
    u_char                     *p;
    size_t                      len;
    ngx_mcp_question_answer_t  *a;

    len = sizeof("{\"\":}") - 1 + ngx_strlen(member) + value->len;

    a = ngx_alloc(sizeof(ngx_mcp_question_answer_t) + k->len
                  + (call ? call->len : 0) + len,
                  ngx_cycle->log);
    if (a == NULL) {
        return NULL;
    }

    p = (u_char *) (a + 1);

    a->kind = kind;

    a->k.len = k->len;
    a->k.data = p;
    p = ngx_cpymem(p, k->data, k->len);

    a->call.len = call ? call->len : 0;
    a->call.data = p;

    if (call) {
        p = ngx_cpymem(p, call->data, call->len);
    }

    a->value.len = len;
    a->value.data = p;

    *p++ = '{';
    *p++ = '"';
    p = ngx_cpymem(p, member, ngx_strlen(member));
    *p++ = '"';
    *p++ = ':';
    p = ngx_cpymem(p, value->data, value->len);
    *p = '}';

    return a;
}


void
ngx_mcp_question_answer_error(ngx_uint_t kind, ngx_str_t *k, ngx_str_t *call,
    ngx_int_t code, const char *message, ngx_msec_t timeout)
{
    u_char     buf[256];
    ngx_str_t  value;

    value.data = buf;
    value.len = ngx_snprintf(buf, sizeof(buf),
                             "{\"code\":%i,\"message\":\"%s\"}", code, message)
                - buf;

    ngx_mcp_question_answer(kind, k, call, "error", &value, timeout);
}


static ngx_int_t
ngx_mcp_question_answer_send(ngx_mcp_question_answer_t *a)
{
    u_char      ask[NGX_MCP_QUESTION_MAX_NAME];
    u_char      reply[NGX_MCP_QUESTION_MAX_NAME];
    u_char      seconds[NGX_INT64_LEN];
    u_char      channel[NGX_MCP_REDIS_MAX_PREFIX_LEN + 1];
    ngx_str_t   words[8], *name;

    ngx_str_set(&words[0], "EVAL");
    words[1] = ngx_mcp_question_scripts[a->kind];
    ngx_str_set(&words[2], "2");
    ngx_mcp_question_name(&words[3], ask, "mcp:ask:", &a->k);
    ngx_mcp_question_name(&words[4], reply, "mcp:reply:", &a->k);
    words[5] = a->value;
    ngx_mcp_question_expiry(&words[6], seconds, a->timeout);

    words[7] = a->call;

    if (a->kind == NGX_MCP_QUESTION_RESPONSE) {
        name = &ngx_mcp_zone()->conf->events->channel;

        words[7].data = channel;
        words[7].len = ngx_sprintf(channel, "%V:", name) - channel;
    }

    return ngx_mcp_events_command(ngx_mcp_question_answer_reply, a,
                                  a->kind == NGX_MCP_QUESTION_REFUSAL ? 7 : 8,
                                  words);
}


static void
ngx_mcp_question_answer_reply(ngx_mcp_redis_conn_t *conn, redisReply *reply,
    void *data)
{
    ngx_mcp_question_answer_t  *a = data;

    if (reply == NULL) {
        ngx_mcp_question_answer_wait(a);
        return;
    }

    if (reply->type == REDIS_REPLY_ERROR) {
        ngx_mcp_events_refused(reply);
        ngx_mcp_question_answer_wait(a);
        return;
    }

    if (a->kind == NGX_MCP_QUESTION_RESPONSE
        && reply->type == REDIS_REPLY_INTEGER
        && reply->integer == 0)
    {
        ngx_log_error(NGX_LOG_INFO, ngx_cycle->log, 0,
                      "mcp sse: a client's response comes too late or twice, "
                      "it is dropped");
    }

    ngx_mcp_question_answer_free(a);
}


/*
 * It is sent again when Redis is up, or in a second.
 */

static void
ngx_mcp_question_answer_wait(ngx_mcp_question_answer_t *a)
{
    ngx_uint_t  is_response;

    is_response = (a->kind == NGX_MCP_QUESTION_RESPONSE);

    if (ngx_terminate) {
        ngx_mcp_question_answer_free(a);
        return;
    }

    if (ngx_mcp_session_timers_stopped()
        || (is_response
            && ngx_mcp_question_nresponses == NGX_MCP_QUESTION_MAX_RESPONSES)
        || ngx_mcp_question_nwaiting == NGX_MCP_QUESTION_MAX_WAITING)
    {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "mcp sse: the answer to a question is lost, the Redis of "
                      "mcp_sse_events is away");

        ngx_mcp_question_answer_free(a);
        return;
    }

    ngx_queue_insert_tail(&ngx_mcp_question_waiting, &a->queue);
    ngx_mcp_question_nwaiting++;
    ngx_mcp_question_nresponses += is_response;
}


void
ngx_mcp_question_answer_up(void)
{
    ngx_uint_t                  n;
    ngx_queue_t                *q;
    ngx_mcp_question_answer_t  *a;

    for (n = ngx_mcp_question_nwaiting; n; n--) {
        q = ngx_queue_head(&ngx_mcp_question_waiting);
        a = ngx_queue_data(q, ngx_mcp_question_answer_t, queue);

        ngx_queue_remove(q);
        ngx_mcp_question_nwaiting--;
        ngx_mcp_question_nresponses -=
                                  (a->kind == NGX_MCP_QUESTION_RESPONSE);

        if (ngx_current_msec - a->started >= a->timeout
            || ngx_mcp_session_timers_stopped())
        {
            ngx_log_error(NGX_LOG_INFO, ngx_cycle->log, 0,
                          "mcp sse: the answer to a question is dropped, the "
                          "Redis of mcp_sse_events was away for too long");

            ngx_mcp_question_answer_free(a);
            continue;
        }

        if (ngx_mcp_question_answer_send(a) != NGX_OK) {
            ngx_mcp_question_answer_wait(a);
        }
    }
}


static void
ngx_mcp_question_answer_free(ngx_mcp_question_answer_t *a)
{
    ngx_mcp_timer_release();
    ngx_free(a);
}


void
ngx_mcp_question_name(ngx_str_t *name, u_char *buf, const char *prefix,
    ngx_str_t *k)
{
    name->data = buf;
    name->len = ngx_sprintf(buf, "%s%V", prefix, k) - buf;
}


void
ngx_mcp_question_expiry(ngx_str_t *seconds, u_char *buf, ngx_msec_t timeout)
{
    seconds->data = buf;
    seconds->len = ngx_sprintf(buf, "%M", timeout / 1000
                                          + NGX_MCP_QUESTION_EXTRA_SEC)
                   - buf;
}


/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * What the module itself asks a backend: one message, sent as a call of the
 * user whose request needs to know the answer.
 *
 * A question is the sink of its task and has a pool of its own, which is
 * destroyed when the task has ended.  The task also runs to its end if all
 * requests that waited have left, since the next request needs the answer.  A
 * question does not own the requests that wait.
 */

#include "ngx_mcp_ask.h"
#include "ngx_mcp_dispatch.h"
#include "ngx_mcp_forward_headers.h"
#include "ngx_mcp_outcome.h"
#include "ngx_mcp_session_http.h"
#include "ngx_mcp_session_timers.h"
#include "ngx_mcp_suspend.h"


/* as a look-up; a client that probes does not wait longer */

#define NGX_MCP_ASK_TIMEOUT_MS  10000

#define NGX_MCP_ASK_POOL_SIZE   1024


struct ngx_mcp_ask_s {
    ngx_mcp_sink_t           sink;       /* the first member */

    ngx_queue_t              queue;      /* in ngx_mcp_asks */
    ngx_queue_t              waiters;
    u_char                   key[NGX_MCP_DIGEST_LEN];
    u_char                   site[NGX_MCP_DIGEST_LEN];
    ngx_pool_t              *pool;
    ngx_event_t              event;      /* the question has ended */
    ngx_mcp_timer_t          timer;

    ngx_mcp_ask_answer_t     answer;
    void                   (*keep)(u_char *key, u_char *site,
                                 ngx_mcp_ask_answer_t *answer,
                                 ngx_pool_t *pool);
};


static ngx_mcp_ask_t *ngx_mcp_ask_find(ngx_mcp_ask_args_t *args);
static ngx_mcp_ask_t *ngx_mcp_ask_create(ngx_http_request_t *r,
    ngx_mcp_ask_args_t *args);
static ngx_int_t ngx_mcp_ask_start(ngx_http_request_t *r,
    ngx_mcp_ask_args_t *args, ngx_mcp_ask_t *ask);
static ngx_int_t ngx_mcp_ask_envelope(ngx_http_request_t *r,
    ngx_mcp_ask_args_t *args, ngx_mcp_envelope_t **env);
static ngx_int_t ngx_mcp_ask_wait(ngx_mcp_ask_t *ask, ngx_http_request_t *r,
    ngx_mcp_ask_waiter_t *waiter, ngx_mcp_resume_pt resume);
static void ngx_mcp_ask_leave(void *data);
static void ngx_mcp_ask_tell(ngx_mcp_sink_t *sink, ngx_mcp_task_t *task,
    ngx_mcp_event_t *ev, ngx_uint_t is_answer);
static ngx_int_t ngx_mcp_ask_take(ngx_mcp_ask_t *ask, ngx_mcp_task_t *task,
    ngx_mcp_event_t *ev);
static ngx_int_t ngx_mcp_ask_copy(ngx_mcp_ask_t *ask, ngx_str_t *dst,
    ngx_str_t *src);
static void ngx_mcp_ask_task_ended(ngx_mcp_sink_t *sink);
static void ngx_mcp_ask_timeout(void *data);
static void ngx_mcp_ask_event(ngx_event_t *ev);


static ngx_queue_t  ngx_mcp_asks = { &ngx_mcp_asks, &ngx_mcp_asks };


ngx_int_t
ngx_mcp_ask(ngx_http_request_t *r, ngx_mcp_ask_args_t *args,
    ngx_mcp_ask_waiter_t *waiter, ngx_mcp_resume_pt resume)
{
    ngx_int_t       rc;
    ngx_mcp_ask_t  *ask;

    if (ngx_mcp_session_timers_stopped()) {
        return NGX_BUSY;
    }

    ask = ngx_mcp_ask_find(args);

    if (ask == NULL) {

        ask = ngx_mcp_ask_create(r, args);
        if (ask == NULL) {
            return NGX_ERROR;
        }

        rc = ngx_mcp_ask_start(r, args, ask);

        if (rc != NGX_OK) {
            ngx_destroy_pool(ask->pool);
            return rc;
        }
    }

    return ngx_mcp_ask_wait(ask, r, waiter, resume);
}


static ngx_mcp_ask_t *
ngx_mcp_ask_find(ngx_mcp_ask_args_t *args)
{
    ngx_queue_t    *q;
    ngx_mcp_ask_t  *ask;

    for (q = ngx_queue_head(&ngx_mcp_asks);
         q != ngx_queue_sentinel(&ngx_mcp_asks);
         q = ngx_queue_next(q))
    {
        ask = ngx_queue_data(q, ngx_mcp_ask_t, queue);

        if (ask->keep == args->keep
            && ngx_memcmp(ask->key, args->key, NGX_MCP_DIGEST_LEN) == 0)
        {
            return ask;
        }
    }

    return NULL;
}


static ngx_mcp_ask_t *
ngx_mcp_ask_create(ngx_http_request_t *r, ngx_mcp_ask_args_t *args)
{
    ngx_pool_t     *pool;
    ngx_mcp_ask_t  *ask;

    pool = ngx_create_pool(NGX_MCP_ASK_POOL_SIZE, ngx_cycle->log);
    if (pool == NULL) {
        return NULL;
    }

    ask = ngx_pcalloc(pool, sizeof(ngx_mcp_ask_t));
    if (ask == NULL) {
        ngx_destroy_pool(pool);
        return NULL;
    }

    ask->pool = pool;
    ask->keep = args->keep;
    ngx_memcpy(ask->key, args->key, NGX_MCP_DIGEST_LEN);
    ngx_memcpy(ask->site, args->site, NGX_MCP_DIGEST_LEN);

    ngx_queue_init(&ask->waiters);

    ngx_queue_init(&ask->sink.tasks);
    ngx_queue_init(&ask->sink.in_flight);
    ask->sink.conf = ngx_http_get_module_loc_conf(r, ngx_http_mcp_sse_module);
    ask->sink.tell = ngx_mcp_ask_tell;
    ask->sink.ended = ngx_mcp_ask_task_ended;
    ask->sink.streamable = 1;
    ask->sink.probe = args->probe ? 1 : 0;
    ask->sink.open = 1;

    ask->event.handler = ngx_mcp_ask_event;
    ask->event.data = ask;
    ask->event.log = ngx_cycle->log;

    ask->timer.handler = ngx_mcp_ask_timeout;
    ask->timer.data = ask;

    return ask;
}


/*
 * Sends the message.  The answer comes from an event; if there was no memory
 * for a task, the sink has been told already, and the event is posted.
 */

static ngx_int_t
ngx_mcp_ask_start(ngx_http_request_t *r, ngx_mcp_ask_args_t *args,
    ngx_mcp_ask_t *ask)
{
    ngx_int_t            rc;
    ngx_mcp_session_t   *s;
    ngx_mcp_envelope_t  *env;

    rc = ngx_mcp_ask_envelope(r, args, &env);

    if (rc != NGX_OK) {
        return (rc == NGX_DECLINED) ? NGX_BUSY : NGX_ERROR;
    }

    s = NULL;

    rc = ngx_mcp_session_http_get(r, &s);

    if (rc == NGX_OK) {
        rc = ngx_mcp_session_http_accept(s, env);
    }

    if (rc != NGX_OK) {
        ngx_mcp_envelope_free(env);

        if (s) {
            ngx_mcp_session_check(s);
        }

        return rc;
    }

    ngx_queue_insert_tail(&ngx_mcp_asks, &ask->queue);
    ngx_mcp_timer_set(&ask->timer, NGX_MCP_ASK_TIMEOUT_MS);

    ngx_log_debug1(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "mcp asks the backend: %V", &args->method);

    ngx_mcp_dispatch(s, env, &ask->sink);
    ngx_mcp_session_check(s);

    return NGX_OK;
}


static ngx_int_t
ngx_mcp_ask_envelope(ngx_http_request_t *r, ngx_mcp_ask_args_t *args,
    ngx_mcp_envelope_t **env)
{
    u_char                     *p;
    ngx_array_t                 messages;
    ngx_mcp_jsonrpc_message_t   m;

    ngx_memzero(&m, sizeof(ngx_mcp_jsonrpc_message_t));

    p = ngx_pnalloc(r->pool, args->method.len + 2);
    if (p == NULL) {
        return NGX_ERROR;
    }

    m.type = NGX_MCP_JSONRPC_REQUEST;
    ngx_str_set(&m.id, "1");
    m.method = args->method;
    m.raw_method.data = p;
    m.raw_method.len = ngx_sprintf(p, "\"%V\"", &args->method) - p;
    m.params = args->params;

    messages.elts = &m;
    messages.nelts = 1;

    return ngx_mcp_forward_headers_mcp(r, args->headers, &messages, env);
}


static ngx_int_t
ngx_mcp_ask_wait(ngx_mcp_ask_t *ask, ngx_http_request_t *r,
    ngx_mcp_ask_waiter_t *waiter, ngx_mcp_resume_pt resume)
{
    ngx_http_cleanup_t  *cln;

    cln = ngx_http_cleanup_add(r, 0);

    if (cln == NULL || ngx_mcp_suspend(r, resume) != NGX_OK) {
        return NGX_ERROR;
    }

    cln->handler = ngx_mcp_ask_leave;
    cln->data = waiter;

    waiter->ask = ask;
    waiter->request = r;
    waiter->answer = NULL;
    ngx_queue_insert_tail(&ask->waiters, &waiter->queue);

    return NGX_DONE;
}


ngx_mcp_ask_answer_t *
ngx_mcp_ask_answer(ngx_mcp_ask_waiter_t *waiter)
{
    ngx_mcp_ask_leave(waiter);

    return waiter->answer;
}


/*
 * The request has ended, or was resumed.
 */

static void
ngx_mcp_ask_leave(void *data)
{
    ngx_mcp_ask_waiter_t  *waiter = data;

    if (waiter->ask) {
        ngx_queue_remove(&waiter->queue);
        waiter->ask = NULL;
    }
}


static void
ngx_mcp_ask_tell(ngx_mcp_sink_t *sink, ngx_mcp_task_t *task,
    ngx_mcp_event_t *ev, ngx_uint_t is_answer)
{
    ngx_mcp_ask_t  *ask;

    ask = (ngx_mcp_ask_t *) sink;

    if (is_answer) {
        sink->open = 0;

        if (task && ev && ngx_mcp_ask_take(ask, task, ev) != NGX_OK) {
            ngx_memzero(&ask->answer, sizeof(ngx_mcp_ask_answer_t));
        }

        if (!ask->event.posted) {
            ngx_post_event(&ask->event, &ngx_posted_events);
        }
    }

    if (ev) {
        ngx_mcp_event_free(ev);
    }
}


/*
 * Errors that the module itself has made say nothing of the backend.
 */

static ngx_int_t
ngx_mcp_ask_take(ngx_mcp_ask_t *ask, ngx_mcp_task_t *task, ngx_mcp_event_t *ev)
{
    ngx_str_t              data;
    ngx_mcp_call_t        *call;
    ngx_mcp_ask_answer_t  *answer;

    call = task->call;
    answer = &ask->answer;

    if (call == NULL || call->end != NGX_MCP_CALL_DONE) {
        return NGX_OK;
    }

    if (call->answered) {
        answer->status = call->status;
    }

    switch (task->outcome) {

    case NGX_MCP_OUTCOME_RESPONSE:
    case NGX_MCP_OUTCOME_ERROR:
    case NGX_MCP_OUTCOME_VALUE:
        ngx_mcp_event_data(ev, &data);
        return ngx_mcp_ask_copy(ask, &answer->response, &data);

    case NGX_MCP_OUTCOME_REFUSED:
        return ngx_mcp_ask_copy(ask, &answer->challenge, &call->challenge);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_mcp_ask_copy(ngx_mcp_ask_t *ask, ngx_str_t *dst, ngx_str_t *src)
{
    if (src->len == 0) {
        return NGX_OK;
    }

    dst->data = ngx_pstrdup(ask->pool, src);
    if (dst->data == NULL) {
        return NGX_ERROR;
    }

    dst->len = src->len;

    return NGX_OK;
}


static void
ngx_mcp_ask_task_ended(ngx_mcp_sink_t *sink)
{
    ngx_mcp_ask_t  *ask;

    ask = (ngx_mcp_ask_t *) sink;

    if (!ask->event.posted) {
        ngx_post_event(&ask->event, &ngx_posted_events);
    }
}


static void
ngx_mcp_ask_timeout(void *data)
{
    ngx_mcp_ask_t  *ask = data;

    ngx_queue_t        *q;
    ngx_mcp_task_t     *task;
    ngx_mcp_session_t  *s;

    if (ngx_queue_empty(&ask->sink.tasks)) {
        return;
    }

    q = ngx_queue_head(&ask->sink.tasks);
    task = ngx_queue_data(q, ngx_mcp_task_t, siblings);
    s = task->session;

    if (task->call) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "mcp sse: Frappe has not answered \"%V\" of the module "
                      "for %d seconds", &task->message.method,
                      NGX_MCP_ASK_TIMEOUT_MS / 1000);

    } else {
        ngx_log_error(NGX_LOG_INFO, ngx_cycle->log, 0,
                      "mcp sse: \"%V\" of the module has waited for other "
                      "calls for %d seconds, it is not sent",
                      &task->message.method, NGX_MCP_ASK_TIMEOUT_MS / 1000);
    }

    ngx_mcp_task_cancel(task);
    ngx_mcp_task_over(s);
}


/*
 * The task has ended: nothing points to the question any more.
 */

static void
ngx_mcp_ask_event(ngx_event_t *ev)
{
    ngx_mcp_ask_t         *ask = ev->data;

    ngx_queue_t           *q;
    ngx_mcp_ask_waiter_t  *waiter;

    if (!ngx_queue_empty(&ask->sink.tasks)) {
        return;
    }

    ngx_queue_remove(&ask->queue);
    ngx_mcp_timer_del(&ask->timer);

    ask->keep(ask->key, ask->site, &ask->answer, ask->pool);

    while (!ngx_queue_empty(&ask->waiters)) {
        q = ngx_queue_head(&ask->waiters);
        waiter = ngx_queue_data(q, ngx_mcp_ask_waiter_t, queue);

        ngx_mcp_ask_leave(waiter);

        waiter->answer = &ask->answer;
        ngx_mcp_resume(waiter->request);
    }

    ngx_destroy_pool(ask->pool);
}

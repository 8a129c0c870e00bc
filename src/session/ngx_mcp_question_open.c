
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Open questions, and how each ends: answered, timed out, with its call.
 *
 * A question is in the list of its task until it is over, and belongs to
 * itself: it is freed when it is over and no command of it is on its way to
 * Redis.  The clock of a call stands still while it has open questions.
 */

#include "ngx_mcp_question_open.h"


static void ngx_mcp_question_timeout(void *data);
static void ngx_mcp_question_cancel(ngx_mcp_question_t *q, const char *why);
static void ngx_mcp_question_clock_stop(ngx_mcp_task_t *task);
static void ngx_mcp_question_clock_run(ngx_mcp_task_t *task);
static void ngx_mcp_question_checked(ngx_mcp_redis_conn_t *conn,
    redisReply *reply, void *data);


static ngx_queue_t  ngx_mcp_questions = {
    &ngx_mcp_questions, &ngx_mcp_questions
};


ngx_queue_t *
ngx_mcp_question_list(void)
{
    return &ngx_mcp_questions;
}


void
ngx_mcp_question_open(ngx_mcp_question_t *q, ngx_mcp_task_t *task)
{
    q->timer.handler = ngx_mcp_question_timeout;
    q->timer.data = q;

    ngx_queue_insert_tail(&ngx_mcp_questions, &q->queue);

    if (task->questions == NULL) {
        ngx_mcp_question_clock_stop(task);
    }

    q->task = task;
    q->next = task->questions;
    task->questions = q;
}


static void
ngx_mcp_question_timeout(void *data)
{
    ngx_mcp_question_tell(data, NGX_MCP_ERR_TIMED_OUT,
                          "The client has not answered in time",
                          NGX_MCP_COUNT_ASKED_TIMEOUT);
}


void
ngx_mcp_question_end(ngx_mcp_task_t *task, const char *why)
{
    while (task->questions) {
        ngx_mcp_question_tell(task->questions, NGX_MCP_ERR_CLOSED, why,
                              NGX_MCP_COUNT_ASKED_ENDED);
    }
}


void
ngx_mcp_question_end_sink(ngx_mcp_sink_t *sink, const char *why)
{
    ngx_queue_t  *q;

    for (q = ngx_queue_head(&sink->tasks);
         q != ngx_queue_sentinel(&sink->tasks);
         q = ngx_queue_next(q))
    {
        ngx_mcp_question_end(ngx_queue_data(q, ngx_mcp_task_t, siblings), why);
    }
}


void
ngx_mcp_question_end_session(ngx_mcp_session_t *s, const char *why)
{
    ngx_queue_t  *q;

    for (q = ngx_queue_head(&s->running);
         q != ngx_queue_sentinel(&s->running);
         q = ngx_queue_next(q))
    {
        ngx_mcp_question_end(ngx_queue_data(q, ngx_mcp_task_t, queue), why);
    }
}


void
ngx_mcp_question_tell(ngx_mcp_question_t *q, ngx_int_t code, const char *why,
    ngx_uint_t counter)
{
    ngx_mcp_question_answer_error(NGX_MCP_QUESTION_END, &q->k, &q->call, code,
                                  why, q->task->session->conf->ask_timeout);

    ngx_mcp_question_cancel(q, why);
    ngx_mcp_question_over(q, counter);
}


static void
ngx_mcp_question_cancel(ngx_mcp_question_t *q, const char *why)
{
    size_t            size;
    ngx_mcp_event_t  *ev;

    if (!q->sent || !ngx_mcp_task_has_receiver(q->task)) {
        return;
    }

    size = sizeof("{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\","
                  "\"params\":{\"requestId\":\"\",\"reason\":\"\"}}")
           + q->id.len + ngx_strlen(why);

    ev = ngx_mcp_event_alloc(size, ngx_cycle->log);
    if (ev == NULL) {
        return;
    }

    ev->last = ngx_sprintf(ev->last, "{\"jsonrpc\":\"2.0\","
                           "\"method\":\"notifications/cancelled\","
                           "\"params\":{\"requestId\":\"%V\","
                           "\"reason\":\"%s\"}}", &q->id, why);

    ngx_mcp_event_frame_plain(ev);

    ngx_mcp_task_tell(q->task, ev, 0);
}


void
ngx_mcp_question_over(ngx_mcp_question_t *q, ngx_uint_t counter)
{
    ngx_mcp_task_t       *task;
    ngx_mcp_question_t  **p;

    task = q->task;

    for (p = &task->questions; *p != q; p = &(*p)->next) { /* void */ }

    *p = q->next;

    q->task = NULL;
    ngx_mcp_timer_del(&q->timer);

    if (task->questions == NULL) {
        ngx_mcp_question_clock_run(task);
    }

    if (counter != NGX_MCP_COUNTS) {
        ngx_mcp_count(counter);
    }

    ngx_mcp_question_free(q);
}


void
ngx_mcp_question_free(ngx_mcp_question_t *q)
{
    if (q->commands == 0) {
        ngx_queue_remove(&q->queue);
        ngx_free(q);
    }
}


/*
 * The deadline of the call is moved by what is left of the time for which its
 * clock may stand still, and back by what was not needed of it.
 */

static void
ngx_mcp_question_clock_stop(ngx_mcp_task_t *task)
{
    ngx_msec_t  timeout;

    timeout = task->session->conf->ask_timeout;

    task->deferred = timeout - ngx_min(timeout, task->asked);
    task->asked_at = ngx_current_msec;

    ngx_mcp_call_defer(task->call, (ngx_msec_int_t) task->deferred);
}


static void
ngx_mcp_question_clock_run(ngx_mcp_task_t *task)
{
    ngx_msec_t  asked;

    asked = ngx_min(ngx_current_msec - task->asked_at, task->deferred);

    task->asked += asked;

    ngx_mcp_call_defer(task->call,
                       (ngx_msec_int_t) asked
                       - (ngx_msec_int_t) task->deferred);
}


/*
 * "a" and K: a client's response was pushed.
 */

void
ngx_mcp_question_answered(ngx_str_t *bytes)
{
    ngx_queue_t         *queue;
    ngx_mcp_question_t  *q;

    for (queue = ngx_queue_head(&ngx_mcp_questions);
         queue != ngx_queue_sentinel(&ngx_mcp_questions);
         queue = ngx_queue_next(queue))
    {
        q = ngx_queue_data(queue, ngx_mcp_question_t, queue);

        if (q->task
            && q->k.len + 1 == bytes->len
            && ngx_memcmp(q->k.data, bytes->data + 1, q->k.len) == 0)
        {
            ngx_log_debug2(NGX_LOG_DEBUG_HTTP, ngx_cycle->log, 0,
                           "mcp question: session %*s has answered",
                           (size_t) NGX_MCP_HASH_LEN,
                           q->task->session->sid.hash);

            ngx_mcp_question_over(q, NGX_MCP_COUNT_ASKED_ANSWERED);
            return;
        }
    }
}


/*
 * What was published in the meantime is lost, and with it perhaps that a
 * question was answered.
 */

void
ngx_mcp_question_up(void)
{
    u_char               ask[NGX_MCP_QUESTION_MAX_NAME];
    ngx_str_t            words[2];
    ngx_queue_t         *queue;
    ngx_mcp_question_t  *q;

    ngx_str_set(&words[0], "GET");

    for (queue = ngx_queue_head(&ngx_mcp_questions);
         queue != ngx_queue_sentinel(&ngx_mcp_questions);
         queue = ngx_queue_next(queue))
    {
        q = ngx_queue_data(queue, ngx_mcp_question_t, queue);

        if (!q->sent || q->task == NULL) {
            continue;
        }

        ngx_mcp_question_name(&words[1], ask, "mcp:ask:", &q->k);

        if (ngx_mcp_events_command(ngx_mcp_question_checked, q, 2, words)
            == NGX_OK)
        {
            q->commands++;
        }
    }

    ngx_mcp_question_answer_up();
}


static void
ngx_mcp_question_checked(ngx_mcp_redis_conn_t *conn, redisReply *reply,
    void *data)
{
    ngx_mcp_question_t  *q = data;

    q->commands--;

    if (q->task == NULL) {
        ngx_mcp_question_free(q);
        return;
    }

    if (reply == NULL) {
        return;
    }

    if (reply->type == REDIS_REPLY_ERROR) {
        ngx_mcp_events_refused(reply);
        return;
    }

    q->gone = (reply->type != REDIS_REPLY_STRING
               || (size_t) reply->len != q->call.len
               || ngx_memcmp(reply->str, q->call.data, q->call.len) != 0);
}


/*
 * A question without its key was answered meanwhile, or that Redis has lost its
 * data.  If it was answered a moment ago, this worker has been told by now.
 */

void
ngx_mcp_question_second(void)
{
    ngx_queue_t         *queue, *next;
    ngx_mcp_question_t  *q;

    for (queue = ngx_queue_head(&ngx_mcp_questions);
         queue != ngx_queue_sentinel(&ngx_mcp_questions);
         queue = next)
    {
        next = ngx_queue_next(queue);

        q = ngx_queue_data(queue, ngx_mcp_question_t, queue);

        if (q->gone && q->task) {
            ngx_mcp_question_cancel(q, "The question is not open any more");
            ngx_mcp_question_over(q, NGX_MCP_COUNT_ASKED_ENDED);
        }
    }

    ngx_mcp_question_answer_up();
}

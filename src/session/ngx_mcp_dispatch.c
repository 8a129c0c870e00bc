
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Dispatch of messages of both transports: local, forwarded, dropped,
 * cancelled.
 *
 * Messages of a legacy session arrive from the bus and are answered to its
 * stream; messages of Streamable HTTP arrive with a POST, which is answered.
 * The difference is in the sink.  Tasks are owned by their session.
 */

#include "ngx_mcp_dispatch.h"
#include "ngx_mcp_bus.h"
#include "ngx_mcp_leftovers.h"
#include "ngx_mcp_place_queue.h"
#include "ngx_mcp_question.h"
#include "ngx_mcp_repeats.h"
#include "ngx_mcp_reply.h"
#include "ngx_mcp_session_client.h"
#include "ngx_mcp_session_lost.h"
#include "ngx_mcp_subscribe.h"
#include "ngx_mcp_json_text.h"


typedef struct {
    ngx_str_t    name;
    ngx_uint_t   flag;
} ngx_mcp_local_method_t;


static ngx_mcp_task_t *ngx_mcp_dispatch_one(ngx_mcp_session_t *s,
    ngx_mcp_envelope_t *env, ngx_mcp_sink_t *sink,
    ngx_mcp_jsonrpc_message_t *message);
static ngx_uint_t ngx_mcp_dispatch_left(ngx_mcp_session_t *s,
    ngx_mcp_sink_t *sink, ngx_str_t *id);
static void ngx_mcp_dispatch_lost(ngx_mcp_sink_t *sink,
    ngx_mcp_jsonrpc_message_t *message);
static void ngx_mcp_dispatch_local(ngx_mcp_session_t *s, ngx_mcp_sink_t *sink,
    ngx_mcp_jsonrpc_message_t *message);
static void ngx_mcp_dispatch_start(ngx_mcp_task_t *task);
static ngx_mcp_task_t *ngx_mcp_dispatch_find_in(ngx_queue_t *tasks,
    ngx_str_t *id);
static void ngx_mcp_dispatch_answer(ngx_mcp_task_t *task, const char *data);


/* docs/PROTOCOL.md 5 */

static ngx_mcp_local_method_t  ngx_mcp_local_methods[] = {
    { ngx_string("ping"), NGX_MCP_LOCAL_PING },
    { ngx_string("resources/list"), NGX_MCP_LOCAL_RESOURCES },
    { ngx_string("resources/templates/list"),
      NGX_MCP_LOCAL_TEMPLATES },
    { ngx_string("prompts/list"), NGX_MCP_LOCAL_PROMPTS },
    { ngx_string("logging/setLevel"), NGX_MCP_LOCAL_LOGGING },
    { ngx_null_string, 0 }
};


void
ngx_mcp_dispatch(ngx_mcp_session_t *s, ngx_mcp_envelope_t *env,
    ngx_mcp_sink_t *sink)
{
    u_char                     *pos;
    ngx_int_t                   rc;
    ngx_uint_t                  n;
    ngx_mcp_jsonrpc_message_t   message;

    ngx_mcp_count_time(NGX_MCP_HAND_OVER_TIME, env->received);

    n = 0;
    pos = NULL;

    for ( ;; ) {
        rc = ngx_mcp_envelope_message(env, &pos, &message);

        if (rc != NGX_OK) {
            break;
        }

        s->messages++;
        n++;

        ngx_mcp_dispatch_message(s, env, sink, &message);
    }

    if (rc == NGX_ERROR) {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                      "mcp sse: envelope for session %*s is damaged, messages "
                      "are lost", (size_t) NGX_MCP_HASH_LEN, s->sid.hash);

        if (sink->open) {
            sink->tell(sink, NULL, NULL, 1);
        }

        for ( /* void */ ; n < env->nmessages; n++) {
            ngx_mcp_inbox_started(s, env);
        }
    }

    ngx_mcp_envelope_free(env);

    ngx_mcp_dispatch_next(s);
}


void
ngx_mcp_dispatch_message(ngx_mcp_session_t *s, ngx_mcp_envelope_t *env,
    ngx_mcp_sink_t *sink, ngx_mcp_jsonrpc_message_t *message)
{
    ngx_mcp_count(NGX_MCP_COUNT_REQUESTS
                  + message->type - NGX_MCP_JSONRPC_REQUEST);

    if (ngx_mcp_dispatch_one(s, env, sink, message) == NULL && env) {
        ngx_mcp_inbox_started(s, env);
    }
}


/*
 * Returns the task, if the message has become one.
 */

static ngx_mcp_task_t *
ngx_mcp_dispatch_one(ngx_mcp_session_t *s, ngx_mcp_envelope_t *env,
    ngx_mcp_sink_t *sink, ngx_mcp_jsonrpc_message_t *message)
{
    ngx_uint_t       forwards, request;
    ngx_mcp_task_t  *task;

    request = (message->type == NGX_MCP_JSONRPC_REQUEST);
    forwards = ngx_mcp_dispatch_forwards(sink->conf, message);

    ngx_log_debug4(NGX_LOG_DEBUG_HTTP, ngx_cycle->log, 0,
                   "mcp session %*s message type: %ui, forwarded: %ui",
                   (size_t) (s ? NGX_MCP_HASH_LEN : 1),
                   s ? s->sid.hash : (u_char *) "-", message->type, forwards);

    /* local methods of Streamable HTTP are answered without a session */

    if (request
        && (forwards || !sink->streamable)
        && ngx_mcp_repeats_check(s, sink, message))
    {
        return NULL;
    }

    if (!forwards) {
        ngx_mcp_dispatch_local(s, sink, message);
        return NULL;
    }

    if (request && ngx_mcp_dispatch_left(s, sink, &message->id)) {
        return NULL;
    }

    if (env->lost) {
        ngx_mcp_dispatch_lost(sink, message);
        return NULL;
    }

    if (ngx_mcp_subscribe_handles(message)
        && ngx_mcp_subscribe(s, sink, message) == NGX_OK)
    {
        return NULL;
    }

    if (!sink->streamable && ngx_mcp_str_is(&message->method, "initialize")) {
        ngx_mcp_session_client_told(s, &message->params);
    }

    task = ngx_mcp_task_create(s, env, message, sink);

    if (task == NULL && request && sink->streamable) {
        ngx_mcp_in_flight_free(ngx_mcp_in_flight_take(&sink->in_flight));
    }

    if (task == NULL && sink->open) {
        sink->tell(sink, NULL,
                   request ? ngx_mcp_reply_error(sink, &message->id,
                                                 NGX_MCP_ERR_INTERNAL,
                                                 "Internal server error",
                                                 "{\"executed\":\"no\"}")
                           : NULL, 1);
    }

    return task;
}


/*
 * The message was accepted, but only its id could be kept.
 */

static void
ngx_mcp_dispatch_lost(ngx_mcp_sink_t *sink, ngx_mcp_jsonrpc_message_t *message)
{
    if (message->type != NGX_MCP_JSONRPC_REQUEST || !sink->open) {
        return;
    }

    sink->tell(sink, NULL,
               ngx_mcp_reply_error(sink, &message->id, NGX_MCP_ERR_CLOSED,
                                   "No memory for the message",
                                   "{\"executed\":\"no\"}"), 1);
}


ngx_uint_t
ngx_mcp_dispatch_forwards(ngx_mcp_loc_conf_t *conf,
    ngx_mcp_jsonrpc_message_t *message)
{
    switch (message->type) {

    case NGX_MCP_JSONRPC_REQUEST:
        return (ngx_mcp_dispatch_flag(&message->method) & conf->local) == 0
               || ngx_mcp_subscribe_handles(message);

    case NGX_MCP_JSONRPC_NOTIFICATION:
        return !ngx_mcp_str_is(&message->method, "notifications/initialized")
               && !ngx_mcp_str_is(&message->method, "notifications/cancelled");

    default: /* NGX_MCP_JSONRPC_RESPONSE */
        return 0;
    }
}


/*
 * Returns whether the id is that of a request that an earlier stream of the
 * session has left at another worker, and that still runs.  It was answered, so
 * that this one is, too.
 */

static ngx_uint_t
ngx_mcp_dispatch_left(ngx_mcp_session_t *s, ngx_mcp_sink_t *sink, ngx_str_t *id)
{
    if (!ngx_mcp_session_lost_has(s, id)) {
        return 0;
    }

    ngx_log_error(NGX_LOG_INFO, ngx_cycle->log, 0,
                  "mcp sse: session %*s: request id is in use by a request "
                  "before the stream was lost, the request is not executed",
                  (size_t) NGX_MCP_HASH_LEN, s->sid.hash);

    ngx_mcp_count(NGX_MCP_COUNT_REPEATED);

    if (sink->open) {
        sink->tell(sink, NULL,
                   ngx_mcp_reply_error(sink, id, NGX_MCP_ERR_INVALID_REQUEST,
                                       "Request id is in use",
                                       "{\"reason\":\"elsewhere\"}"), 1);
    }

    return 1;
}


/*
 * Handles a message that is not forwarded.
 */

static void
ngx_mcp_dispatch_local(ngx_mcp_session_t *s, ngx_mcp_sink_t *sink,
    ngx_mcp_jsonrpc_message_t *message)
{
    if (message->type == NGX_MCP_JSONRPC_REQUEST) {
        ngx_mcp_count_call(&message->method,
                           sink->open ? NGX_MCP_RESULT_LOCAL
                                      : NGX_MCP_RESULT_DROPPED);

        if (sink->open) {
            sink->tell(sink, NULL,
                       ngx_mcp_reply_local(sink, &message->id,
                                     ngx_mcp_dispatch_flag(&message->method)),
                       1);
        }

        return;
    }

    if (message->request_id.data == NULL
        || !ngx_mcp_str_is(&message->method, "notifications/cancelled"))
    {
        return;
    }

    if (!sink->streamable) {
        ngx_mcp_dispatch_cancel(s, &message->request_id);

        if (ngx_mcp_session_lost_has(s, &message->request_id)) {
            ngx_mcp_bus_announce(NGX_MCP_ANNOUNCE_CANCEL, s->sid.key,
                                 message->request_id.data,
                                 message->request_id.len);
        }

        return;
    }

    /*
     * The call may run in any worker of any instance.  The bus announces the
     * cancellation to all of them; this worker handles it in a posted event.
     */

    if (sink->session_key) {
        ngx_mcp_bus_announce(NGX_MCP_ANNOUNCE_CANCEL, sink->session_key,
                             message->request_id.data,
                             message->request_id.len);
    }
}


void
ngx_mcp_dispatch_cancel(ngx_mcp_session_t *s, ngx_str_t *id)
{
    ngx_mcp_task_t  *task;

    task = ngx_mcp_dispatch_find(s, id);

    /*
     * MCP, basic/utilities/cancellation: unknown ids are ignored, and
     * "initialize" must not be cancelled
     */

    if (task == NULL || ngx_mcp_str_is(&task->message.method, "initialize")) {
        return;
    }

    ngx_log_error(NGX_LOG_INFO, ngx_cycle->log, 0,
                  "mcp sse: session %*s cancels a %s request",
                  (size_t) NGX_MCP_HASH_LEN, s->sid.hash,
                  task->call ? "running" : "waiting");

    if (task->leftover) {
        ngx_mcp_leftovers_answered(s->sid.key, &task->message.id);
    }

    if (task->call == NULL) {
        ngx_mcp_count(NGX_MCP_COUNT_CANCELLED);
    }

    ngx_mcp_task_cancel(task);
}


void
ngx_mcp_dispatch_closed(ngx_mcp_sink_t *sink)
{
    ngx_queue_t        *q, *next;
    ngx_mcp_task_t     *task;
    ngx_mcp_session_t  *s;

    sink->open = 0;
    sink->ended = NULL;

    for (q = ngx_queue_head(&sink->tasks);
         q != ngx_queue_sentinel(&sink->tasks);
         q = next)
    {
        next = ngx_queue_next(q);

        task = ngx_queue_data(q, ngx_mcp_task_t, siblings);
        s = task->session;

        if (task->cancelled) {
            continue;
        }

        ngx_log_error(NGX_LOG_INFO, ngx_cycle->log, 0,
                      "mcp sse: session %*s: a client has closed its request, "
                      "which is %s and is cancelled",
                      (size_t) NGX_MCP_HASH_LEN, s->sid.hash,
                      task->call ? "running" : "waiting");

        if (task->call == NULL) {
            ngx_mcp_count(NGX_MCP_COUNT_CANCELLED);
        }

        ngx_mcp_task_cancel(task);

        /* others may start, and the session may end */

        ngx_post_event(&s->event, &ngx_posted_events);
    }
}


ngx_mcp_task_t *
ngx_mcp_dispatch_find(ngx_mcp_session_t *s, ngx_str_t *id)
{
    ngx_mcp_task_t  *task;

    task = ngx_mcp_dispatch_find_in(&s->waiting, id);

    return task ? task : ngx_mcp_dispatch_find_in(&s->running, id);
}


static ngx_mcp_task_t *
ngx_mcp_dispatch_find_in(ngx_queue_t *tasks, ngx_str_t *id)
{
    ngx_queue_t     *q;
    ngx_mcp_task_t  *task;

    for (q = ngx_queue_head(tasks);
         q != ngx_queue_sentinel(tasks);
         q = ngx_queue_next(q))
    {
        task = ngx_queue_data(q, ngx_mcp_task_t, queue);

        if (!task->silent
            && !task->cancelled
            && ngx_mcp_jsonrpc_same_id(&task->message.id, id))
        {
            return task;
        }
    }

    return NULL;
}


ngx_uint_t
ngx_mcp_dispatch_flag(ngx_str_t *method)
{
    ngx_mcp_local_method_t  *local;

    for (local = ngx_mcp_local_methods; local->name.len; local++) {

        if (method->len == local->name.len
            && ngx_strncmp(method->data, local->name.data, method->len) == 0)
        {
            break;
        }
    }

    return local->flag;
}


void
ngx_mcp_dispatch_next(ngx_mcp_session_t *s)
{
    ngx_uint_t       max;
    ngx_queue_t     *q, *next;
    ngx_mcp_task_t  *task;

    if (s->ending) {
        return;
    }

    for (q = ngx_queue_head(&s->waiting);
         q != ngx_queue_sentinel(&s->waiting);
         q = next)
    {
        next = ngx_queue_next(q);

        task = ngx_queue_data(q, ngx_mcp_task_t, queue);

        /* its turn comes: session/ngx_mcp_place_queue.c */

        if (task->queued) {
            continue;
        }

        /* notifications need not wait for calls, but are limited, too */

        max = task->silent ? 2 * s->conf->max_calls : s->conf->max_calls;

        if (s->ncalls + s->nqueued >= max) {

            if (task->silent) {
                return;
            }

            continue;
        }

        if (ngx_mcp_dispatch_late(task)) {
            continue;
        }

        ngx_mcp_dispatch_start(task);
    }
}


static void
ngx_mcp_dispatch_start(ngx_mcp_task_t *task)
{
    ngx_int_t  rc;

    rc = ngx_mcp_place_queue_enter(task);

    if (rc == NGX_AGAIN) {
        return;
    }

    if (rc == NGX_ERROR) {
        ngx_mcp_task_no_memory(task);
        return;
    }

    ngx_log_debug4(NGX_LOG_DEBUG_HTTP, ngx_cycle->log, 0,
                   "mcp session %*s starts a call, running: %ui, "
                   "waited: %M ms", (size_t) NGX_MCP_HASH_LEN,
                   task->session->sid.hash, task->session->ncalls,
                   ngx_current_msec - task->accepted);

    ngx_mcp_task_start(task);
}


ngx_uint_t
ngx_mcp_dispatch_late(ngx_mcp_task_t *task)
{
    ngx_mcp_envelope_t  *env;

    env = task->envelope;

    if (!env->unconfirmed
        || (ngx_msec_int_t) (env->start_before - ngx_current_msec) > 0)
    {
        return 0;
    }

    ngx_log_error(NGX_LOG_INFO, ngx_cycle->log, 0,
                  "mcp sse: session %*s: a message expired before it could "
                  "start, it is not executed",
                  (size_t) NGX_MCP_HASH_LEN, task->session->sid.hash);

    ngx_mcp_count(NGX_MCP_COUNT_REDIS_EXPIRED);

    if (ngx_mcp_task_has_receiver(task)) {
        ngx_mcp_task_tell(task,
            ngx_mcp_reply_error(task->sink, &task->message.id,
                                NGX_MCP_ERR_UNAVAILABLE,
                                "No answer to another instance",
                                "{\"executed\":\"no\"}"), 1);
    }

    ngx_mcp_task_cancel(task);

    return 1;
}


void
ngx_mcp_dispatch_abandon(ngx_mcp_session_t *s, ngx_uint_t cut)
{
    ngx_queue_t     *q;
    ngx_mcp_task_t  *task;

    ngx_log_debug4(NGX_LOG_DEBUG_HTTP, ngx_cycle->log, 0,
                   "mcp session %*s abandons its requests, running: %ui, "
                   "cut: %ui",
                   (size_t) NGX_MCP_HASH_LEN, s->sid.hash, s->ncalls, cut);

    for (q = ngx_queue_head(&s->running);
         q != ngx_queue_sentinel(&s->running);
         q = ngx_queue_next(q))
    {
        task = ngx_queue_data(q, ngx_mcp_task_t, queue);

        ngx_mcp_dispatch_answer(task, "{\"executed\":\"unknown\"}");

        if (cut) {
            ngx_mcp_task_cancel(task);
        }
    }

    while (!ngx_queue_empty(&s->waiting)) {
        q = ngx_queue_head(&s->waiting);
        task = ngx_queue_data(q, ngx_mcp_task_t, queue);

        ngx_mcp_dispatch_answer(task, "{\"executed\":\"no\"}");
        ngx_mcp_count(NGX_MCP_COUNT_ABANDONED);
        ngx_mcp_task_cancel(task);
    }
}


static void
ngx_mcp_dispatch_answer(ngx_mcp_task_t *task, const char *data)
{
    ngx_mcp_question_end(task, "The stream of the client ends");

    if (!ngx_mcp_task_has_receiver(task)) {
        return;
    }

    ngx_mcp_task_tell(task,
        ngx_mcp_reply_error(task->sink, &task->message.id,
                            NGX_MCP_ERR_CLOSED,
                            "Stream closed before the answer", data), 1);
}


/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Tasks: the call of a message and its answer.
 *
 * A task is owned by the list of its session that it is in, waiting or
 * running.  It is freed when its call has ended, or when it is cancelled
 * before.  A session is not freed while it has tasks.
 */

#include "ngx_mcp_task.h"
#include "ngx_mcp_bus.h"
#include "ngx_mcp_leftovers.h"
#include "ngx_mcp_outcome.h"
#include "ngx_mcp_place_queue.h"
#include "ngx_mcp_question.h"
#include "ngx_mcp_reply.h"
#include "ngx_mcp_session_credential.h"
#include "ngx_mcp_task_call.h"


static void ngx_mcp_task_fail(ngx_mcp_task_t *task);
static void ngx_mcp_task_move_list(ngx_queue_t *tasks, ngx_mcp_session_t *to);
static ngx_int_t ngx_mcp_task_ordered(ngx_mcp_call_t *call);
static void ngx_mcp_task_arrived(void *data);
static void ngx_mcp_task_done(ngx_mcp_call_t *call);
static void ngx_mcp_task_quiet(ngx_mcp_task_t *task);
static ngx_uint_t ngx_mcp_task_unknown(ngx_mcp_task_t *task);
static void ngx_mcp_task_free(ngx_mcp_task_t *task);


static void       (*ngx_mcp_task_ended)(ngx_mcp_session_t *s);


void
ngx_mcp_task_init(void (*ended)(ngx_mcp_session_t *s))
{
    ngx_mcp_task_ended = ended;
}


ngx_mcp_task_t *
ngx_mcp_task_create(ngx_mcp_session_t *s, ngx_mcp_envelope_t *env,
    ngx_mcp_jsonrpc_message_t *message, ngx_mcp_sink_t *sink)
{
    ngx_mcp_task_t  *task;

    task = ngx_calloc(sizeof(ngx_mcp_task_t), ngx_cycle->log);
    if (task == NULL) {
        return NULL;
    }

    env->refs++;

    task->session = s;
    task->envelope = env;
    task->message = *message;
    task->silent = (message->type != NGX_MCP_JSONRPC_REQUEST);
    task->accepted = ngx_current_msec;

    ngx_queue_insert_tail(&s->waiting, &task->queue);

    ngx_mcp_place_queue_deadline(task);

    if (task->silent) {
        return task;
    }

    if (sink->streamable) {
        task->in_flight = ngx_mcp_in_flight_take(&sink->in_flight);
    }

    ngx_mcp_task_attach(task, sink);

    return task;
}


void
ngx_mcp_task_attach(ngx_mcp_task_t *task, ngx_mcp_sink_t *sink)
{
    task->sink = sink;
    ngx_queue_insert_tail(&sink->tasks, &task->siblings);

    ngx_mcp_progress_start(task);
}


void
ngx_mcp_task_detach(ngx_mcp_sink_t *sink)
{
    ngx_queue_t     *q;
    ngx_mcp_task_t  *task;

    while (!ngx_queue_empty(&sink->tasks)) {
        q = ngx_queue_head(&sink->tasks);
        ngx_queue_remove(q);

        task = ngx_queue_data(q, ngx_mcp_task_t, siblings);

        ngx_mcp_question_end(task, "The client has left");

        task->sink = NULL;

        ngx_mcp_progress_stop(task);
    }
}


void
ngx_mcp_task_move(ngx_mcp_session_t *from, ngx_mcp_session_t *to)
{
    ngx_mcp_task_move_list(&from->waiting, to);
    ngx_mcp_task_move_list(&from->running, to);

    ngx_queue_add(&to->waiting, &from->waiting);
    ngx_queue_init(&from->waiting);

    ngx_queue_add(&to->running, &from->running);
    ngx_queue_init(&from->running);

    to->ncalls += from->ncalls;
    from->ncalls = 0;

    to->nqueued += from->nqueued;
    from->nqueued = 0;

    ngx_mcp_inbox_move(from, to);
}


static void
ngx_mcp_task_move_list(ngx_queue_t *tasks, ngx_mcp_session_t *to)
{
    ngx_queue_t     *q;
    ngx_mcp_task_t  *task;

    for (q = ngx_queue_head(tasks);
         q != ngx_queue_sentinel(tasks);
         q = ngx_queue_next(q))
    {
        task = ngx_queue_data(q, ngx_mcp_task_t, queue);

        task->session = to;
        task->leftover = 0;

        if (task->sink) {
            ngx_queue_remove(&task->siblings);
            ngx_queue_insert_tail(&to->sink.tasks, &task->siblings);
            task->sink = &to->sink;
        }
    }
}


ngx_uint_t
ngx_mcp_task_has_receiver(ngx_mcp_task_t *task)
{
    return task->sink && task->sink->open && !task->cancelled;
}


void
ngx_mcp_task_tell(ngx_mcp_task_t *task, ngx_mcp_event_t *ev,
    ngx_uint_t is_answer)
{
    task->sink->tell(task->sink, task, ev, is_answer);
}


ngx_int_t
ngx_mcp_task_room(ngx_mcp_task_t *task, size_t size)
{
    ngx_mcp_sink_t  *sink;

    sink = task->sink;

    if (!ngx_mcp_task_has_receiver(task) || !sink->progress) {
        return NGX_DECLINED;
    }

    return sink->room(sink, size);
}


void
ngx_mcp_task_start(ngx_mcp_task_t *task)
{
    ngx_mcp_call_t     *call;
    ngx_mcp_session_t  *s;

    s = task->session;

    ngx_queue_remove(&task->queue);
    ngx_mcp_inbox_started(s, task->envelope);
    ngx_mcp_timer_del(&task->deadline);

    call = ngx_mcp_task_call(task);

    if (call) {
        call->handler = ngx_mcp_task_done;
        call->before = ngx_mcp_task_ordered;
        task->call = call;

        if (ngx_mcp_call_start(call) == NGX_OK) {
            ngx_log_debug3(NGX_LOG_DEBUG_HTTP, &call->log, 0,
                           "mcp task start: session %*s, waited: %M ms",
                           (size_t) NGX_MCP_HASH_LEN, s->sid.hash,
                           ngx_current_msec - task->accepted);

            if (call->place) {
                ngx_mcp_count_time(NGX_MCP_WAIT_TIME,
                                   ngx_mcp_count_clock()
                                   - (uint64_t) call->waited * 1000);
            }

            ngx_queue_insert_tail(&s->running, &task->queue);
            s->ncalls++;
            ngx_mcp_workers_calls(1);
            return;
        }

        task->call = NULL;
    }

    ngx_mcp_task_fail(task);
}


void
ngx_mcp_task_no_memory(ngx_mcp_task_t *task)
{
    ngx_queue_remove(&task->queue);
    ngx_mcp_inbox_started(task->session, task->envelope);

    ngx_mcp_task_fail(task);
}


static void
ngx_mcp_task_fail(ngx_mcp_task_t *task)
{
    ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                  "mcp sse: cannot start a call of session %*s: no memory",
                  (size_t) NGX_MCP_HASH_LEN, task->session->sid.hash);

    if (ngx_mcp_task_has_receiver(task)) {
        ngx_mcp_task_tell(task,
            ngx_mcp_reply_error(task->sink, &task->message.id,
                                NGX_MCP_ERR_INTERNAL,
                                "Internal server error",
                                "{\"executed\":\"no\"}"), 1);
    }

    ngx_mcp_task_free(task);
}


/*
 * What Frappe has published before it answered may arrive after the answer: the
 * answer waits for it.
 */

static ngx_int_t
ngx_mcp_task_ordered(ngx_mcp_call_t *call)
{
    ngx_mcp_task_t  *task;

    task = call->data;

    if ((task->message.token.data == NULL && !task->pushed)
        || !ngx_mcp_task_has_receiver(task))
    {
        return NGX_OK;
    }

    task->barrier.handler = ngx_mcp_task_arrived;
    task->barrier.data = call;

    return ngx_mcp_barrier_wait(&task->barrier) == NGX_OK ? NGX_AGAIN : NGX_OK;
}


static void
ngx_mcp_task_arrived(void *data)
{
    ngx_mcp_call_resume(data);
}


static void
ngx_mcp_task_done(ngx_mcp_call_t *call)
{
    ngx_mcp_task_t     *task;
    ngx_mcp_session_t  *s;

    task = call->data;
    s = task->session;

    ngx_queue_remove(&task->queue);
    s->ncalls--;
    ngx_mcp_workers_calls(-1);

    ngx_mcp_question_end(task, "The call has ended");
    ngx_mcp_task_quiet(task);

    if (!ngx_mcp_task_unknown(task)) {
        ngx_mcp_outcome_note(task);
        ngx_mcp_outcome_log(task);
    }

    if (call->end == NGX_MCP_CALL_DONE
        && call->proxied
        && call->status == NGX_HTTP_UNAUTHORIZED)
    {
        ngx_mcp_session_credential_refused(task);
    }

    if (ngx_mcp_task_has_receiver(task)) {
        ngx_log_debug3(NGX_LOG_DEBUG_HTTP, &call->log, 0,
                       "mcp task answer: session %*s, after: %M ms",
                       (size_t) NGX_MCP_HASH_LEN, s->sid.hash,
                       ngx_current_msec - task->accepted);

        ngx_mcp_task_tell(task, ngx_mcp_reply_answer(task), 1);
    }

    ngx_mcp_task_free(task);

    ngx_mcp_task_ended(s);
}


void
ngx_mcp_task_cancel(ngx_mcp_task_t *task)
{
    ngx_log_debug3(NGX_LOG_DEBUG_HTTP, ngx_cycle->log, 0,
                   "mcp task cancel: session %*s, running: %d",
                   (size_t) NGX_MCP_HASH_LEN, task->session->sid.hash,
                   task->call != NULL);

    ngx_mcp_question_end(task, "The call was cancelled");
    ngx_mcp_task_quiet(task);

    task->cancelled = 1;

    /* from now on, another request may have the id */

    ngx_mcp_in_flight_free(task->in_flight);
    task->in_flight = NULL;

    if (task->call) {
        ngx_mcp_call_end(task->call, NGX_MCP_CALL_CANCELLED);
        return;
    }

    ngx_mcp_place_queue_leave(task);

    ngx_queue_remove(&task->queue);
    ngx_mcp_inbox_started(task->session, task->envelope);
    ngx_mcp_task_free(task);
}


/*
 * Nothing of what Frappe says comes after the answer, or a cancellation.
 */

static void
ngx_mcp_task_quiet(ngx_mcp_task_t *task)
{
    ngx_mcp_progress_stop(task);
    ngx_mcp_call_id_leave(&task->call_id);
}


void
ngx_mcp_task_over(ngx_mcp_session_t *s)
{
    ngx_mcp_task_ended(s);
}


/*
 * Returns whether the backend has told by its status that it does not know what
 * the module asks it.
 */

static ngx_uint_t
ngx_mcp_task_unknown(ngx_mcp_task_t *task)
{
    return task->sink
           && task->sink->probe
           && task->call->answered
           && ngx_mcp_outcome_unknown(task->call->status);
}


static void
ngx_mcp_task_free(ngx_mcp_task_t *task)
{
    ngx_mcp_task_quiet(task);
    ngx_mcp_progress_free(task);
    ngx_mcp_barrier_cancel(&task->barrier);
    ngx_mcp_timer_del(&task->deadline);

    /* the call was not made */

    if (task->place) {
        ngx_mcp_places_release(task->place);
    }

    if (task->leftover) {
        ngx_mcp_leftovers_ended(task->session->sid.key, &task->message.id);
    }

    if (task->sink) {
        ngx_queue_remove(&task->siblings);

        if (task->sink->ended) {
            task->sink->ended(task->sink);
        }
    }

    ngx_mcp_in_flight_free(task->in_flight);
    ngx_mcp_envelope_free(task->envelope);
    ngx_free(task);
}


/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Tasks: the call of a message, its headers and body, its answer and its
 * progress notifications.
 *
 * A task is owned by the list of its session that it is in, waiting or
 * running.  It is freed when its call has ended, or when it is cancelled
 * before.  A session is not freed while it has tasks.
 */

#include "ngx_mcp_task.h"
#include "ngx_mcp_bus.h"
#include "ngx_mcp_header.h"
#include "ngx_mcp_leftovers.h"
#include "ngx_mcp_outcome.h"
#include "ngx_mcp_place_queue.h"
#include "ngx_mcp_reply.h"
#include "ngx_mcp_session_credential.h"
#include "ngx_mcp_variables.h"


static void ngx_mcp_task_fail(ngx_mcp_task_t *task);
static ngx_mcp_call_t *ngx_mcp_task_call(ngx_mcp_task_t *task);
static ngx_int_t ngx_mcp_task_headers(ngx_mcp_task_t *task,
    ngx_mcp_call_t *call);
static ngx_int_t ngx_mcp_task_body(ngx_mcp_task_t *task, ngx_mcp_call_t *call);
static u_char *ngx_mcp_task_member(u_char *p, ngx_str_t *name,
    ngx_str_t *value);
static ngx_int_t ngx_mcp_task_vars(ngx_mcp_task_t *task, ngx_mcp_call_t *call);
static void ngx_mcp_task_move_list(ngx_queue_t *tasks, ngx_mcp_session_t *to);
static void ngx_mcp_task_done(ngx_mcp_call_t *call);
static void ngx_mcp_task_progress(void *data);
static void ngx_mcp_task_free(ngx_mcp_task_t *task);


static void       (*ngx_mcp_task_ended)(ngx_mcp_session_t *s);

static ngx_str_t  ngx_mcp_json = ngx_string("application/json");
static ngx_str_t  ngx_mcp_host = ngx_string("host");
static ngx_str_t  ngx_mcp_accept = ngx_string("accept");
static ngx_str_t  ngx_mcp_type = ngx_string("content-type");
static ngx_str_t  ngx_mcp_session_name = ngx_string("mcp-session-id");

/* the body of a call */

static ngx_str_t  ngx_mcp_task_version = ngx_string("{\"jsonrpc\":\"2.0\"");
static ngx_str_t  ngx_mcp_task_id = ngx_string(",\"id\":");
static ngx_str_t  ngx_mcp_task_method = ngx_string(",\"method\":");
static ngx_str_t  ngx_mcp_task_params = ngx_string(",\"params\":");


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
    ngx_msec_t  progress;

    progress = task->session->conf->progress;

    task->sink = sink;
    ngx_queue_insert_tail(&sink->tasks, &task->siblings);

    if (task->message.token.data
        && sink->progress
        && progress != NGX_MCP_OFF)
    {
        task->progress.handler = ngx_mcp_task_progress;
        task->progress.data = task;
        ngx_mcp_timer_set(&task->progress, progress);
    }
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
        task->sink = NULL;

        ngx_mcp_timer_del(&task->progress);
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


static ngx_mcp_call_t *
ngx_mcp_task_call(ngx_mcp_task_t *task)
{
    ngx_mcp_call_t      *call;
    ngx_mcp_session_t   *s;
    ngx_mcp_loc_conf_t  *conf;

    s = task->session;
    conf = s->conf;

    call = ngx_mcp_call_create(s->cscf, ngx_cycle->log);
    if (call == NULL) {
        return NULL;
    }

    call->uri = conf->call_uri;
    call->args = conf->call_args;
    call->timeout = conf->call_timeout;
    call->max_answer = conf->max_answer;
    call->waited = ngx_current_msec - task->accepted;
    call->data = task;
    call->handler = ngx_mcp_task_done;
    call->classify = ngx_mcp_outcome_classify;
    call->jsonrpc = 1;

    if (task->place) {
        call->place = task->place;
        task->place = NULL;

        /* what the call points to, after its task is freed */

        call->envelope = task->envelope;
        call->envelope->refs++;
    }

    ngx_mcp_jsonrpc_answer_begin(&call->scan, call->pool);

    if (ngx_mcp_task_vars(task, call) != NGX_OK
        || ngx_mcp_task_headers(task, call) != NGX_OK
        || ngx_mcp_task_body(task, call) != NGX_OK)
    {
        ngx_mcp_call_free(call);
        return NULL;
    }

    return call;
}


/*
 * Copies what is of the session: the call may be taken over by another one.
 */

static ngx_int_t
ngx_mcp_task_vars(ngx_mcp_task_t *task, ngx_mcp_call_t *call)
{
    u_char             *p;
    ngx_mcp_vars_t     *vars;
    ngx_mcp_session_t  *s;

    s = task->session;
    vars = &call->ctx.vars;

    p = ngx_pnalloc(call->pool, NGX_MCP_HASH_LEN + s->user.len + s->site.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    vars->session.data = p;
    vars->session.len = s->anonymous ? 0 : NGX_MCP_HASH_LEN;
    p = ngx_cpymem(p, s->sid.hash, NGX_MCP_HASH_LEN);

    vars->user.data = p;
    vars->user.len = s->user.len;
    p = ngx_cpymem(p, s->user.data, s->user.len);

    vars->site.data = p;
    vars->site.len = s->site.len;
    ngx_memcpy(p, s->site.data, s->site.len);

    vars->wait = call->waited;

    ngx_mcp_vars_set(vars, &task->message);

    return NGX_OK;
}


/*
 * Adds the headers of the call: no others reach the backend.  The envelope
 * has those that the client sent and may send.  Frappe Assistant Core joins
 * the rows of its audit log by mcp-session-id: it gets the hash of the id,
 * since the id itself is a secret.
 */

static ngx_int_t
ngx_mcp_task_headers(ngx_mcp_task_t *task, ngx_mcp_call_t *call)
{
    u_char              *pos;
    ngx_int_t            rc;
    ngx_str_t            name, value;
    ngx_http_request_t  *r;

    r = call->request;

    if (ngx_mcp_header_push(r, &ngx_mcp_host, &call->ctx.vars.site) != NGX_OK
        || ngx_mcp_header_push(r, &ngx_mcp_accept, &ngx_mcp_json) != NGX_OK
        || ngx_mcp_header_push(r, &ngx_mcp_type, &ngx_mcp_json) != NGX_OK
        || (call->ctx.vars.session.len
            && ngx_mcp_header_push(r, &ngx_mcp_session_name,
                                   &call->ctx.vars.session)
               != NGX_OK))
    {
        return NGX_ERROR;
    }

    pos = NULL;

    for ( ;; ) {
        rc = ngx_mcp_envelope_header(task->envelope, &pos, &name, &value);
        if (rc != NGX_OK) {
            return (rc == NGX_DONE) ? NGX_OK : NGX_ERROR;
        }

        /* the client address, for $remote_addr, has no name */

        if (name.len == 0) {
            call->address = value;
            continue;
        }

        if (ngx_mcp_header_push(r, &name, &value) != NGX_OK) {
            return NGX_ERROR;
        }
    }
}


/*
 * Builds the body from the known members of the message: Frappe would execute
 * others, "cmd" for example.
 */

static ngx_int_t
ngx_mcp_task_body(ngx_mcp_task_t *task, ngx_mcp_call_t *call)
{
    u_char                     *p;
    size_t                      size;
    ngx_mcp_jsonrpc_message_t  *m;

    m = &task->message;

    size = ngx_mcp_task_version.len
           + ngx_mcp_task_id.len + m->id.len
           + ngx_mcp_task_method.len + m->raw_method.len
           + ngx_mcp_task_params.len + m->params.len
           + sizeof("}") - 1;

    p = ngx_pnalloc(call->pool, size);
    if (p == NULL) {
        return NGX_ERROR;
    }

    call->body.data = p;

    p = ngx_cpymem(p, ngx_mcp_task_version.data, ngx_mcp_task_version.len);
    p = ngx_mcp_task_member(p, &ngx_mcp_task_id, &m->id);
    p = ngx_mcp_task_member(p, &ngx_mcp_task_method, &m->raw_method);
    p = ngx_mcp_task_member(p, &ngx_mcp_task_params, &m->params);
    *p++ = '}';

    call->body.len = p - call->body.data;

    return NGX_OK;
}


static u_char *
ngx_mcp_task_member(u_char *p, ngx_str_t *name, ngx_str_t *value)
{
    if (value->data == NULL) {
        return p;
    }

    p = ngx_cpymem(p, name->data, name->len);

    return ngx_cpymem(p, value->data, value->len);
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

    /* no progress after the answer */

    ngx_mcp_timer_del(&task->progress);

    ngx_mcp_outcome_note(task);
    ngx_mcp_outcome_log(task);

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

    task->cancelled = 1;

    ngx_mcp_timer_del(&task->progress);

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


void
ngx_mcp_task_over(ngx_mcp_session_t *s)
{
    ngx_mcp_task_ended(s);
}


static void
ngx_mcp_task_progress(void *data)
{
    ngx_mcp_task_t  *task = data;

    ngx_mcp_event_t    *ev;
    ngx_mcp_session_t  *s;

    s = task->session;

    if (!ngx_mcp_task_has_receiver(task)) {
        return;
    }

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, ngx_cycle->log, 0,
                   "mcp task progress: session %*s",
                   (size_t) NGX_MCP_HASH_LEN, s->sid.hash);

    ngx_mcp_timer_set(&task->progress, s->conf->progress);

    ev = ngx_mcp_reply_progress(task);

    if (ev) {
        ngx_mcp_task_tell(task, ev, 0);
    }
}


static void
ngx_mcp_task_free(ngx_mcp_task_t *task)
{
    ngx_mcp_timer_del(&task->progress);
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

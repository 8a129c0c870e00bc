
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Notifications of a call that runs.
 */

#include "ngx_mcp_push_call.h"
#include "ngx_mcp_counters.h"
#include "ngx_mcp_log_level.h"
#include "ngx_mcp_push_event.h"
#include "ngx_mcp_subscriptions.h"


static ngx_int_t ngx_mcp_push_call_send(ngx_mcp_task_t *task,
    ngx_mcp_pushed_t *pushed);
static ngx_int_t ngx_mcp_push_call_progress(ngx_mcp_task_t *task,
    ngx_mcp_pushed_t *pushed);
static ngx_int_t ngx_mcp_push_call_message(ngx_mcp_task_t *task,
    ngx_mcp_pushed_t *pushed);
static ngx_uint_t ngx_mcp_push_call_wants(ngx_mcp_task_t *task,
    ngx_uint_t level);
static ngx_int_t ngx_mcp_push_call_raw(ngx_mcp_task_t *task,
    ngx_mcp_pushed_t *pushed);


void
ngx_mcp_push_call(ngx_mcp_task_t *task, ngx_mcp_pushed_t *pushed)
{
    switch (ngx_mcp_push_call_send(task, pushed)) {

    case NGX_OK:
        ngx_mcp_count(NGX_MCP_COUNT_EVENTS_DELIVERED);
        return;

    case NGX_BUSY:
        ngx_mcp_push_drop(NGX_MCP_COUNT_EVENTS_QUEUE, &pushed->to,
                          "the client of its call does not read");
        return;

    case NGX_DECLINED:
        ngx_mcp_push_drop(NGX_MCP_COUNT_EVENTS_NO_STREAM, &pushed->to,
                          "the client of its call takes no such message");
        return;

    default: /* NGX_DONE: not wanted; NGX_ERROR: no memory */
        return;
    }
}


static ngx_int_t
ngx_mcp_push_call_send(ngx_mcp_task_t *task, ngx_mcp_pushed_t *pushed)
{
    if (!ngx_mcp_task_has_receiver(task)) {
        return NGX_DECLINED;
    }

    switch (pushed->method) {

    case NGX_MCP_PUSHED_PROGRESS:
        return ngx_mcp_push_call_progress(task, pushed);

    case NGX_MCP_PUSHED_MESSAGE:
        return ngx_mcp_push_call_message(task, pushed);

    default:

        /* MCP 2026-07-28: others come by subscriptions/listen only */

        return task->sink->modern ? NGX_DECLINED
                                  : ngx_mcp_push_call_raw(task, pushed);
    }
}


/*
 * The module knows the token, Frappe need not.
 */

static ngx_int_t
ngx_mcp_push_call_progress(ngx_mcp_task_t *task, ngx_mcp_pushed_t *pushed)
{
    if (task->message.token.data == NULL) {
        return NGX_DECLINED;
    }

    return ngx_mcp_progress_told(task, &pushed->progress, &pushed->total,
                                 &pushed->message);
}


static ngx_int_t
ngx_mcp_push_call_message(ngx_mcp_task_t *task, ngx_mcp_pushed_t *pushed)
{
    return ngx_mcp_push_call_wants(task, ngx_mcp_log_level(&pushed->level))
           ? ngx_mcp_push_call_raw(task, pushed) : NGX_DONE;
}


/*
 * In the modern era a request asks for log messages, in the older one a session
 * for fewer of them.
 */

static ngx_uint_t
ngx_mcp_push_call_wants(ngx_mcp_task_t *task, ngx_uint_t level)
{
    ngx_mcp_session_t  *s;

    if (task->sink->modern) {
        return task->sink->log_level != NGX_MCP_LOG_UNKNOWN
               && level <= task->sink->log_level;
    }

    s = task->session;

    return s->anonymous || ngx_mcp_subscriptions_wants(s->sid.key, level);
}


static ngx_int_t
ngx_mcp_push_call_raw(ngx_mcp_task_t *task, ngx_mcp_pushed_t *pushed)
{
    ngx_int_t         rc;
    ngx_mcp_event_t  *ev;

    rc = ngx_mcp_task_room(task, ngx_mcp_push_event_size(pushed));
    if (rc != NGX_OK) {
        return rc;
    }

    ev = ngx_mcp_push_event(pushed);
    if (ev == NULL) {
        return NGX_ERROR;
    }

    ngx_mcp_task_tell(task, ev, 0);

    return NGX_OK;
}

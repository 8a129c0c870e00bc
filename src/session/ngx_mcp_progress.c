
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Progress notifications of a call with a progressToken.
 *
 * The values of the module are so small that what Frappe tells is above them.
 * When nothing was told for mcp_sse_progress, the last value is repeated, a
 * millionth larger, with its total and message: the client knows that the call
 * goes on, and nothing that nobody has told.
 */

#include "ngx_mcp_progress.h"
#include "ngx_mcp_task.h"


static void ngx_mcp_progress_timer(void *data);
static ngx_int_t ngx_mcp_progress_remember(ngx_mcp_progress_t *progress,
    ngx_str_t *total, ngx_str_t *message);
static ngx_int_t ngx_mcp_progress_send(ngx_mcp_task_t *task);
static ngx_mcp_event_t *ngx_mcp_progress_event(ngx_mcp_task_t *task,
    size_t size);


static const char  ngx_mcp_progress_head[] =
    "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\","
    "\"params\":{\"progressToken\":";


void
ngx_mcp_progress_start(ngx_mcp_task_t *task)
{
    ngx_msec_t  interval;

    interval = task->session->conf->progress;

    if (task->message.token.data
        && task->sink->progress
        && interval != NGX_MCP_OFF)
    {
        task->progress.timer.handler = ngx_mcp_progress_timer;
        task->progress.timer.data = task;
        ngx_mcp_timer_set(&task->progress.timer, interval);
    }
}


void
ngx_mcp_progress_stop(ngx_mcp_task_t *task)
{
    ngx_mcp_timer_del(&task->progress.timer);
}


void
ngx_mcp_progress_free(ngx_mcp_task_t *task)
{
    ngx_mcp_progress_stop(task);

    if (task->progress.told) {
        ngx_free(task->progress.told);
    }
}


static void
ngx_mcp_progress_timer(void *data)
{
    ngx_mcp_task_t  *task = data;

    if (!ngx_mcp_task_has_receiver(task)) {
        return;
    }

    ngx_mcp_progress_start(task);

    if (ngx_mcp_progress_value_next(&task->progress.value) == NGX_OK) {
        (void) ngx_mcp_progress_send(task);
    }
}


ngx_int_t
ngx_mcp_progress_told(ngx_mcp_task_t *task, ngx_str_t *progress,
    ngx_str_t *total, ngx_str_t *message)
{
    ngx_int_t  rc;

    ngx_mcp_progress_start(task);

    if (ngx_mcp_progress_remember(&task->progress, total, message) != NGX_OK) {
        return NGX_ERROR;
    }

    rc = ngx_mcp_progress_value_told(&task->progress.value, progress);

    return (rc == NGX_OK) ? ngx_mcp_progress_send(task) : rc;
}


static ngx_int_t
ngx_mcp_progress_remember(ngx_mcp_progress_t *progress, ngx_str_t *total,
    ngx_str_t *message)
{
    u_char  *p;
    size_t   size;

    if (progress->told) {
        ngx_free(progress->told);
        progress->told = NULL;
    }

    ngx_str_null(&progress->total);
    ngx_str_null(&progress->message);

    size = total->len + message->len;

    if (size == 0) {
        return NGX_OK;
    }

    p = ngx_alloc(size, ngx_cycle->log);
    if (p == NULL) {
        return NGX_ERROR;
    }

    progress->told = p;

    if (total->len) {
        progress->total.len = total->len;
        progress->total.data = p;
        p = ngx_cpymem(p, total->data, total->len);
    }

    if (message->len) {
        progress->message.len = message->len;
        progress->message.data = p;
        ngx_memcpy(p, message->data, message->len);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_mcp_progress_send(ngx_mcp_task_t *task)
{
    size_t               size;
    ngx_int_t            rc;
    ngx_mcp_event_t     *ev;
    ngx_mcp_progress_t  *progress;

    progress = &task->progress;

    size = sizeof(ngx_mcp_progress_head) - 1 + task->message.token.len
           + sizeof(",\"progress\":") - 1 + progress->value.len
           + sizeof(",\"total\":") - 1 + progress->total.len
           + sizeof(",\"message\":") - 1 + progress->message.len
           + sizeof("}}") - 1;

    rc = ngx_mcp_task_room(task, size);

    ngx_log_debug6(NGX_LOG_DEBUG_HTTP, ngx_cycle->log, 0,
                   "mcp task progress: session %*s, value: %*s, told: %d, "
                   "room: %i",
                   (size_t) NGX_MCP_HASH_LEN, task->session->sid.hash,
                   progress->value.len, progress->value.text,
                   progress->told ? 1 : 0, rc);

    if (rc != NGX_OK) {
        return rc;
    }

    ev = ngx_mcp_progress_event(task, size);

    if (ev == NULL) {
        return NGX_ERROR;
    }

    ngx_mcp_task_tell(task, ev, 0);

    return NGX_OK;
}


static ngx_mcp_event_t *
ngx_mcp_progress_event(ngx_mcp_task_t *task, size_t size)
{
    u_char              *p;
    ngx_mcp_event_t     *ev;
    ngx_mcp_progress_t  *progress;

    ev = ngx_mcp_event_alloc(size, ngx_cycle->log);
    if (ev == NULL) {
        return NULL;
    }

    progress = &task->progress;

    p = ngx_sprintf(ev->last, "%s%V,\"progress\":%*s", ngx_mcp_progress_head,
                    &task->message.token, (size_t) progress->value.len,
                    progress->value.text);

    if (progress->total.data) {
        p = ngx_sprintf(p, ",\"total\":%V", &progress->total);
    }

    if (progress->message.data) {
        p = ngx_sprintf(p, ",\"message\":%V", &progress->message);
    }

    ev->last = ngx_cpymem(p, "}}", 2);

    return ngx_mcp_event_frame(ev, ngx_cycle->log);
}


/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Calls that were answered while Frappe still runs them.
 *
 * A call owns itself while it lingers, too.
 */

#include "ngx_mcp_call_filter.h"
#include "ngx_mcp_call_linger.h"


static ngx_queue_t  ngx_mcp_calls_lingering = {
    &ngx_mcp_calls_lingering, &ngx_mcp_calls_lingering
};
static ngx_uint_t  ngx_mcp_call_linger_stopped;


ngx_uint_t
ngx_mcp_call_linger(ngx_mcp_call_t *call)
{
    if (call->place == NULL
        || call->over
        || call->unsent
        || ngx_mcp_call_linger_stopped
        || (call->end != NGX_MCP_CALL_TIMED_OUT
            && call->end != NGX_MCP_CALL_CANCELLED))
    {
        return 0;
    }

    ngx_log_debug0(NGX_LOG_DEBUG_HTTP, &call->log, 0, "mcp call lingers");

    call->lingers = 1;
    call->posted = 0;
    call->data = NULL;

    ngx_mcp_call_filter_leave(call);

    if (call->answer) {
        ngx_mcp_event_free(call->answer);
        call->answer = NULL;
    }

    ngx_queue_insert_tail(&ngx_mcp_calls_lingering, &call->queue);
    ngx_mcp_timer_set(&call->timer, call->timeout);

    return 1;
}


void
ngx_mcp_call_linger_end(ngx_mcp_call_t *call)
{
    ngx_log_debug1(NGX_LOG_DEBUG_HTTP, &call->log, 0,
                   "mcp call lingers no more, over: %d", call->over);

    ngx_queue_remove(&call->queue);
}


void
ngx_mcp_call_linger_stop(void)
{
    ngx_queue_t     *q;
    ngx_mcp_call_t  *call;

    ngx_mcp_call_linger_stopped = 1;

    for (q = ngx_queue_head(&ngx_mcp_calls_lingering);
         q != ngx_queue_sentinel(&ngx_mcp_calls_lingering);
         q = ngx_queue_next(q))
    {
        call = ngx_queue_data(q, ngx_mcp_call_t, queue);
        ngx_mcp_call_end(call, call->end);
    }
}

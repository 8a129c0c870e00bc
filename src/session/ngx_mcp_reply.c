
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Builds the events that a client gets: answers of the backend, errors, local
 * results.
 */

#include "ngx_mcp_reply.h"
#include "ngx_mcp_capabilities.h"
#include "ngx_mcp_ctx.h"
#include "ngx_mcp_events.h"
#include "ngx_mcp_json_text.h"
#include "ngx_mcp_modern_answer.h"
#include "ngx_mcp_modern_error.h"
#include "ngx_mcp_outcome.h"
#include "ngx_mcp_subscribe.h"


static ngx_mcp_event_t *ngx_mcp_reply_response(ngx_mcp_task_t *task);
static ngx_mcp_event_t *ngx_mcp_reply_capabilities(ngx_mcp_event_t *ev);
static ngx_mcp_event_t *ngx_mcp_reply_modern(ngx_mcp_task_t *task);
static ngx_mcp_event_t *ngx_mcp_reply_raw(ngx_mcp_task_t *task);
static ngx_mcp_event_t *ngx_mcp_reply_with_id(ngx_mcp_task_t *task);


/* what a result of the modern era has besides: docs/PROTOCOL.md 15 */

#define NGX_MCP_REPLY_LIST                                                    \
    ",\"resultType\":\"complete\",\"ttlMs\":60000,"                            \
    "\"cacheScope\":\"private\""


ngx_mcp_event_t *
ngx_mcp_reply_answer(ngx_mcp_task_t *task)
{
    ngx_mcp_event_t  *ev;

    switch (task->outcome) {

    case NGX_MCP_OUTCOME_RESPONSE:
    case NGX_MCP_OUTCOME_ERROR:
    case NGX_MCP_OUTCOME_VALUE:

        if (ngx_mcp_subscribe_asked(task) && !task->answer.error) {
            return ngx_mcp_subscribe_answer(task);
        }

        ev = ngx_mcp_reply_response(task);

        if ((ngx_mcp_str_is(&task->message.method, "initialize")
             || ngx_mcp_str_is(&task->message.method, "server/discover"))
            && ngx_mcp_events_used())
        {
            return ngx_mcp_reply_capabilities(ev);
        }

        return ev;

    default:
        return ngx_mcp_outcome_error(task);
    }
}


static ngx_mcp_event_t *
ngx_mcp_reply_response(ngx_mcp_task_t *task)
{
    if (task->sink->modern) {
        return ngx_mcp_reply_modern(task);
    }

    return task->answer.id.data ? ngx_mcp_reply_raw(task)
                                : ngx_mcp_reply_with_id(task);
}


/*
 * Adds to what the backend has said that it can do what the module can do.
 * Takes the event over and returns another one, or the same.
 */

static ngx_mcp_event_t *
ngx_mcp_reply_capabilities(ngx_mcp_event_t *ev)
{
    ngx_str_t         answer, text;
    ngx_mcp_event_t  *changed;

    if (ev == NULL) {
        return NULL;
    }

    ngx_mcp_event_data(ev, &answer);

    changed = ngx_mcp_event_alloc(answer.len + NGX_MCP_CAPABILITIES_MAX_ADDED,
                                  ngx_cycle->log);
    if (changed == NULL) {
        ngx_mcp_event_free(ev);
        return NULL;
    }

    text.data = changed->pos;

    if (ngx_mcp_capabilities_add(&answer, &text) != NGX_OK) {
        ngx_mcp_event_free(changed);
        return ev;
    }

    ngx_mcp_event_free(ev);

    changed->last = changed->pos + text.len;

    return ngx_mcp_event_frame(changed, ngx_cycle->log);
}


/*
 * Makes the answer to a request of the modern era, and notes the code of its
 * error for the HTTP status.
 */

static ngx_mcp_event_t *
ngx_mcp_reply_modern(ngx_mcp_task_t *task)
{
    ngx_mcp_event_t           *ev;
    ngx_mcp_modern_t          *modern;
    ngx_mcp_modern_request_t   request;

    modern = task->sink->modern;

    request.id = task->message.id;
    request.method = modern->method;
    request.uri = modern->meta.raw_uri;
    request.server_info = modern->server_info;
    request.retry = modern->meta.retry;

    switch (ngx_mcp_modern_answer(&task->answer, &request, &ev, &modern->code,
                                  ngx_cycle->log))
    {
    case NGX_OK:
        return ev;

    case NGX_DECLINED:
        return ngx_mcp_reply_raw(task);

    default: /* NGX_ERROR */
        return NULL;
    }
}


/*
 * Frames the backend's response in the buffer where it was collected.
 */

static ngx_mcp_event_t *
ngx_mcp_reply_raw(ngx_mcp_task_t *task)
{
    ngx_mcp_event_t  *ev;

    if (task->answer.breaks) {
        ngx_mcp_jsonrpc_one_line(&task->answer.object);
    }

    ev = task->call->answer;
    task->call->answer = NULL;

    ev->pos = task->answer.object.data;
    ev->last = ev->pos + task->answer.object.len;

    if (task->answer.separators) {
        return ngx_mcp_event_frame(ev, ngx_cycle->log);
    }

    ngx_mcp_event_frame_plain(ev);

    return ev;
}


/*
 * Copies a response whose id is missing or null, and adds the id, or makes a
 * response of a value.
 */

static ngx_mcp_event_t *
ngx_mcp_reply_with_id(ngx_mcp_task_t *task)
{
    ngx_str_t         rest, *id;
    ngx_mcp_event_t  *ev;

    id = &task->message.id;

    rest = task->answer.response ? task->answer.object : task->answer.value;

    if (task->answer.breaks) {
        ngx_mcp_jsonrpc_one_line(&rest);
    }

    ev = ngx_mcp_event_alloc(
             rest.len + id->len
             + sizeof("{\"jsonrpc\":\"2.0\",\"id\":,\"result\":}"),
             ngx_cycle->log);
    if (ev == NULL) {
        return NULL;
    }

    if (!task->answer.response) {
        ev->last = ngx_sprintf(ev->last, "{\"jsonrpc\":\"2.0\",\"id\":%V,"
                               "\"result\":%V}", id, &rest);

    } else if (task->answer.null_id.data) {
        ev->last = ngx_cpymem(ev->last, rest.data,
                              task->answer.null_id.data - rest.data);
        ev->last = ngx_cpymem(ev->last, id->data, id->len);

        rest.len -= task->answer.null_id.data + task->answer.null_id.len
                    - rest.data;
        rest.data = task->answer.null_id.data + task->answer.null_id.len;

        ev->last = ngx_cpymem(ev->last, rest.data, rest.len);

    } else {
        ev->last = ngx_sprintf(ev->last, "{\"id\":%V,", id);
        ev->last = ngx_cpymem(ev->last, rest.data + 1, rest.len - 1);
    }

    return ngx_mcp_event_frame(ev, ngx_cycle->log);
}


ngx_mcp_event_t *
ngx_mcp_reply_error(ngx_mcp_sink_t *sink, ngx_str_t *id, ngx_int_t code,
    const char *message, const char *data)
{
    ngx_str_t         value;
    ngx_mcp_event_t  *ev;

    value.len = ngx_strlen(data);
    value.data = (u_char *) data;

    ev = ngx_mcp_event_alloc(ngx_mcp_modern_error_size(id, message, &value),
                             ngx_cycle->log);
    if (ev == NULL) {
        return NULL;
    }

    ev->last = sink->modern
               ? ngx_mcp_modern_error(ev->last, id, code, message, &value)
               : ngx_mcp_jsonrpc_error(ev->last, id, code, message, &value);

    return ngx_mcp_event_frame(ev, ngx_cycle->log);
}


ngx_mcp_event_t *
ngx_mcp_reply_local(ngx_mcp_sink_t *sink, ngx_str_t *id, ngx_uint_t which)
{
    const char       *result;
    ngx_uint_t        ping_result;
    u_char            ping[sizeof("{\"_meta\":{\"status\":\"ok\","
                           "\"timestamp\":,\"service\":"
                           "\"frappe-mcp-sse-bridge\",\"message\":"
                           "\"pong\"}}") + NGX_TIME_T_LEN];
    ngx_mcp_event_t  *ev;

    switch (which) {

    case NGX_MCP_LOCAL_RESOURCES:
        result = "{\"resources\":[]";
        break;

    case NGX_MCP_LOCAL_TEMPLATES:
        result = "{\"resourceTemplates\":[]";
        break;

    case NGX_MCP_LOCAL_PROMPTS:
        result = "{\"prompts\":[]";
        break;

    case NGX_MCP_LOCAL_LOGGING:
        result = "{";
        break;

    default: /* NGX_MCP_LOCAL_PING */

        ping_result = sink->conf->ping_result;

        if (ping_result == NGX_MCP_PING_EMPTY) {
            result = "{";
            break;
        }

        ngx_sprintf(ping, "%s{\"status\":\"ok\",\"timestamp\":%T,"
                    "\"service\":\"frappe-mcp-sse-bridge\","
                    "\"message\":\"pong\"%s%Z",
                    ping_result == NGX_MCP_PING_META ? "{\"_meta\":" : "",
                    ngx_time(),
                    ping_result == NGX_MCP_PING_META ? "}" : "");

        result = (const char *) ping;
    }

    ev = ngx_mcp_event_format(
             sizeof("{\"jsonrpc\":\"2.0\",\"result\":},\"id\":}"
                    NGX_MCP_REPLY_LIST)
             + ngx_strlen(result) + id->len,
             ngx_cycle->log,
             "{\"jsonrpc\":\"2.0\",\"result\":%s%s},\"id\":%V}",
             result, sink->modern ? NGX_MCP_REPLY_LIST : "", id);

    if (ev) {
        ev = ngx_mcp_event_frame(ev, ngx_cycle->log);
    }

    return ev;
}


ngx_mcp_event_t *
ngx_mcp_reply_acknowledged(ngx_str_t *id, ngx_mcp_listen_filter_t *filter)
{
    ngx_mcp_event_t  *ev;

    ev = ngx_mcp_event_alloc(
             sizeof("{\"jsonrpc\":\"2.0\",\"method\":"
                    "\"notifications/subscriptions/acknowledged\","
                    "\"params\":{\"_meta\":{"
                    "\"io.modelcontextprotocol/subscriptionId\":},"
                    "\"notifications\":{}}}")
             + id->len + (filter ? ngx_mcp_listen_filter_size(filter) : 0),
             ngx_cycle->log);
    if (ev == NULL) {
        return NULL;
    }

    ev->last = ngx_sprintf(ev->last, "{\"jsonrpc\":\"2.0\",\"method\":"
                           "\"notifications/subscriptions/acknowledged\","
                           "\"params\":{\"_meta\":{"
                           "\"io.modelcontextprotocol/subscriptionId\":%V},"
                           "\"notifications\":", id);

    ev->last = filter ? ngx_mcp_listen_filter_write(ev->last, filter)
                      : ngx_cpymem(ev->last, "{}", 2);

    *ev->last++ = '}';
    *ev->last++ = '}';

    return ngx_mcp_event_frame(ev, ngx_cycle->log);
}


ngx_mcp_event_t *
ngx_mcp_reply_listened(ngx_str_t *id)
{
    ngx_mcp_event_t  *ev;

    ev = ngx_mcp_event_format(
             sizeof("{\"jsonrpc\":\"2.0\",\"id\":,\"result\":{"
                    "\"resultType\":\"complete\",\"_meta\":{"
                    "\"io.modelcontextprotocol/subscriptionId\":}}}")
             + 2 * id->len,
             ngx_cycle->log,
             "{\"jsonrpc\":\"2.0\",\"id\":%V,\"result\":{"
             "\"resultType\":\"complete\",\"_meta\":{"
             "\"io.modelcontextprotocol/subscriptionId\":%V}}}", id, id);

    return ev ? ngx_mcp_event_frame(ev, ngx_cycle->log) : NULL;
}

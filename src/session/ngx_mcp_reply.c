
/*
 * Nothing is kept here.
 */

#include "ngx_mcp_reply.h"


#define NGX_MCP_MAX_EXC_TYPE_LEN  64


static ngx_uint_t ngx_mcp_reply_status(ngx_mcp_task_t *task);
static ngx_mcp_event_t *ngx_mcp_reply_fault(ngx_mcp_task_t *task);
static ngx_mcp_event_t *ngx_mcp_reply_backend_error(ngx_mcp_task_t *task);
static ngx_mcp_event_t *ngx_mcp_reply_raw(ngx_mcp_task_t *task);
static ngx_mcp_event_t *ngx_mcp_reply_with_id(ngx_mcp_task_t *task);


/* what became of a call; decides the result and the answer */

#define NGX_MCP_REPLY_RAW       1   /* forwarded */
#define NGX_MCP_REPLY_VALUE     2   /* becomes the result */
#define NGX_MCP_REPLY_EMPTY     3
#define NGX_MCP_REPLY_WRONG_ID  4
#define NGX_MCP_REPLY_REFUSED   5
#define NGX_MCP_REPLY_DOWN      6
#define NGX_MCP_REPLY_TIMEOUT   7
#define NGX_MCP_REPLY_OVERSIZE  8
#define NGX_MCP_REPLY_STOPPED   9
#define NGX_MCP_REPLY_BROKEN    10


void
ngx_mcp_reply_classify(ngx_mcp_call_t *call)
{
    ngx_str_t        body;
    ngx_uint_t       result;
    ngx_mcp_task_t  *task;
    ngx_mcp_vars_t  *facts;

    task = call->data;
    facts = &call->ctx.vars;

    ngx_memzero(&task->answer, sizeof(ngx_mcp_jsonrpc_answer_t));

    if (call->end == NGX_MCP_CALL_DONE && call->answer) {

        body.data = call->answer->pos;
        body.len = call->answer->last - call->answer->pos;

        if (ngx_mcp_jsonrpc_answer_scan(call->pool, &body,
                                        &task->answer)
            != NGX_OK)
        {
            ngx_memzero(&task->answer, sizeof(ngx_mcp_jsonrpc_answer_t));
        }
    }

    switch (ngx_mcp_reply_status(task)) {

    case NGX_MCP_REPLY_RAW:
        result = (task->answer.error || task->answer.tool_error)
                 ? NGX_MCP_RESULT_ERROR
                 : NGX_MCP_RESULT_OK;
        break;

    case NGX_MCP_REPLY_VALUE:
        result = NGX_MCP_RESULT_OK;
        break;

    case NGX_MCP_REPLY_EMPTY:
        result = task->silent ? NGX_MCP_RESULT_OK
                              : NGX_MCP_RESULT_BACKEND;
        break;

    case NGX_MCP_REPLY_REFUSED:
        result = NGX_MCP_RESULT_REFUSED;
        break;

    case NGX_MCP_REPLY_TIMEOUT:
        result = NGX_MCP_RESULT_TIMEOUT;
        break;

    case NGX_MCP_REPLY_OVERSIZE:
        result = NGX_MCP_RESULT_TOO_LARGE;
        break;

    case NGX_MCP_REPLY_STOPPED:
        result = NGX_MCP_RESULT_CANCELLED;
        break;

    default:
        result = NGX_MCP_RESULT_BACKEND;
    }

    if (result == NGX_MCP_RESULT_OK
        && !task->silent
        && !ngx_mcp_task_has_receiver(task))
    {
        result = NGX_MCP_RESULT_DROPPED;
    }

    facts->result = result;
}


static ngx_uint_t
ngx_mcp_reply_status(ngx_mcp_task_t *task)
{
    ngx_mcp_call_t            *call;
    ngx_mcp_jsonrpc_answer_t  *answer;

    call = task->call;
    answer = &task->answer;

    switch (call->end) {

    case NGX_MCP_CALL_TIMED_OUT:
        return NGX_MCP_REPLY_TIMEOUT;

    case NGX_MCP_CALL_OVERSIZE:
        return NGX_MCP_REPLY_OVERSIZE;

    case NGX_MCP_CALL_CANCELLED:
        return NGX_MCP_REPLY_STOPPED;

    case NGX_MCP_CALL_FAILED:
        return NGX_MCP_REPLY_BROKEN;
    }

    /* nginx does not tell that a body was cut short */

    if (call->length > 0
        && (call->answer == NULL
            || call->answer->last - call->answer->pos < call->length))
    {
        return NGX_MCP_REPLY_BROKEN;
    }

    switch (call->status) {

    case NGX_HTTP_OK:
    case NGX_HTTP_BAD_REQUEST:
        break;

    case NGX_HTTP_ACCEPTED:
    case NGX_HTTP_NO_CONTENT:
        return NGX_MCP_REPLY_EMPTY;

    case NGX_HTTP_UNAUTHORIZED:
    case NGX_HTTP_FORBIDDEN:
        return NGX_MCP_REPLY_REFUSED;

    case NGX_HTTP_BAD_GATEWAY:
    case NGX_HTTP_SERVICE_UNAVAILABLE:
        return NGX_MCP_REPLY_DOWN;

    case NGX_HTTP_GATEWAY_TIME_OUT:
        return NGX_MCP_REPLY_TIMEOUT;

    default:
        return NGX_MCP_REPLY_BROKEN;
    }

    if (answer->response) {

        if (task->silent || answer->id.data == NULL
            || ngx_mcp_jsonrpc_same_id(&answer->id,
                                       &task->message.id))
        {
            return NGX_MCP_REPLY_RAW;
        }

        return NGX_MCP_REPLY_WRONG_ID;
    }

    if (call->status == NGX_HTTP_OK) {

        if (answer->value.data) {
            return NGX_MCP_REPLY_VALUE;
        }

        if (call->answer == NULL || call->answer->pos == call->answer->last) {
            return NGX_MCP_REPLY_EMPTY;
        }
    }

    return NGX_MCP_REPLY_BROKEN;
}


void
ngx_mcp_reply_log_error(ngx_mcp_task_t *task)
{
    ngx_mcp_call_t  *call;

    call = task->call;

    switch (call->end) {

    case NGX_MCP_CALL_TIMED_OUT:
        ngx_log_error(NGX_LOG_ERR, &call->log, 0,
                      "mcp sse: call at \"%V\" was ended after %M ms: does a "
                      "tool need a longer mcp_sse_call_timeout?",
                      &call->uri, call->timeout);
        return;

    case NGX_MCP_CALL_OVERSIZE:
        ngx_log_error(NGX_LOG_ERR, &call->log, 0,
                      "mcp sse: call at \"%V\" answered more than %uz bytes: "
                      "does a tool need a larger mcp_sse_max_answer?",
                      &call->uri, call->max_answer);
        return;

    case NGX_MCP_CALL_DONE:
        break;

    default: /* cut, which nginx tells, or cancelled */
        return;
    }

    switch (ngx_mcp_reply_status(task)) {

    case NGX_MCP_REPLY_REFUSED:
        ngx_log_error(NGX_LOG_INFO, &call->log, 0,
                      "mcp sse: call at \"%V\" answered %ui: is the user "
                      "\"%V\" enabled, and allowed to use the assistant?",
                      &call->uri, call->status, &call->ctx.vars.user);
        break;

    case NGX_MCP_REPLY_DOWN:
    case NGX_MCP_REPLY_TIMEOUT:
    case NGX_MCP_REPLY_BROKEN:
        ngx_mcp_call_log_error(call, "call");
    }
}


ngx_mcp_event_t *
ngx_mcp_reply_answer(ngx_mcp_task_t *task)
{
    switch (ngx_mcp_reply_status(task)) {

    case NGX_MCP_REPLY_RAW:

        if (task->answer.id.data) {
            return ngx_mcp_reply_raw(task);
        }

        return ngx_mcp_reply_with_id(task);

    case NGX_MCP_REPLY_VALUE:
        return ngx_mcp_reply_with_id(task);

    default:
        return ngx_mcp_reply_fault(task);
    }
}


/*
 * The bytes of the backend are framed where they were collected.
 */

static ngx_mcp_event_t *
ngx_mcp_reply_raw(ngx_mcp_task_t *task)
{
    ngx_mcp_event_t  *ev;

    ngx_mcp_jsonrpc_one_line(&task->answer.object);

    ev = task->call->answer;
    task->call->answer = NULL;

    ev->pos = task->answer.object.data;
    ev->last = ev->pos + task->answer.object.len;

    ngx_mcp_event_frame(ev);

    return ev;
}


/*
 * The id is put in by us: it is missing or null, or there is only a value.
 */

static ngx_mcp_event_t *
ngx_mcp_reply_with_id(ngx_mcp_task_t *task)
{
    ngx_str_t         rest, *id;
    ngx_mcp_event_t  *ev;

    id = &task->message.id;

    if (task->answer.response) {
        rest = task->answer.object;

    } else {
        rest = task->answer.value;
    }

    ngx_mcp_jsonrpc_one_line(&rest);

    ev = ngx_mcp_event_alloc(rest.len + id->len
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

    ngx_mcp_event_frame(ev);

    return ev;
}


static ngx_mcp_event_t *
ngx_mcp_reply_fault(ngx_mcp_task_t *task)
{
    u_char      data[sizeof("{\"timeout_ms\":}") + NGX_INT64_LEN];
    ngx_str_t  *id;

    id = &task->message.id;

    switch (ngx_mcp_reply_status(task)) {

    case NGX_MCP_REPLY_EMPTY:
        return ngx_mcp_reply_error(id,
                       NGX_MCP_ERR_INTERNAL,
                       "Empty answer from backend", "");

    case NGX_MCP_REPLY_WRONG_ID:
        return ngx_mcp_reply_error(id,
                       NGX_MCP_ERR_INTERNAL,
                       "Backend answered another request", "");

    case NGX_MCP_REPLY_REFUSED:
        return ngx_mcp_reply_error(id,
                       NGX_MCP_ERR_UNAUTHORIZED, "Not permitted", "");

    case NGX_MCP_REPLY_DOWN:
        return ngx_mcp_reply_error(id,
                       NGX_MCP_ERR_UNAVAILABLE, "Backend unavailable",
                       "");

    case NGX_MCP_REPLY_TIMEOUT:
        ngx_sprintf(data, "{\"timeout_ms\":%M}%Z",
                    (task->call->end == NGX_MCP_CALL_TIMED_OUT)
                        ? task->call->timeout
                        : ngx_current_msec - task->call->started);

        return ngx_mcp_reply_error(id,
                       NGX_MCP_ERR_TIMED_OUT, "Request timed out",
                       (char *) data);

    case NGX_MCP_REPLY_OVERSIZE:
        return ngx_mcp_reply_error(id,
                       NGX_MCP_ERR_TOO_LARGE, "Answer too large", "");

    case NGX_MCP_REPLY_STOPPED:
        return ngx_mcp_reply_error(id, NGX_MCP_ERR_CLOSED,
                       "Stream closed before the answer",
                       "{\"executed\":\"unknown\"}");

    default:
        return ngx_mcp_reply_backend_error(task);
    }
}


/*
 * Of a Frappe error only the status and the name of the exception are told:
 * its tracebacks and messages are not for clients.
 */

static ngx_mcp_event_t *
ngx_mcp_reply_backend_error(ngx_mcp_task_t *task)
{
    u_char      ch, *last;
    u_char      data[sizeof("{\"status\":,\"exc_type\":\"\"}")
                     + NGX_INT_T_LEN + NGX_MCP_MAX_EXC_TYPE_LEN];
    ngx_str_t   exc_type;
    ngx_uint_t  i;

    exc_type = task->answer.exc_type;

    if (exc_type.len > NGX_MCP_MAX_EXC_TYPE_LEN) {
        exc_type.len = 0;
    }

    for (i = 0; i < exc_type.len; i++) {
        ch = exc_type.data[i];

        if ((ch < '0' || ch > '9') && ch != '_' && ch != '.'
            && ((ch | 0x20) < 'a' || (ch | 0x20) > 'z'))
        {
            exc_type.len = 0;
        }
    }

    last = ngx_sprintf(data, "{\"status\":%ui", task->call->status);

    if (exc_type.len) {
        last = ngx_sprintf(last, ",\"exc_type\":\"%V\"", &exc_type);
    }

    ngx_sprintf(last, "}%Z");

    return ngx_mcp_reply_error(&task->message.id,
                               NGX_MCP_ERR_INTERNAL,
                               "Backend error", (char *) data);
}


ngx_mcp_event_t *
ngx_mcp_reply_error(ngx_str_t *id, ngx_int_t code, const char *message,
    const char *data)
{
    ngx_mcp_event_t  *ev;

    ev = ngx_mcp_event_format(
             sizeof("{\"jsonrpc\":\"2.0\",\"id\":,\"error\":{\"code\":,"
                    "\"message\":\"\",\"data\":}}")
             + id->len + NGX_INT_T_LEN + ngx_strlen(message)
             + ngx_strlen(data),
             ngx_cycle->log,
             "{\"jsonrpc\":\"2.0\",\"id\":%V,\"error\":{\"code\":%i,"
             "\"message\":\"%s\"%s%s}}",
             id, code, message, data[0] ? ",\"data\":" : "", data);

    if (ev) {
        ngx_mcp_event_frame(ev);
    }

    return ev;
}


ngx_mcp_event_t *
ngx_mcp_reply_local(ngx_mcp_loc_conf_t *conf, ngx_str_t *id, ngx_uint_t which)
{
    const char                *result;
    u_char                     ping[sizeof("{\"_meta\":{\"status\":\"ok\","
                                    "\"timestamp\":,\"service\":"
                                    "\"frappe-mcp-sse-bridge\",\"message\":"
                                    "\"pong\"}}") + NGX_TIME_T_LEN];
    ngx_mcp_event_t  *ev;

    switch (which) {

    case NGX_MCP_LOCAL_RESOURCES:
        result = "{\"resources\":[]}";
        break;

    case NGX_MCP_LOCAL_TEMPLATES:
        result = "{\"resourceTemplates\":[]}";
        break;

    case NGX_MCP_LOCAL_PROMPTS:
        result = "{\"prompts\":[]}";
        break;

    default: /* NGX_MCP_LOCAL_PING */

        if (conf->ping_result == NGX_MCP_PING_EMPTY) {
            result = "{}";
            break;
        }

        ngx_sprintf(ping, "%s{\"status\":\"ok\",\"timestamp\":%T,"
                    "\"service\":\"frappe-mcp-sse-bridge\","
                    "\"message\":\"pong\"}%s%Z",
                    conf->ping_result == NGX_MCP_PING_META
                        ? "{\"_meta\":" : "",
                    ngx_time(),
                    conf->ping_result == NGX_MCP_PING_META
                        ? "}" : "");

        result = (const char *) ping;
    }

    ev = ngx_mcp_event_format(
             sizeof("{\"jsonrpc\":\"2.0\",\"result\":,\"id\":}")
             + ngx_strlen(result) + id->len,
             ngx_cycle->log, "{\"jsonrpc\":\"2.0\",\"result\":%s,\"id\":%V}",
             result, id);

    if (ev) {
        ngx_mcp_event_frame(ev);
    }

    return ev;
}


ngx_mcp_event_t *
ngx_mcp_reply_progress(ngx_mcp_task_t *task)
{
    ngx_str_t        *token;
    ngx_uint_t        seconds;
    ngx_mcp_event_t  *ev;

    token = &task->message.token;

    /* each must be larger than the one before */

    seconds = (ngx_current_msec - task->accepted) / 1000;
    task->seconds = ngx_max(task->seconds + 1, seconds);

    ev = ngx_mcp_event_format(
             sizeof("{\"jsonrpc\":\"2.0\",\"method\":"
                    "\"notifications/progress\",\"params\":"
                    "{\"progressToken\":,\"progress\":}}")
             + token->len + NGX_INT_T_LEN,
             ngx_cycle->log,
             "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\","
             "\"params\":{\"progressToken\":%V,\"progress\":%ui}}",
             token, task->seconds);

    if (ev) {
        ngx_mcp_event_frame(ev);
    }

    return ev;
}

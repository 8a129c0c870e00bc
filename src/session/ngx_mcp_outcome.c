
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * What became of a call: classifies its end, its status and its answer, once,
 * for the log, the metrics and the client.
 */

#include "ngx_mcp_outcome.h"
#include "ngx_mcp_backend.h"
#include "ngx_mcp_call_log.h"
#include "ngx_mcp_reply.h"
#include "ngx_mcp_json_text.h"
#include "ngx_mcp_modern_answer.h"


#define NGX_MCP_OUTCOME_MAX_EXC_TYPE_LEN  64      /* bytes */

/* the members of an error's data */

#define NGX_MCP_OUTCOME_TIME      0x01    /* timeout_ms */
#define NGX_MCP_OUTCOME_STATUS    0x02    /* status, exc_type, retry_after */
#define NGX_MCP_OUTCOME_EXECUTED  0x04    /* executed */

#define NGX_MCP_OUTCOME_MAX_DATA_LEN                                          \
    (sizeof("{\"reason\":\"backend\",\"timeout_ms\":,\"status\":,"            \
            "\"exc_type\":\"\",\"retry_after\":,\"executed\":\"unknown\"}")   \
     + 3 * NGX_INT64_LEN + NGX_MCP_OUTCOME_MAX_EXC_TYPE_LEN)


typedef struct {
    ngx_uint_t    result;      /* ngx_mcp_result_e */
    ngx_int_t     code;        /* of the JSON-RPC error; 0: none */
    const char   *message;
    ngx_uint_t    data;        /* NGX_MCP_OUTCOME_TIME, _STATUS, _EXECUTED */
} ngx_mcp_outcome_t;


static void ngx_mcp_outcome_exc_type(ngx_str_t *exc_type);
static ngx_uint_t ngx_mcp_outcome_of_call(ngx_mcp_task_t *task);
static ngx_uint_t ngx_mcp_outcome_of_answer(ngx_mcp_task_t *task, off_t size);
static ngx_uint_t ngx_mcp_outcome_unreadable(ngx_mcp_task_t *task);
static ngx_uint_t ngx_mcp_outcome_maintenance(ngx_mcp_task_t *task);
static void ngx_mcp_outcome_log_rate_limit(ngx_mcp_call_t *call);
static void ngx_mcp_outcome_data(ngx_mcp_task_t *task, ngx_uint_t members,
    u_char *data);
static u_char *ngx_mcp_outcome_status(ngx_mcp_task_t *task, u_char *p);
static const char *ngx_mcp_outcome_executed(ngx_mcp_task_t *task);


/* by ngx_mcp_outcome_e */

static ngx_mcp_outcome_t  ngx_mcp_outcomes[] = {

    { NGX_MCP_RESULT_BACKEND, NGX_MCP_ERR_INTERNAL, "Backend error",
      NGX_MCP_OUTCOME_STATUS|NGX_MCP_OUTCOME_EXECUTED },

    { NGX_MCP_RESULT_OK, 0, NULL, 0 },
    { NGX_MCP_RESULT_ERROR, 0, NULL, 0 },
    { NGX_MCP_RESULT_OK, 0, NULL, 0 },
    { NGX_MCP_RESULT_OK, 0, NULL, 0 },

    { NGX_MCP_RESULT_BACKEND, NGX_MCP_ERR_INTERNAL,
      "Empty answer from backend", NGX_MCP_OUTCOME_EXECUTED },

    { NGX_MCP_RESULT_BACKEND, NGX_MCP_ERR_INTERNAL,
      "Backend answered another request", NGX_MCP_OUTCOME_EXECUTED },

    { NGX_MCP_RESULT_REFUSED, NGX_MCP_ERR_UNAUTHORIZED, "Not permitted", 0 },

    { NGX_MCP_RESULT_REFUSED, NGX_MCP_ERR_TOO_MANY, "Too many requests",
      NGX_MCP_OUTCOME_STATUS|NGX_MCP_OUTCOME_EXECUTED },

    { NGX_MCP_RESULT_BACKEND, NGX_MCP_ERR_UNAVAILABLE, "Backend unavailable",
      NGX_MCP_OUTCOME_STATUS|NGX_MCP_OUTCOME_EXECUTED },

    { NGX_MCP_RESULT_TIMEOUT, NGX_MCP_ERR_TIMED_OUT, "Request timed out",
      NGX_MCP_OUTCOME_TIME|NGX_MCP_OUTCOME_EXECUTED },

    { NGX_MCP_RESULT_TIMEOUT, NGX_MCP_ERR_TIMED_OUT, "Request timed out",
      NGX_MCP_OUTCOME_TIME|NGX_MCP_OUTCOME_EXECUTED },

    { NGX_MCP_RESULT_TOO_LARGE, NGX_MCP_ERR_TOO_LARGE, "Answer too large",
      NGX_MCP_OUTCOME_EXECUTED },

    { NGX_MCP_RESULT_CANCELLED, NGX_MCP_ERR_CLOSED,
      "Stream closed before the answer", NGX_MCP_OUTCOME_EXECUTED },

    { NGX_MCP_RESULT_BACKEND, NGX_MCP_ERR_INTERNAL, "Backend error",
      NGX_MCP_OUTCOME_STATUS|NGX_MCP_OUTCOME_EXECUTED }
};


void
ngx_mcp_outcome_classify(ngx_mcp_call_t *call)
{
    ngx_str_t        body;
    ngx_uint_t       result;
    ngx_mcp_task_t  *task;

    task = call->data;

    ngx_memzero(&task->answer, sizeof(ngx_mcp_jsonrpc_answer_t));

    if (call->end == NGX_MCP_CALL_DONE && call->answer) {

        body.data = call->answer->pos;
        body.len = call->answer->last - call->answer->pos;

        if (ngx_mcp_jsonrpc_answer_end(&call->scan, &body, &task->answer)
            != NGX_OK)
        {
            ngx_memzero(&task->answer, sizeof(ngx_mcp_jsonrpc_answer_t));
        }

        ngx_mcp_outcome_exc_type(&task->answer.exc_type);
    }

    task->outcome = ngx_mcp_outcome_of_call(task);

    result = ngx_mcp_outcomes[task->outcome].result;

    if (result == NGX_MCP_RESULT_OK
        && !task->silent
        && !ngx_mcp_task_has_receiver(task))
    {
        result = NGX_MCP_RESULT_DROPPED;
    }

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, &call->log, 0,
                   "mcp call outcome: %ui, result: %ui",
                   task->outcome, result);

    call->ctx.vars.result = result;
}


/*
 * Clears the name of an exception that has other characters than a plain name:
 * it may be a text of Frappe, which clients must not see.
 */

static void
ngx_mcp_outcome_exc_type(ngx_str_t *exc_type)
{
    u_char      ch;
    ngx_uint_t  i;

    if (exc_type->len > NGX_MCP_OUTCOME_MAX_EXC_TYPE_LEN) {
        exc_type->len = 0;
    }

    for (i = 0; i < exc_type->len; i++) {
        ch = exc_type->data[i];

        if ((ch < '0' || ch > '9') && ch != '_' && ch != '.'
            && ((ch | 0x20) < 'a' || (ch | 0x20) > 'z'))
        {
            exc_type->len = 0;
        }
    }
}


static ngx_uint_t
ngx_mcp_outcome_of_call(ngx_mcp_task_t *task)
{
    off_t            size;
    ngx_mcp_call_t  *call;

    call = task->call;

    switch (call->end) {

    case NGX_MCP_CALL_DONE:
        break;

    case NGX_MCP_CALL_TIMED_OUT:
        return NGX_MCP_OUTCOME_TIMED_OUT;

    case NGX_MCP_CALL_OVERSIZE:
        return NGX_MCP_OUTCOME_TOO_LARGE;

    case NGX_MCP_CALL_CANCELLED:
        return NGX_MCP_OUTCOME_CANCELLED;

    default: /* NGX_MCP_CALL_FAILED */
        return NGX_MCP_OUTCOME_FAILED;
    }

    size = call->answer ? call->answer->last - call->answer->pos : 0;

    /* nginx does not report a body that is shorter than its announced length */

    if (size < call->length) {
        return NGX_MCP_OUTCOME_BACKEND_ERROR;
    }

    switch (call->status) {

    case NGX_HTTP_OK:
    case NGX_HTTP_BAD_REQUEST:
    case NGX_HTTP_NOT_FOUND:
        return ngx_mcp_outcome_of_answer(task, size);

    case NGX_HTTP_ACCEPTED:
    case NGX_HTTP_NO_CONTENT:
        return task->silent ? NGX_MCP_OUTCOME_ACCEPTED : NGX_MCP_OUTCOME_EMPTY;

    case NGX_HTTP_UNAUTHORIZED:
    case NGX_HTTP_FORBIDDEN:
        return NGX_MCP_OUTCOME_REFUSED;

    case NGX_HTTP_TOO_MANY_REQUESTS:
        return NGX_MCP_OUTCOME_RATE_LIMITED;

    case NGX_HTTP_BAD_GATEWAY:
    case NGX_HTTP_SERVICE_UNAVAILABLE:
        return NGX_MCP_OUTCOME_UNAVAILABLE;

    case NGX_HTTP_GATEWAY_TIME_OUT:
        return NGX_MCP_OUTCOME_GATEWAY_TIMEOUT;

    default:
        return NGX_MCP_OUTCOME_BACKEND_ERROR;
    }
}


static ngx_uint_t
ngx_mcp_outcome_of_answer(ngx_mcp_task_t *task, off_t size)
{
    ngx_mcp_jsonrpc_answer_t  *answer;

    answer = &task->answer;

    if (answer->response) {

        if (!task->silent
            && answer->id.data
            && !ngx_mcp_jsonrpc_same_id(&answer->id, &task->message.id))
        {
            return NGX_MCP_OUTCOME_WRONG_ID;
        }

        if (ngx_mcp_outcome_unreadable(task)) {
            return NGX_MCP_OUTCOME_BACKEND_ERROR;
        }

        return (answer->error || answer->tool_error)
               ? NGX_MCP_OUTCOME_ERROR : NGX_MCP_OUTCOME_RESPONSE;
    }

    if (task->call->status == NGX_HTTP_OK) {

        if (answer->value.data) {
            return ngx_mcp_outcome_unreadable(task)
                   ? NGX_MCP_OUTCOME_BACKEND_ERROR : NGX_MCP_OUTCOME_VALUE;
        }

        if (size == 0) {
            return task->silent ? NGX_MCP_OUTCOME_ACCEPTED
                                : NGX_MCP_OUTCOME_EMPTY;
        }
    }

    return NGX_MCP_OUTCOME_BACKEND_ERROR;
}


/*
 * A client of the modern era could not read the answer.  Others get it as it
 * is.
 */

static ngx_uint_t
ngx_mcp_outcome_unreadable(ngx_mcp_task_t *task)
{
    return task->sink
           && task->sink->modern
           && !ngx_mcp_modern_answer_valid(&task->answer);
}


void
ngx_mcp_outcome_note(ngx_mcp_task_t *task)
{
    switch (ngx_mcp_outcomes[task->outcome].result) {

    case NGX_MCP_RESULT_CANCELLED:
        return;

    case NGX_MCP_RESULT_BACKEND:
    case NGX_MCP_RESULT_TIMEOUT:
        ngx_mcp_backend_note(NGX_MCP_BACKEND_CALL, 0);
        return;

    default:
        ngx_mcp_backend_note(NGX_MCP_BACKEND_CALL, 1);
    }
}


void
ngx_mcp_outcome_log(ngx_mcp_task_t *task)
{
    ngx_mcp_call_t  *call;

    call = task->call;

    switch (task->outcome) {

    case NGX_MCP_OUTCOME_TIMED_OUT:
        ngx_log_error(NGX_LOG_ERR, &call->log, 0,
                      "mcp sse: call at \"%V\" timed out after %M ms, increase "
                      "mcp_sse_call_timeout if a tool needs more time",
                      &call->uri, call->timeout);
        return;

    case NGX_MCP_OUTCOME_TOO_LARGE:
        ngx_log_error(NGX_LOG_ERR, &call->log, 0,
                      "mcp sse: call at \"%V\" answered more than %uz bytes, "
                      "increase mcp_sse_max_answer if a tool needs more",
                      &call->uri, call->max_answer);
        return;

    case NGX_MCP_OUTCOME_REFUSED:
        ngx_log_error(NGX_LOG_INFO, &call->log, 0,
                      "mcp sse: call at \"%V\" answered %ui, check that the "
                      "user \"%V\" is enabled and may use the assistant",
                      &call->uri, call->status, &call->ctx.vars.user);
        return;

    case NGX_MCP_OUTCOME_RATE_LIMITED:
        ngx_mcp_outcome_log_rate_limit(call);
        return;

    case NGX_MCP_OUTCOME_UNAVAILABLE:

        if (ngx_mcp_outcome_maintenance(task)) {
            ngx_log_error(NGX_LOG_ERR, &call->log, 0,
                          "mcp sse: call at \"%V\" answered 503, the site is "
                          "in maintenance: wait for bench migrate, or run "
                          "bench set-maintenance-mode off", &call->uri);
            return;
        }

        /* fall through */

    case NGX_MCP_OUTCOME_EMPTY:
    case NGX_MCP_OUTCOME_GATEWAY_TIMEOUT:
    case NGX_MCP_OUTCOME_BACKEND_ERROR:
        ngx_mcp_call_log_error(call, "call");
        return;

    case NGX_MCP_OUTCOME_WRONG_ID:
        ngx_log_error(NGX_LOG_ERR, &call->log, 0,
                      "mcp sse: call at \"%V\" answered another request, check "
                      "that nothing between nginx and Frappe caches answers",
                      &call->uri);
        return;

    case NGX_MCP_OUTCOME_FAILED:
        ngx_log_error(NGX_LOG_ERR, &call->log, 0,
                      "mcp sse: call at \"%V\" failed before its answer was "
                      "complete, see the line of nginx above", &call->uri);
    }
}


static void
ngx_mcp_outcome_log_rate_limit(ngx_mcp_call_t *call)
{
    if (!call->answered) {
        ngx_mcp_call_log_error(call, "call");
        return;
    }

    ngx_log_error(NGX_LOG_WARN, &call->log, 0,
                  "mcp sse: call at \"%V\" answered 429, the rate limit of "
                  "Frappe: raise \"rate_limit\" in site_config.json of \"%V\" "
                  "if its users need more",
                  &call->uri, &call->ctx.vars.site);
}


/*
 * Frappe refuses everything while a site is in maintenance.
 */

static ngx_uint_t
ngx_mcp_outcome_maintenance(ngx_mcp_task_t *task)
{
    return task->call->answered
           && task->call->status == NGX_HTTP_SERVICE_UNAVAILABLE
           && ngx_mcp_str_is(&task->answer.exc_type, "SessionStopped");
}


ngx_mcp_event_t *
ngx_mcp_outcome_error(ngx_mcp_task_t *task)
{
    u_char              data[NGX_MCP_OUTCOME_MAX_DATA_LEN];
    ngx_mcp_outcome_t  *outcome;

    outcome = &ngx_mcp_outcomes[task->outcome];

    ngx_mcp_outcome_data(task, outcome->data, data);

    return ngx_mcp_reply_error(task->sink, &task->message.id, outcome->code,
                               outcome->message, (char *) data);
}


/*
 * Writes the data of an error, with a NUL; an empty string: it has none.
 */

static void
ngx_mcp_outcome_data(ngx_mcp_task_t *task, ngx_uint_t members, u_char *data)
{
    u_char      *p;
    const char  *executed;

    p = data;

    /* it is the first: codec/ngx_mcp_modern_error.h */

    if (task->sink->modern
        && ngx_mcp_outcomes[task->outcome].code == NGX_MCP_ERR_INTERNAL)
    {
        p = ngx_sprintf(p, ",\"reason\":\"backend\"");
    }

    if (members & NGX_MCP_OUTCOME_TIME) {
        p = ngx_sprintf(p, ",\"timeout_ms\":%M",
                        (task->outcome == NGX_MCP_OUTCOME_TIMED_OUT)
                            ? task->call->timeout
                            : ngx_current_msec - task->call->started);
    }

    if (members & NGX_MCP_OUTCOME_STATUS) {
        p = ngx_mcp_outcome_status(task, p);
    }

    executed = (members & NGX_MCP_OUTCOME_EXECUTED)
               ? ngx_mcp_outcome_executed(task) : NULL;

    if (executed) {
        p = ngx_sprintf(p, ",\"executed\":\"%s\"", executed);
    }

    if (p > data) {
        data[0] = '{';
        *p++ = '}';
    }

    *p = '\0';
}


/*
 * The status and the name of the exception: tracebacks and messages of Frappe
 * are not for clients.  A 502 or 503 of nginx itself says nothing of Frappe.
 */

static u_char *
ngx_mcp_outcome_status(ngx_mcp_task_t *task, u_char *p)
{
    ngx_mcp_call_t  *call;

    call = task->call;

    if (!call->answered && task->outcome == NGX_MCP_OUTCOME_UNAVAILABLE) {
        return p;
    }

    p = ngx_sprintf(p, ",\"status\":%ui", call->status);

    if (task->answer.exc_type.len) {
        p = ngx_sprintf(p, ",\"exc_type\":\"%V\"", &task->answer.exc_type);
    }

    if (call->retry_after >= 0) {
        p = ngx_sprintf(p, ",\"retry_after\":%T", call->retry_after);
    }

    return p;
}


/*
 * Returns whether the message was executed, as far as it is known; NULL where
 * the status or the exception of Frappe says more.
 */

static const char *
ngx_mcp_outcome_executed(ngx_mcp_task_t *task)
{
    ngx_mcp_call_t  *call;

    call = task->call;

    if (call->unsent || ngx_mcp_outcome_maintenance(task)) {
        return "no";
    }

    if (call->end == NGX_MCP_CALL_DONE
        && call->answered
        && (task->answer.exc_type.len
            || (call->status >= NGX_HTTP_SPECIAL_RESPONSE
                && call->status < NGX_HTTP_INTERNAL_SERVER_ERROR)))
    {
        return NULL;
    }

    return "unknown";
}


ngx_uint_t
ngx_mcp_outcome_unknown(ngx_uint_t status)
{
    switch (status) {

    case NGX_HTTP_UNAUTHORIZED:
    case NGX_HTTP_FORBIDDEN:
    case NGX_HTTP_REQUEST_TIME_OUT:
    case NGX_HTTP_TOO_MANY_REQUESTS:
        return 0;

    default:
        return status >= NGX_HTTP_BAD_REQUEST
               && status < NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
}

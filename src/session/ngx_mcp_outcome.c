
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * What became of a call: classifies its end, its status and its answer, once,
 * for the log, the metrics and the client.
 */

#include "ngx_mcp_outcome.h"
#include "ngx_mcp_reply.h"


#define NGX_MCP_OUTCOME_MAX_EXC_TYPE_LEN  64      /* bytes */

/* the larger one of the two kinds of data, with its NUL */

#define NGX_MCP_OUTCOME_MAX_DATA_LEN                                          \
    (sizeof("{\"status\":,\"exc_type\":\"\"}") + NGX_INT64_LEN                \
     + NGX_MCP_OUTCOME_MAX_EXC_TYPE_LEN)


typedef struct {
    ngx_uint_t    result;      /* ngx_mcp_result_e */
    ngx_int_t     code;        /* of the JSON-RPC error; 0: none */
    const char   *message;

    /* writes the error's data, with a NUL; NULL: it has none */

    void        (*data)(ngx_mcp_task_t *task, u_char *p);
} ngx_mcp_outcome_t;


static ngx_uint_t ngx_mcp_outcome_of_call(ngx_mcp_task_t *task);
static ngx_uint_t ngx_mcp_outcome_of_answer(ngx_mcp_task_t *task, off_t size);
static void ngx_mcp_outcome_time(ngx_mcp_task_t *task, u_char *p);
static void ngx_mcp_outcome_status(ngx_mcp_task_t *task, u_char *p);


/* by ngx_mcp_outcome_e */

static ngx_mcp_outcome_t  ngx_mcp_outcomes[] = {

    { NGX_MCP_RESULT_BACKEND, NGX_MCP_ERR_INTERNAL,
      "Backend error", ngx_mcp_outcome_status },

    { NGX_MCP_RESULT_OK, 0, NULL, NULL },
    { NGX_MCP_RESULT_ERROR, 0, NULL, NULL },
    { NGX_MCP_RESULT_OK, 0, NULL, NULL },
    { NGX_MCP_RESULT_OK, 0, NULL, NULL },

    { NGX_MCP_RESULT_BACKEND, NGX_MCP_ERR_INTERNAL,
      "Empty answer from backend", NULL },

    { NGX_MCP_RESULT_BACKEND, NGX_MCP_ERR_INTERNAL,
      "Backend answered another request", NULL },

    { NGX_MCP_RESULT_REFUSED, NGX_MCP_ERR_UNAUTHORIZED,
      "Not permitted", NULL },

    { NGX_MCP_RESULT_BACKEND, NGX_MCP_ERR_UNAVAILABLE,
      "Backend unavailable", NULL },

    { NGX_MCP_RESULT_TIMEOUT, NGX_MCP_ERR_TIMED_OUT,
      "Request timed out", ngx_mcp_outcome_time },

    { NGX_MCP_RESULT_TIMEOUT, NGX_MCP_ERR_TIMED_OUT,
      "Request timed out", ngx_mcp_outcome_time },

    { NGX_MCP_RESULT_TOO_LARGE, NGX_MCP_ERR_TOO_LARGE,
      "Answer too large", NULL },

    { NGX_MCP_RESULT_CANCELLED, NGX_MCP_ERR_CLOSED,
      "Stream closed before the answer", NULL },

    { NGX_MCP_RESULT_BACKEND, NGX_MCP_ERR_INTERNAL,
      "Backend error", ngx_mcp_outcome_status }
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

        if (ngx_mcp_jsonrpc_answer_scan(call->pool, &body, &task->answer)
            != NGX_OK)
        {
            ngx_memzero(&task->answer, sizeof(ngx_mcp_jsonrpc_answer_t));
        }
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
        return ngx_mcp_outcome_of_answer(task, size);

    case NGX_HTTP_ACCEPTED:
    case NGX_HTTP_NO_CONTENT:
        return task->silent ? NGX_MCP_OUTCOME_ACCEPTED : NGX_MCP_OUTCOME_EMPTY;

    case NGX_HTTP_UNAUTHORIZED:
    case NGX_HTTP_FORBIDDEN:
        return NGX_MCP_OUTCOME_REFUSED;

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

        return (answer->error || answer->tool_error)
               ? NGX_MCP_OUTCOME_ERROR : NGX_MCP_OUTCOME_RESPONSE;
    }

    if (task->call->status == NGX_HTTP_OK) {

        if (answer->value.data) {
            return NGX_MCP_OUTCOME_VALUE;
        }

        if (size == 0) {
            return task->silent ? NGX_MCP_OUTCOME_ACCEPTED
                                : NGX_MCP_OUTCOME_EMPTY;
        }
    }

    return NGX_MCP_OUTCOME_BACKEND_ERROR;
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

    case NGX_MCP_OUTCOME_UNAVAILABLE:
    case NGX_MCP_OUTCOME_GATEWAY_TIMEOUT:
    case NGX_MCP_OUTCOME_BACKEND_ERROR:
        ngx_mcp_call_log_error(call, "call");
    }
}


ngx_mcp_event_t *
ngx_mcp_outcome_error(ngx_mcp_task_t *task)
{
    u_char              data[NGX_MCP_OUTCOME_MAX_DATA_LEN];
    ngx_mcp_outcome_t  *outcome;

    outcome = &ngx_mcp_outcomes[task->outcome];

    data[0] = '\0';

    if (outcome->data) {
        outcome->data(task, data);
    }

    return ngx_mcp_reply_error(&task->message.id, outcome->code,
                               outcome->message, (char *) data);
}


static void
ngx_mcp_outcome_time(ngx_mcp_task_t *task, u_char *p)
{
    ngx_sprintf(p, "{\"timeout_ms\":%M}%Z",
                (task->outcome == NGX_MCP_OUTCOME_TIMED_OUT)
                    ? task->call->timeout
                    : ngx_current_msec - task->call->started);
}


/*
 * The status and the name of the exception: tracebacks and messages of Frappe
 * are not for clients.
 */

static void
ngx_mcp_outcome_status(ngx_mcp_task_t *task, u_char *p)
{
    u_char      ch;
    ngx_str_t  *exc_type;
    ngx_uint_t  i;

    exc_type = &task->answer.exc_type;

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

    p = ngx_sprintf(p, "{\"status\":%ui", task->call->status);

    if (exc_type->len) {
        p = ngx_sprintf(p, ",\"exc_type\":\"%V\"", exc_type);
    }

    ngx_sprintf(p, "}%Z");
}

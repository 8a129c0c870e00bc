
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * What became of a call of the backend.
 */

#ifndef _NGX_MCP_OUTCOME_H_INCLUDED_
#define _NGX_MCP_OUTCOME_H_INCLUDED_


#include "ngx_mcp_task.h"


typedef enum {
    NGX_MCP_OUTCOME_FAILED = 0,        /* the connection, or no memory */
    NGX_MCP_OUTCOME_RESPONSE,          /* forwarded */
    NGX_MCP_OUTCOME_ERROR,             /* forwarded, an error of a tool too */
    NGX_MCP_OUTCOME_VALUE,             /* becomes the result */
    NGX_MCP_OUTCOME_ACCEPTED,          /* a notification, no body */
    NGX_MCP_OUTCOME_EMPTY,             /* a request, no body */
    NGX_MCP_OUTCOME_WRONG_ID,
    NGX_MCP_OUTCOME_REFUSED,           /* 401, 403 */
    NGX_MCP_OUTCOME_RATE_LIMITED,      /* 429 */
    NGX_MCP_OUTCOME_UNAVAILABLE,       /* 502, 503 */
    NGX_MCP_OUTCOME_GATEWAY_TIMEOUT,   /* 504 */
    NGX_MCP_OUTCOME_TIMED_OUT,         /* mcp_sse_call_timeout */
    NGX_MCP_OUTCOME_TOO_LARGE,         /* mcp_sse_max_answer */
    NGX_MCP_OUTCOME_CANCELLED,
    NGX_MCP_OUTCOME_BACKEND_ERROR      /* another status, an unusable body */
} ngx_mcp_outcome_e;


/*
 * The classify handler of calls whose data is a task: parses the answer and
 * sets task->answer, task->outcome and the call's $mcp_sse_result.
 */

void ngx_mcp_outcome_classify(ngx_mcp_call_t *call);

/*
 * Returns whether a backend that answers with this status does not know what
 * it was asked: a 4xx that says nothing of the user or of its load.
 */

ngx_uint_t ngx_mcp_outcome_unknown(ngx_uint_t status);

/*
 * Notes for /health whether Frappe has given a usable answer; a call that was
 * cancelled says nothing.
 */

void ngx_mcp_outcome_note(ngx_mcp_task_t *task);

/*
 * Logs the end of a classified call if the operator can do something about
 * it.  Nothing of the body is logged.
 */

void ngx_mcp_outcome_log(ngx_mcp_task_t *task);

/*
 * Makes the JSON-RPC error for a classified call that has no usable answer.
 * Returns an event that the caller owns, or NULL if memory is short.
 */

ngx_mcp_event_t *ngx_mcp_outcome_error(ngx_mcp_task_t *task);


#endif /* _NGX_MCP_OUTCOME_H_INCLUDED_ */

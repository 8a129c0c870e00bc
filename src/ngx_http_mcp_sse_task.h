
/*
 * A message of a session that is to be, or is being, run by the backend.
 */

#ifndef _NGX_HTTP_MCP_SSE_TASK_H_INCLUDED_
#define _NGX_HTTP_MCP_SSE_TASK_H_INCLUDED_


#include "ngx_http_mcp_sse_call.h"
#include "ngx_http_mcp_sse_stream.h"


typedef struct {
    ngx_queue_t                   queue;       /* s->waiting or s->running */
    ngx_http_mcp_sse_session_t   *session;
    ngx_http_mcp_sse_envelope_t  *envelope;    /* a reference */
    ngx_http_mcp_sse_message_t    message;     /* points into it */

    ngx_http_mcp_sse_call_t      *call;        /* while it runs */
    ngx_http_mcp_sse_answer_t     answer;      /* of it */

    ngx_http_mcp_sse_timer_t      progress;
    ngx_uint_t                    seconds;     /* last progress told */
    ngx_msec_t                    accepted;

    unsigned                      silent:1;    /* no answer is wanted */
    unsigned                      cancelled:1;
} ngx_http_mcp_sse_task_t;


/*
 * "ended" runs after a task of the session has ended by itself; it may start
 * others.
 */

void ngx_http_mcp_sse_task_init(
    void (*ended)(ngx_http_mcp_sse_session_t *s));

/*
 * Makes a task of a message of env, at the end of the session's waiting
 * list.  Takes a reference of its own.  NULL if memory is short.
 */

ngx_http_mcp_sse_task_t *ngx_http_mcp_sse_task_create(
    ngx_http_mcp_sse_session_t *s, ngx_http_mcp_sse_envelope_t *env,
    ngx_http_mcp_sse_message_t *message);

/*
 * Starts the call of a waiting task.  If that fails the client is answered
 * and the task is freed.
 */

void ngx_http_mcp_sse_task_start(ngx_http_mcp_sse_task_t *task);

/*
 * Ends a task for which nothing is to be sent: a waiting one is freed, the
 * connection of a running one is closed and it ends soon.
 */

void ngx_http_mcp_sse_task_cancel(ngx_http_mcp_sse_task_t *task);


#endif /* _NGX_HTTP_MCP_SSE_TASK_H_INCLUDED_ */

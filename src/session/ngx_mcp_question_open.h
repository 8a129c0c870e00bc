
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Open questions, for session/ngx_mcp_question.c.
 */

#ifndef _NGX_MCP_QUESTION_OPEN_H_INCLUDED_
#define _NGX_MCP_QUESTION_OPEN_H_INCLUDED_


#include "ngx_mcp_question.h"
#include "ngx_mcp_question_answer.h"


struct ngx_mcp_question_s {
    ngx_queue_t           queue;          /* of all in this worker */
    ngx_mcp_question_t   *next;           /* of the task */
    ngx_mcp_task_t       *task;           /* NULL: it is over */
    ngx_mcp_timer_t       timer;
    ngx_uint_t            commands;       /* that wait for a reply */
    ngx_str_t             k;              /* these are in the same block */
    ngx_str_t             id;             /* without quotes */
    ngx_str_t             request;        /* to the client */
    ngx_str_t             call;
    unsigned              sent:1;         /* the client was asked */
    unsigned              gone:1;         /* it has no key any more */
};


/*
 * The list of all questions of this worker, by their member "queue"; "task" of
 * those that are over is NULL.
 */

ngx_queue_t *ngx_mcp_question_list(void);

/*
 * A new question, whose other members are set, becomes one of the task.
 */

void ngx_mcp_question_open(ngx_mcp_question_t *q, ngx_mcp_task_t *task);

/*
 * The question is over: the asker gets an error, and the client, if it was
 * asked, a cancellation.
 */

void ngx_mcp_question_tell(ngx_mcp_question_t *q, ngx_int_t code,
    const char *why, ngx_uint_t counter);

/*
 * The question is over: it leaves its task, and is freed by the reply to its
 * last command at the latest.  Counted as "counter", or not if that is
 * NGX_MCP_COUNTS.
 */

void ngx_mcp_question_over(ngx_mcp_question_t *q, ngx_uint_t counter);

/*
 * A command of a question that is over has its reply: frees it after the last
 * one.
 */

void ngx_mcp_question_free(ngx_mcp_question_t *q);


#endif /* _NGX_MCP_QUESTION_OPEN_H_INCLUDED_ */


/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Questions of a call to its client: elicitation/create,
 * sampling/createMessage, roots/list (MCP 2025-11-25).
 *
 *     mcp:ask:<K>      C, the id of the call, while the question is open
 *     mcp:reply:<K>    a list: "asked", then the client's result or error
 */

#ifndef _NGX_MCP_QUESTION_H_INCLUDED_
#define _NGX_MCP_QUESTION_H_INCLUDED_


#include "ngx_mcp_push.h"


/*
 * A call asks its client.  If that cannot be asked, the asker is told at once.
 */

void ngx_mcp_question_ask(ngx_mcp_task_t *task, ngx_mcp_pushed_t *pushed);

/*
 * A question of a call that this worker does not run, or not any more: the
 * asker is told.
 */

void ngx_mcp_question_ended(ngx_mcp_pushed_t *pushed);

/*
 * The call of the task ends, is cancelled, or has lost its client: its open
 * questions are cancelled at the client, if the sink is open, and the askers
 * are told why.  Must run before the answer to the call is sent.  "why" is a
 * whole sentence in plain ASCII without quotes, such as "The call has ended".
 */

void ngx_mcp_question_end(ngx_mcp_task_t *task, const char *why);

/*
 * The same for all tasks that answer to the sink, or run for the session.
 */

void ngx_mcp_question_end_sink(ngx_mcp_sink_t *sink, const char *why);
void ngx_mcp_question_end_session(ngx_mcp_session_t *s, const char *why);

/*
 * The tasks of a session have come to this one: its client is asked again,
 * since its stream was lost.
 */

void ngx_mcp_question_again(ngx_mcp_session_t *s);

/* handlers of ngx_mcp_events_user_t: see there */

void ngx_mcp_question_up(void);
void ngx_mcp_question_answered(ngx_str_t *bytes);
void ngx_mcp_question_second(void);


#endif /* _NGX_MCP_QUESTION_H_INCLUDED_ */


/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Asks Redis which worker has a session.
 */

#ifndef _NGX_MCP_REMOTE_ASK_H_INCLUDED_
#define _NGX_MCP_REMOTE_ASK_H_INCLUDED_


#include "ngx_mcp_redis.h"


/*
 * The answer: PENDING, and the worker that has the session; NO_SESSION; or
 * RETRY, if Redis could not tell.
 */

typedef void (*ngx_mcp_remote_ask_pt)(void *data, ngx_mcp_delivery_e rc,
    u_char *owner);


/* one that waits for an answer; embedded in its owner */

typedef struct {
    ngx_queue_t             queue;       /* in question->askers */
    ngx_uint_t              question;    /* its number; 0: does not wait */
    ngx_mcp_remote_ask_pt   handler;
    void                   *data;
} ngx_mcp_remote_asker_t;


/*
 * Asks for the session with that key, or joins the question with the number
 * "join", if that is not 0 and not answered.  Sets asker->question.  The
 * handlers of a question run in the order in which it was joined, never before
 * this returns.  Returns NGX_OK; or NGX_ERROR, and the handler does not run.
 */

ngx_int_t ngx_mcp_remote_ask(ngx_mcp_remote_asker_t *asker, u_char *key,
    ngx_uint_t join);

/*
 * Its handler does not run any more.
 */

void ngx_mcp_remote_ask_leave(ngx_mcp_remote_asker_t *asker);


#endif /* _NGX_MCP_REMOTE_ASK_H_INCLUDED_ */

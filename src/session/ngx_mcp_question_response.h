
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Responses of clients to questions.
 */

#ifndef _NGX_MCP_QUESTION_RESPONSE_H_INCLUDED_
#define _NGX_MCP_QUESTION_RESPONSE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * Handles the responses among the messages of a POST, in whichever worker of
 * whichever instance has got it: who has asked gets result or error.  "key" is
 * that of its session, to whose user the POST belongs; "timeout" is
 * mcp_sse_ask_timeout.  Other messages are left alone; line breaks in results
 * and errors become blanks.
 */

void ngx_mcp_question_responses(ngx_pool_t *pool, u_char *key,
    ngx_array_t *messages, ngx_msec_t timeout);


#endif /* _NGX_MCP_QUESTION_RESPONSE_H_INCLUDED_ */

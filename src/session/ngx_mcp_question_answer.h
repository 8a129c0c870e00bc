
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * The last element of mcp:reply:<K>, for the one who has asked.
 *
 * Each question gets one: a script in Redis looks whether mcp:ask:<K> is there
 * and deletes it.  While that Redis is away, answers wait in this worker.
 */

#ifndef _NGX_MCP_QUESTION_ANSWER_H_INCLUDED_
#define _NGX_MCP_QUESTION_ANSWER_H_INCLUDED_


#include "ngx_mcp_events.h"
#include "ngx_mcp_question_id.h"


#define NGX_MCP_QUESTION_CALL_LEN  42      /* the most of the id of a call */


typedef enum {

    /* of a client, to whichever call has asked; its worker is told */

    NGX_MCP_QUESTION_RESPONSE = 0,

    /* of the worker that has asked, for its call only */

    NGX_MCP_QUESTION_END,

    /* the client was not asked: there is no mcp:ask:<K> */

    NGX_MCP_QUESTION_REFUSAL
} ngx_mcp_question_answer_e;


/*
 * Answers the question "k" by {"<member>":<value>}, of which "value" is raw
 * JSON on one line; "call" is that of NGX_MCP_QUESTION_END, or NULL.  All
 * strings are copied.  "timeout" is mcp_sse_ask_timeout: for so long the answer
 * waits for Redis, and the list lives a minute longer.  (So does mcp:ask:<K>.)
 */

void ngx_mcp_question_answer(ngx_uint_t kind, ngx_str_t *k, ngx_str_t *call,
    const char *member, ngx_str_t *value, ngx_msec_t timeout);

/*
 * The same with an error, {"error":{"code":C,"message":"M"}}.
 */

void ngx_mcp_question_answer_error(ngx_uint_t kind, ngx_str_t *k,
    ngx_str_t *call, ngx_int_t code, const char *message, ngx_msec_t timeout);

/*
 * Writes the name of a key of Redis, "mcp:ask:" or "mcp:reply:" and K, to a
 * buffer of NGX_MCP_QUESTION_MAX_NAME bytes; how many seconds keys live, to
 * one of NGX_INT64_LEN bytes.
 */

#define NGX_MCP_QUESTION_MAX_NAME                                             \
    (sizeof("mcp:reply:") - 1 + NGX_MCP_QUESTION_ID_MAX_KEY)

void ngx_mcp_question_name(ngx_str_t *name, u_char *buf, const char *prefix,
    ngx_str_t *k);
void ngx_mcp_question_expiry(ngx_str_t *seconds, u_char *buf,
    ngx_msec_t timeout);

/*
 * Sends those that wait again: that Redis is up, or a second has passed.
 */

void ngx_mcp_question_answer_up(void);


#endif /* _NGX_MCP_QUESTION_ANSWER_H_INCLUDED_ */

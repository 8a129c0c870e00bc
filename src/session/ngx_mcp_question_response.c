
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Responses of clients to questions.
 *
 * The id of a question says which one it is, and that this session was asked
 * (crypto/ngx_mcp_question_id.c): the worker that gets a response needs nothing
 * of the one that has asked.
 */

#include "ngx_mcp_question_response.h"
#include "ngx_mcp_question_answer.h"
#include "ngx_mcp_json_text.h"
#include "ngx_mcp_jsonrpc.h"


static void ngx_mcp_question_response(ngx_pool_t *pool, u_char *key,
    ngx_mcp_jsonrpc_message_t *message, ngx_msec_t timeout);
static ngx_int_t ngx_mcp_question_response_key(ngx_pool_t *pool, u_char *key,
    ngx_str_t *id, ngx_str_t *k);


void
ngx_mcp_question_responses(ngx_pool_t *pool, u_char *key,
    ngx_array_t *messages, ngx_msec_t timeout)
{
    ngx_uint_t                  i;
    ngx_mcp_jsonrpc_message_t  *message;

    if (!ngx_mcp_events_used()) {
        return;
    }

    message = messages->elts;

    for (i = 0; i < messages->nelts; i++) {

        if (message[i].type == NGX_MCP_JSONRPC_RESPONSE) {
            ngx_mcp_question_response(pool, key, &message[i], timeout);
        }
    }
}


static void
ngx_mcp_question_response(ngx_pool_t *pool, u_char *key,
    ngx_mcp_jsonrpc_message_t *message, ngx_msec_t timeout)
{
    ngx_str_t    k, *value;
    const char  *member;

    if (ngx_mcp_question_response_key(pool, key, &message->id, &k) != NGX_OK) {
        ngx_log_error(NGX_LOG_INFO, ngx_cycle->log, 0,
                      "mcp sse: a client's response is for no question to its "
                      "session, it is dropped");
        return;
    }

    if (message->result.data) {
        member = "result";
        value = &message->result;

    } else {
        member = "error";
        value = &message->error;
    }

    ngx_mcp_jsonrpc_one_line(value);

    ngx_mcp_question_answer(NGX_MCP_QUESTION_RESPONSE, &k, NULL, member, value,
                            timeout);
}


static ngx_int_t
ngx_mcp_question_response_key(ngx_pool_t *pool, u_char *key, ngx_str_t *id,
    ngx_str_t *k)
{
    ngx_str_t  text;

    if (id->data[0] != '"') {
        return NGX_DECLINED;
    }

    if (ngx_mcp_json_text_decode(pool, id, &text) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_mcp_question_id_verify(&text, ngx_mcp_zone()->secrets, key, k);
}

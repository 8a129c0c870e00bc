
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * The answer of Frappe to a look-up: a user only if the strict parser finds
 * one, who fits into one line and is not Guest; a refusal only if Frappe
 * refuses; everything else is no answer.
 *
 * Input: a body; from its end flags, status and Retry-After.
 */

#include "fuzz.h"
#include "strict_json.h"
#include "ngx_mcp_auth_answer.h"


#define AUTH_ANSWER_MAX_DEPTH  512     /* containers in each other */


static fuzz_input_t  auth_answer_in;


static ngx_mcp_call_t *auth_answer_call(void);
static void auth_answer_check(ngx_mcp_call_t *call,
    ngx_mcp_auth_result_t *result, ngx_str_t *body);
static ngx_uint_t auth_answer_user(ngx_str_t *body, ngx_str_t *user);
static ngx_uint_t auth_answer_line(ngx_str_t *user);


static const ngx_uint_t  auth_answer_statuses[] = {
    200, 200, 200, 200, 204, 301, 400, 401, 403, 404, 408, 413, 417, 429, 431,
    500, 502, 503, 504
};


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ngx_str_t               body;
    ngx_mcp_call_t         *call;
    ngx_mcp_auth_result_t   result;

    fuzz_begin(&auth_answer_in, data, size);

    call = auth_answer_call();
    body = fuzz_rest(&auth_answer_in);

    call->answer = ngx_mcp_event_alloc(body.len, auth_answer_in.log);
    fuzz_check(call->answer != NULL, "there is memory");

    call->answer->last = ngx_cpymem(call->answer->pos, body.data, body.len);

    ngx_mcp_auth_answer(call, &result);
    auth_answer_check(call, &result, &body);

    ngx_free(call->answer);
    fuzz_end(&auth_answer_in);

    return 0;
}


static ngx_mcp_call_t *
auth_answer_call(void)
{
    ngx_uint_t       flags, n;
    ngx_mcp_call_t  *call;

    call = fuzz_alloc(&auth_answer_in, sizeof(ngx_mcp_call_t));
    ngx_memzero(call, sizeof(ngx_mcp_call_t));

    flags = fuzz_number(&auth_answer_in, 255);
    n = sizeof(auth_answer_statuses) / sizeof(ngx_uint_t);

    call->pool = auth_answer_in.pool;
    call->log = *auth_answer_in.log;
    call->end = (flags & 7) ? NGX_MCP_CALL_DONE
                            : NGX_MCP_CALL_DONE + (flags >> 3) % 5;
    call->cached = (flags == 255);
    call->status = auth_answer_statuses[fuzz_number(&auth_answer_in, n - 1)];
    call->retry_after = (time_t) fuzz_number(&auth_answer_in, 0xffffffff) - 1;

    ngx_str_set(&call->uri, "/user");
    ngx_str_set(&call->challenge, "Basic");
    ngx_str_set(&call->ctx.vars.site, "site.example");

    return call;
}


static void
auth_answer_check(ngx_mcp_call_t *call, ngx_mcp_auth_result_t *result,
    ngx_str_t *body)
{
    ngx_str_t   user;
    ngx_uint_t  known, refused;

    known = 0;
    refused = 0;

    if (call->end == NGX_MCP_CALL_DONE && !call->cached) {
        known = call->status == 200 && auth_answer_user(body, &user);
        refused = call->status == 401 || call->status == 403
                  || call->status == 413 || call->status == 431
                  || (known && !auth_answer_line(&user));
    }

    if (refused) {
        fuzz_check(result->status == 401, "a refusal is 401");

    } else if (known) {
        fuzz_check(result->status == 0
                   && fuzz_same(&result->principal, &user),
                   "the user is the one whom Frappe names");

    } else {
        fuzz_check(result->status >= 502 && result->status <= 504
                   && result->principal.len == 0,
                   "anything else tells nothing of the credential");
        fuzz_check(!result->final
                   || (call->status >= 400 && call->status < 500),
                   "only a request that is not understood is final");
    }

    fuzz_check(result->status
               || (result->principal.len
                   && auth_answer_line(&result->principal)),
               "a user fits into one line");
    fuzz_check(result->retry_after <= 31536000
               && (result->retry_after == 0 || result->status == 503),
               "a client waits a year at most");
}


static ngx_uint_t
auth_answer_user(ngx_str_t *body, ngx_str_t *user)
{
    size_t          i, count, bom;
    strict_json_t   j;
    strict_value_t *v;

    bom = (body->len >= 3 && ngx_memcmp(body->data, "\xef\xbb\xbf", 3) == 0)
          ? 3 : 0;

    i = STRICT_NONE;
    count = 0;
    user->len = 0;

    if (strict_json_parse(&j, body->data + bom, body->len - bom)
        && j.deepest <= AUTH_ANSWER_MAX_DEPTH
        && j.values[0].type == STRICT_OBJECT)
    {
        i = strict_json_member(&j, 0, "message", &count);
    }

    if (count == 1 && j.values[i].type == STRICT_STRING) {
        v = &j.values[i];
        user->data = fuzz_alloc(&auth_answer_in, v->end - v->start);
        user->len = strict_json_decode(j.text + v->start + 1,
                                       j.text + v->end - 1, user->data);
    }

    strict_json_free(&j);

    return user->len != 0;
}


static ngx_uint_t
auth_answer_line(ngx_str_t *user)
{
    size_t  i;

    for (i = 0; i < user->len; i++) {

        if (iscntrl(user->data[i]) && isascii(user->data[i])) {
            return 0;
        }
    }

    return user->len != 5 || ngx_memcmp(user->data, "Guest", 5) != 0;
}


/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * What Frappe has answered to a look-up: a user, a refusal, or nothing that
 * tells (docs/PROTOCOL.md 2.6, 2.12, 2.16 to 2.18).
 *
 * Only a refusal tells something of the credential.  Whatever else is not a
 * user means that Frappe is unavailable, and has its line in the log: look-ups
 * are repeated each second, so that a worker logs the same failure of a site
 * once, until a look-up succeeds or a minute has passed.
 */

#include "ngx_mcp_auth_answer.h"
#include "ngx_mcp_call_log.h"
#include "ngx_mcp_json_text.h"
#include "ngx_mcp_response.h"


#define NGX_MCP_AUTH_ANSWER_LOG_SEC        60        /* of the same failure */
#define NGX_MCP_AUTH_ANSWER_MAX_RETRY_SEC  31536000  /* of Retry-After */


/* the last failure that this worker has logged */

typedef struct {
    uint32_t    where;         /* hash of URI and site; 0: none */
    ngx_uint_t  end;
    ngx_uint_t  status;
    ngx_uint_t  cached;
    time_t      at;
} ngx_mcp_auth_answer_failure_t;


static ngx_uint_t ngx_mcp_auth_answer_refused(ngx_mcp_call_t *call);
static ngx_uint_t ngx_mcp_auth_answer_user(ngx_mcp_call_t *call,
    ngx_mcp_auth_result_t *result);
static void ngx_mcp_auth_answer_unavailable(ngx_mcp_call_t *call,
    ngx_mcp_auth_result_t *result);
static ngx_uint_t ngx_mcp_auth_answer_logged(ngx_mcp_call_t *call);
static void ngx_mcp_auth_answer_log(ngx_mcp_call_t *call);
static uint32_t ngx_mcp_auth_answer_where(ngx_mcp_call_t *call);


static ngx_mcp_auth_answer_failure_t  ngx_mcp_auth_answer_last;


void
ngx_mcp_auth_answer(ngx_mcp_call_t *call, ngx_mcp_auth_result_t *result)
{
    ngx_memzero(result, sizeof(ngx_mcp_auth_result_t));

    if (call->cached || call->end != NGX_MCP_CALL_DONE) {
        ngx_mcp_auth_answer_unavailable(call, result);
        return;
    }

    if (ngx_mcp_auth_answer_refused(call)) {
        result->status = NGX_HTTP_UNAUTHORIZED;
        result->challenge = call->challenge;

    } else if (!ngx_mcp_auth_answer_user(call, result)) {
        ngx_mcp_auth_answer_unavailable(call, result);
        return;
    }

    if (ngx_mcp_auth_answer_last.where == ngx_mcp_auth_answer_where(call)) {
        ngx_mcp_auth_answer_last.where = 0;
    }
}


/*
 * A header that is too large for Frappe is a fault of the credential: all
 * others of a look-up are short.
 */

static ngx_uint_t
ngx_mcp_auth_answer_refused(ngx_mcp_call_t *call)
{
    switch (call->status) {

    case NGX_HTTP_UNAUTHORIZED:
    case NGX_HTTP_FORBIDDEN:
        return 1;

    case NGX_HTTP_REQUEST_ENTITY_TOO_LARGE:
    case NGX_MCP_HTTP_FIELDS_TOO_LARGE:
        ngx_log_error(NGX_LOG_INFO, &call->log, 0,
                      "mcp sse: user look-up at \"%V\" answered %ui, the "
                      "credential is too long for Frappe",
                      &call->uri, call->status);
        return 1;

    default:
        return 0;
    }
}


/*
 * Returns whether the answer names a user.  Guest is not authenticated.
 */

static ngx_uint_t
ngx_mcp_auth_answer_user(ngx_mcp_call_t *call, ngx_mcp_auth_result_t *result)
{
    ngx_str_t  body;

    if (call->status != NGX_HTTP_OK || call->answer == NULL) {
        return 0;
    }

    body.data = call->answer->pos;
    body.len = call->answer->last - call->answer->pos;

    if (ngx_mcp_jsonrpc_string(call->pool, &body, "message",
                               &result->principal)
        != NGX_OK)
    {
        return 0;
    }

    if (!ngx_mcp_json_text_one_line(&result->principal)
        || ngx_mcp_str_is(&result->principal, "Guest"))
    {
        result->status = NGX_HTTP_UNAUTHORIZED;
    }

    return 1;
}


static void
ngx_mcp_auth_answer_unavailable(ngx_mcp_call_t *call,
    ngx_mcp_auth_result_t *result)
{
    ngx_memzero(result, sizeof(ngx_mcp_auth_result_t));

    if (call->end == NGX_MCP_CALL_CANCELLED) {
        result->status = NGX_HTTP_SERVICE_UNAVAILABLE;
        return;
    }

    if (!ngx_mcp_auth_answer_logged(call)) {
        ngx_mcp_auth_answer_log(call);
    }

    result->status = NGX_HTTP_BAD_GATEWAY;

    if (call->end == NGX_MCP_CALL_TIMED_OUT) {
        result->status = NGX_HTTP_GATEWAY_TIME_OUT;
        return;
    }

    if (call->cached || call->end != NGX_MCP_CALL_DONE) {
        return;
    }

    switch (call->status) {

    case NGX_HTTP_SERVICE_UNAVAILABLE:
    case NGX_HTTP_TOO_MANY_REQUESTS:
        result->status = NGX_HTTP_SERVICE_UNAVAILABLE;
        result->retry_after = ngx_max(call->retry_after, 0);
        result->retry_after = ngx_min(result->retry_after,
                                      NGX_MCP_AUTH_ANSWER_MAX_RETRY_SEC);
        return;

    case NGX_HTTP_GATEWAY_TIME_OUT:
        result->status = NGX_HTTP_GATEWAY_TIME_OUT;
        return;

    case NGX_HTTP_REQUEST_TIME_OUT:
        return;

    default:

        /* Frappe, or nginx, does not understand the request itself */

        result->final = (call->status >= NGX_HTTP_BAD_REQUEST
                         && call->status < NGX_HTTP_INTERNAL_SERVER_ERROR);
    }
}


/*
 * Returns whether the same failure was logged a moment ago, and notes it.
 */

static ngx_uint_t
ngx_mcp_auth_answer_logged(ngx_mcp_call_t *call)
{
    uint32_t                        where;
    ngx_mcp_auth_answer_failure_t  *last;

    last = &ngx_mcp_auth_answer_last;
    where = ngx_mcp_auth_answer_where(call);

    if (last->where == where
        && last->end == call->end
        && last->status == call->status
        && last->cached == call->cached
        && ngx_time() - last->at < NGX_MCP_AUTH_ANSWER_LOG_SEC)
    {
        return 1;
    }

    last->where = where;
    last->end = call->end;
    last->status = call->status;
    last->cached = call->cached;
    last->at = ngx_time();

    return 0;
}


static void
ngx_mcp_auth_answer_log(ngx_mcp_call_t *call)
{
    if (call->end != NGX_MCP_CALL_DONE) {
        ngx_log_error(NGX_LOG_ERR, &call->log, 0,
                      "mcp sse: user look-up at \"%V\" %s", &call->uri,
                      call->end == NGX_MCP_CALL_TIMED_OUT
                          ? "timed out" : "failed");
        return;
    }

    if (call->cached) {
        ngx_log_error(NGX_LOG_ERR, &call->log, 0,
                      "mcp sse: user look-up at \"%V\" was answered from a "
                      "cache, which does not tell whether the credential is "
                      "good: remove \"proxy_cache\" from its location, and "
                      "caches between it and Frappe", &call->uri);
        return;
    }

    if (call->status == NGX_HTTP_OK && call->answer) {
        ngx_log_error(NGX_LOG_ERR, &call->log, 0,
                      "mcp sse: user look-up at \"%V\" answered without a "
                      "user, check that it leads to get_logged_user",
                      &call->uri);
        return;
    }

    ngx_mcp_call_log_error(call, "user look-up");
}


static uint32_t
ngx_mcp_auth_answer_where(ngx_mcp_call_t *call)
{
    uint32_t  hash;

    ngx_crc32_init(hash);
    ngx_crc32_update(&hash, call->uri.data, call->uri.len);
    ngx_crc32_update(&hash, call->ctx.vars.site.data,
                     call->ctx.vars.site.len);
    ngx_crc32_final(hash);

    return hash;
}

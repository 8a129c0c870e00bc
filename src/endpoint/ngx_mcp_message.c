
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * POST of the legacy transport: checks a message, has it delivered, answers.
 *
 * The envelope belongs to the request until it is delivered.  The cleanup of
 * the request frees it if it is not.
 */

#include "ngx_mcp_message.h"
#include "ngx_mcp_auth.h"
#include "ngx_mcp_body.h"
#include "ngx_mcp_bus.h"
#include "ngx_mcp_dispatch.h"
#include "ngx_mcp_request.h"
#include "ngx_mcp_session_timers.h"
#include "ngx_mcp_header.h"
#include "ngx_mcp_negotiate.h"
#include "ngx_mcp_pending.h"
#include "ngx_mcp_forward_headers.h"
#include "ngx_mcp_question_response.h"
#include "ngx_mcp_response.h"
#include "ngx_mcp_session.h"
#include "ngx_mcp_variables.h"


typedef struct {
    ngx_uint_t    status;
    ngx_int_t     code;
    const char   *message;
    ngx_str_t    *data;          /* of the error, or NULL */
    ngx_uint_t    counter;       /* NGX_MCP_COUNTS: none */
} ngx_mcp_message_answer_t;


static ngx_int_t ngx_mcp_message_authorized(ngx_http_request_t *r);
static ngx_int_t ngx_mcp_message_session(ngx_http_request_t *r);
static ngx_uint_t ngx_mcp_message_only(ngx_http_request_t *r, ngx_str_t *name,
    ngx_str_t *value);
static ngx_int_t ngx_mcp_message_body(ngx_http_request_t *r, ngx_int_t status);
static void ngx_mcp_message_vars(ngx_http_request_t *r,
    ngx_mcp_jsonrpc_message_t *message);
static ngx_int_t ngx_mcp_message_deliver(ngx_http_request_t *r,
    ngx_array_t *messages);
static ngx_int_t ngx_mcp_message_answer(ngx_http_request_t *r);
static void ngx_mcp_message_cleanup(void *data);


static ngx_str_t  ngx_mcp_accepted = ngx_string("{\"status\":\"accepted\"}");
static ngx_str_t  ngx_mcp_executed_no = ngx_string("{\"executed\":\"no\"}");
static ngx_str_t  ngx_mcp_executed_unknown =
                                      ngx_string("{\"executed\":\"unknown\"}");


/* the answer for each ngx_mcp_delivery_e, docs/PROTOCOL.md 4 */

static ngx_mcp_message_answer_t  ngx_mcp_message_answers[] = {

    /* ACCEPTED */
    { NGX_HTTP_ACCEPTED, 0, NULL, NULL, NGX_MCP_COUNTS },

    /* NO_SESSION */
    { NGX_HTTP_BAD_REQUEST, NGX_MCP_ERR_UNAUTHORIZED,
      "Invalid session ID", NULL, NGX_MCP_COUNTS },

    /* INBOX_FULL */
    { NGX_HTTP_TOO_MANY_REQUESTS, NGX_MCP_ERR_TOO_MANY,
      "Too many messages", NULL, NGX_MCP_COUNT_INBOX_FULL },

    /* ZONE_FULL */
    { NGX_HTTP_TOO_MANY_REQUESTS, NGX_MCP_ERR_TOO_MANY,
      "Too many messages", NULL, NGX_MCP_COUNT_ZONE_FULL },

    /* ERROR */
    { NGX_HTTP_INTERNAL_SERVER_ERROR, NGX_MCP_ERR_INTERNAL,
      "Internal server error", NULL, NGX_MCP_COUNTS },

    /* STREAM_LOST, RETRY, PENDING, SENT: not final, so the server stops */
    { NGX_HTTP_SERVICE_UNAVAILABLE, NGX_MCP_ERR_UNAVAILABLE,
      "Server is stopping", &ngx_mcp_executed_no, NGX_MCP_COUNTS },
    { NGX_HTTP_SERVICE_UNAVAILABLE, NGX_MCP_ERR_UNAVAILABLE,
      "Server is stopping", &ngx_mcp_executed_no, NGX_MCP_COUNTS },
    { NGX_HTTP_SERVICE_UNAVAILABLE, NGX_MCP_ERR_UNAVAILABLE,
      "Server is stopping", &ngx_mcp_executed_no, NGX_MCP_COUNTS },
    { NGX_HTTP_SERVICE_UNAVAILABLE, NGX_MCP_ERR_UNAVAILABLE,
      "Server is stopping", &ngx_mcp_executed_unknown, NGX_MCP_COUNTS },

    /* UNREACHABLE, UNACKNOWLEDGED */
    { NGX_HTTP_SERVICE_UNAVAILABLE, NGX_MCP_ERR_UNAVAILABLE,
      "No answer from another instance", &ngx_mcp_executed_no,
      NGX_MCP_COUNTS },
    { NGX_HTTP_SERVICE_UNAVAILABLE, NGX_MCP_ERR_UNAVAILABLE,
      "No answer from another instance", &ngx_mcp_executed_unknown,
      NGX_MCP_COUNTS }
};


ngx_int_t
ngx_mcp_message_handler(ngx_http_request_t *r)
{
    ngx_int_t       rc;
    ngx_mcp_ctx_t  *ctx;

    ctx = ngx_mcp_request_start(r, NGX_HTTP_POST, "POST, OPTIONS", &rc);
    if (ctx == NULL) {
        return rc;
    }

    return ngx_mcp_auth(r, ngx_mcp_message_authorized);
}


static ngx_int_t
ngx_mcp_message_authorized(ngx_http_request_t *r)
{
    off_t                 length;
    ngx_int_t             rc;
    ngx_mcp_ctx_t        *ctx;
    ngx_mcp_main_conf_t  *mcf;

    ctx = ngx_http_get_module_ctx(r, ngx_http_mcp_sse_module);

    if (ctx->auth.result.status
        && ctx->auth.result.status < NGX_HTTP_INTERNAL_SERVER_ERROR)
    {
        return ngx_mcp_request_denied(r);
    }

    ctx->pending = ngx_pcalloc(r->pool, sizeof(ngx_mcp_pending_t));
    if (ctx->pending == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->pending->ctx = ctx;

    rc = ngx_mcp_message_session(r);

    if (rc == NGX_ERROR) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    /* Frappe is unreachable: only the credential of the session is accepted */

    if (ctx->auth.result.status && rc != NGX_OK) {
        ctx->auth.result.status = NGX_HTTP_SERVICE_UNAVAILABLE;
        return ngx_mcp_request_denied(r);
    }

    if (rc != NGX_OK) {
        ctx->pending->outcome = NGX_MCP_DELIVERY_NO_SESSION;
        return ngx_mcp_message_answer(r);
    }

    if (ngx_mcp_message_type(r) != NGX_OK) {
        return ngx_mcp_refuse(r, NGX_HTTP_UNSUPPORTED_MEDIA_TYPE,
                              NGX_MCP_ERR_INVALID_REQUEST,
                              "Unsupported media type");
    }

    mcf = ngx_http_get_module_main_conf(r, ngx_http_mcp_sse_module);
    length = r->headers_in.content_length_n;

    if (length > (off_t) mcf->max_message) {
        return ngx_mcp_message_body(r, NGX_HTTP_REQUEST_ENTITY_TOO_LARGE);
    }

    return ngx_mcp_body_read(r, mcf->max_message, ngx_mcp_message_body);
}


/*
 * Checks the session id: its MAC or, while Frappe is unreachable, whether the
 * credential is that of the session.  Whether the session exists is
 * checked when the message is delivered.
 */

static ngx_int_t
ngx_mcp_message_session(ngx_http_request_t *r)
{
    ngx_int_t        rc;
    ngx_str_t        text;
    ngx_mcp_ctx_t   *ctx;
    ngx_mcp_zone_t  *zone;

    ctx = ngx_http_get_module_ctx(r, ngx_http_mcp_sse_module);
    zone = ngx_mcp_zone();

    if (ngx_http_arg(r, (u_char *) "session_id", sizeof("session_id") - 1,
                     &text)
        != NGX_OK)
    {
        return NGX_DECLINED;
    }

    rc = ngx_mcp_request_session_id(r, &text, NULL);

    if (rc != NGX_OK) {
        return rc;
    }

    if (ctx->auth.result.status) {
        return ngx_mcp_registry_is_credential(ctx->sid.key,
                                            ctx->auth.credential.digest)
               ? NGX_OK : NGX_DECLINED;
    }

    rc = ngx_mcp_session_id_verify(&ctx->sid, &text, zone->secrets, "legacy",
                                   &ctx->vars.site, &ctx->vars.user);

    if (rc == NGX_OK) {
        ngx_mcp_auth_renew(r);
    }

    return rc;
}


ngx_int_t
ngx_mcp_message_type(ngx_http_request_t *r)
{
    static ngx_str_t  encoding = ngx_string("content-encoding");
    static ngx_str_t  identity = ngx_string("identity");
    static ngx_str_t  type = ngx_string("content-type");
    static ngx_str_t  json = ngx_string("application/json");

    return (ngx_mcp_message_only(r, &encoding, &identity)
            && ngx_mcp_message_only(r, &type, &json))
           ? NGX_OK : NGX_DECLINED;
}


/*
 * Returns whether a header, if there is one, names nothing but "value",
 * parameters aside.
 */

static ngx_uint_t
ngx_mcp_message_only(ngx_http_request_t *r, ngx_str_t *name, ngx_str_t *value)
{
    size_t                len;
    ngx_str_t             member;
    ngx_mcp_header_pos_t  pos;

    ngx_memzero(&pos, sizeof(ngx_mcp_header_pos_t));

    while (ngx_mcp_header_member(&r->headers_in.headers, name, &pos, &member)
           == NGX_OK)
    {
        for (len = 0; len < member.len; len++) {

            if (member.data[len] == ';'
                || member.data[len] == ' '
                || member.data[len] == '\t')
            {
                break;
            }
        }

        if (!ngx_mcp_header_word(member.data, len, value)) {
            return 0;
        }
    }

    return 1;
}


static ngx_int_t
ngx_mcp_message_body(ngx_http_request_t *r, ngx_int_t status)
{
    uint64_t             received;
    ngx_int_t            rc;
    ngx_uint_t           batch;
    ngx_array_t         *messages;
    ngx_http_cleanup_t  *cln;
    ngx_mcp_ctx_t       *ctx;

    received = ngx_mcp_count_clock();

    if (ngx_mcp_message_scan(r, status, &messages, &batch, &rc) != NGX_OK) {
        return rc;
    }

    ctx = ngx_http_get_module_ctx(r, ngx_http_mcp_sse_module);

    cln = ngx_http_cleanup_add(r, 0);
    if (cln == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    cln->handler = ngx_mcp_message_cleanup;
    cln->data = ctx->pending;

    /* any version is served here: a list for Frappe becomes one version */

    (void) ngx_mcp_negotiate_version(r);

    rc = ngx_mcp_forward_headers(r, messages, &ctx->pending->envelope);

    if (rc == NGX_DECLINED) {
        return ngx_mcp_refuse(r, NGX_MCP_HTTP_FIELDS_TOO_LARGE,
                              NGX_MCP_ERR_INVALID_REQUEST,
                              "Headers too large");
    }

    if (rc != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->pending->envelope->received = received;

    ngx_log_debug4(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "mcp message: session %*s, %ui messages, %uz bytes",
                   (size_t) NGX_MCP_HASH_LEN, ctx->sid.hash,
                   ctx->pending->envelope->nmessages,
                   ctx->pending->envelope->size);

    return ngx_mcp_message_deliver(r, messages);
}


ngx_int_t
ngx_mcp_message_scan(ngx_http_request_t *r, ngx_int_t status,
    ngx_array_t **messages, ngx_uint_t *batch, ngx_int_t *rc)
{
    ngx_int_t       code;
    ngx_mcp_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_mcp_sse_module);

    if (status == NGX_HTTP_REQUEST_ENTITY_TOO_LARGE) {
        *rc = ngx_mcp_refuse(r, status,
                             NGX_MCP_ERR_INVALID_REQUEST,
                             "Message too large");
        return NGX_DECLINED;
    }

    if (status == NGX_HTTP_TOO_MANY_REQUESTS) {
        *rc = ngx_mcp_refuse(r, status, NGX_MCP_ERR_TOO_MANY,
                             "Too many messages");
        return NGX_DECLINED;
    }

    code = status ? NGX_MCP_ERR_PARSE
                  : ngx_mcp_jsonrpc_scan(r->pool, &ctx->body->text, messages,
                                         batch);

    switch (code) {

    case NGX_OK:
        ngx_mcp_message_vars(r, (*messages)->elts);
        return NGX_OK;

    case NGX_MCP_ERR_PARSE:
        *rc = ngx_mcp_refuse(r, NGX_HTTP_BAD_REQUEST, code, "Parse error");
        return NGX_DECLINED;

    case NGX_MCP_ERR_INVALID_REQUEST:
        *rc = ngx_mcp_refuse(r, NGX_HTTP_BAD_REQUEST, code, "Invalid Request");
        return NGX_DECLINED;

    default:
        *rc = NGX_HTTP_INTERNAL_SERVER_ERROR;
        return NGX_DECLINED;
    }
}


static void
ngx_mcp_message_vars(ngx_http_request_t *r,
    ngx_mcp_jsonrpc_message_t *message)
{
    ngx_mcp_ctx_t       *ctx;
    ngx_mcp_loc_conf_t  *conf;

    ctx = ngx_http_get_module_ctx(r, ngx_http_mcp_sse_module);
    conf = ngx_http_get_module_loc_conf(r, ngx_http_mcp_sse_module);

    ngx_mcp_vars_set(&ctx->vars, message);

    if (ngx_mcp_dispatch_flag(&ctx->vars.method) & conf->local) {
        ctx->vars.result = NGX_MCP_RESULT_LOCAL;
    }
}


/*
 * Responses need not be delivered, except that they are counted: the worker of
 * the stream needs no result of them.
 */

static ngx_int_t
ngx_mcp_message_deliver(ngx_http_request_t *r, ngx_array_t *messages)
{
    ngx_mcp_ctx_t       *ctx;
    ngx_mcp_loc_conf_t  *conf;

    ctx = ngx_http_get_module_ctx(r, ngx_http_mcp_sse_module);
    conf = ngx_http_get_module_loc_conf(r, ngx_http_mcp_sse_module);

    if (ngx_mcp_session_timers_stopped()) {
        ctx->auth.result.status = NGX_HTTP_SERVICE_UNAVAILABLE;
        return ngx_mcp_request_denied(r);
    }

    ngx_mcp_question_responses(r->pool, ctx->sid.key, messages,
                               conf->ask_timeout);

    return ngx_mcp_pending_deliver(r, ngx_mcp_message_answer);
}


static ngx_int_t
ngx_mcp_message_answer(ngx_http_request_t *r)
{
    ngx_mcp_ctx_t             *ctx;
    ngx_mcp_message_answer_t  *answer;

    ctx = ngx_http_get_module_ctx(r, ngx_http_mcp_sse_module);

    ngx_mcp_pending_cancel(ctx->pending);

    ngx_log_debug3(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "mcp message: session %*s, outcome:%d",
                   (size_t) NGX_MCP_HASH_LEN, ctx->sid.hash,
                   (int) ctx->pending->outcome);

    if (ctx->pending->outcome == NGX_MCP_DELIVERY_ACCEPTED) {
        return ngx_mcp_respond(r, NGX_HTTP_ACCEPTED, &ngx_mcp_accepted);
    }

    answer = &ngx_mcp_message_answers[ctx->pending->outcome];

    if (answer->counter != NGX_MCP_COUNTS) {
        ngx_mcp_count(answer->counter);
    }

    return ngx_mcp_refuse_data(r, answer->status, answer->code,
                               answer->message, answer->data);
}


static void
ngx_mcp_message_cleanup(void *data)
{
    ngx_mcp_pending_t  *p = data;

    ngx_mcp_pending_cancel(p);

    if (p->envelope) {
        ngx_mcp_envelope_free(p->envelope);
        p->envelope = NULL;
    }
}

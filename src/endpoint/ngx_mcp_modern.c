
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * POST of the modern era (MCP 2026-07-28, basic, transports): no sessions, one
 * message, whose version, client and capabilities are in its _meta and partly
 * in headers.
 *
 * The order of checks is that of docs/PROTOCOL.md 1.
 */

#include "ngx_mcp_modern.h"
#include "ngx_mcp_backend_era.h"
#include "ngx_mcp_discover.h"
#include "ngx_mcp_dispatch.h"
#include "ngx_mcp_events.h"
#include "ngx_mcp_header_check.h"
#include "ngx_mcp_identity.h"
#include "ngx_mcp_json_text.h"
#include "ngx_mcp_log_level.h"
#include "ngx_mcp_negotiate.h"
#include "ngx_mcp_request.h"
#include "ngx_mcp_response.h"
#include "ngx_mcp_session_timers.h"
#include "ngx_mcp_sse.h"
#include "ngx_mcp_submit.h"


typedef struct {
    ngx_str_t    name;
    ngx_int_t  (*handler)(ngx_http_request_t *r,
                    ngx_mcp_jsonrpc_message_t *message);
} ngx_mcp_modern_method_t;


static ngx_int_t ngx_mcp_modern_notification(ngx_http_request_t *r,
    ngx_mcp_jsonrpc_message_t *message);
static ngx_int_t ngx_mcp_modern_check(ngx_http_request_t *r,
    ngx_mcp_jsonrpc_message_t *message);
static ngx_int_t ngx_mcp_modern_meta(ngx_http_request_t *r,
    ngx_mcp_jsonrpc_message_t *message);
static ngx_int_t ngx_mcp_modern_served(ngx_http_request_t *r,
    ngx_mcp_jsonrpc_message_t *message);
static ngx_uint_t ngx_mcp_modern_lenient(ngx_http_request_t *r);
static ngx_int_t ngx_mcp_modern_method(ngx_http_request_t *r,
    ngx_mcp_jsonrpc_message_t *message);
static ngx_int_t ngx_mcp_modern_no_method(ngx_http_request_t *r,
    ngx_mcp_jsonrpc_message_t *message);
static ngx_int_t ngx_mcp_modern_listen(ngx_http_request_t *r,
    ngx_mcp_jsonrpc_message_t *message);
static ngx_int_t ngx_mcp_modern_submit(ngx_http_request_t *r,
    ngx_array_t *messages);
static ngx_int_t ngx_mcp_modern_forward(ngx_http_request_t *r);
static ngx_uint_t ngx_mcp_modern_is_discover(ngx_http_request_t *r);
static ngx_int_t ngx_mcp_modern_invalid(ngx_http_request_t *r,
    const char *message);


/* methods that are not forwarded: docs/PROTOCOL.md 15 */

static ngx_mcp_modern_method_t  ngx_mcp_modern_methods[] = {
    { ngx_string("initialize"), ngx_mcp_modern_no_method },
    { ngx_string("ping"), ngx_mcp_modern_no_method },
    { ngx_string("logging/setLevel"), ngx_mcp_modern_no_method },
    { ngx_string("resources/subscribe"), ngx_mcp_modern_no_method },
    { ngx_string("resources/unsubscribe"), ngx_mcp_modern_no_method },
    { ngx_string("subscriptions/listen"), ngx_mcp_modern_listen },
    { ngx_null_string, NULL }
};


ngx_int_t
ngx_mcp_modern_create(ngx_http_request_t *r)
{
    ngx_mcp_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_mcp_sse_module);

    ctx->modern = ngx_pcalloc(r->pool, sizeof(ngx_mcp_modern_t));
    if (ctx->modern == NULL) {
        return NGX_ERROR;
    }

    ctx->has_session_id = 0;
    ngx_str_null(&ctx->vars.session);

    return NGX_OK;
}


ngx_uint_t
ngx_mcp_modern_among(ngx_array_t *messages)
{
    ngx_uint_t                  i;
    ngx_mcp_jsonrpc_message_t  *message;

    message = messages->elts;

    for (i = 0; i < messages->nelts; i++) {

        if (message[i].version.data) {
            return 1;
        }
    }

    return 0;
}


ngx_int_t
ngx_mcp_modern_post(ngx_http_request_t *r, ngx_array_t *messages,
    ngx_uint_t batch)
{
    ngx_int_t                   rc;
    ngx_mcp_ctx_t              *ctx;
    ngx_mcp_jsonrpc_message_t  *message;

    ctx = ngx_http_get_module_ctx(r, ngx_http_mcp_sse_module);
    message = messages->elts;

    if (batch) {
        return ngx_mcp_modern_invalid(r,
                                      "No batches in this protocol version");
    }

    switch (message->type) {

    case NGX_MCP_JSONRPC_RESPONSE:
        return ngx_mcp_modern_invalid(r,
                                      "No responses in this protocol version");

    case NGX_MCP_JSONRPC_NOTIFICATION:
        rc = ngx_mcp_modern_notification(r, message);
        break;

    default: /* NGX_MCP_JSONRPC_REQUEST */
        ctx->own_id = 1;
        ctx->modern->method = message->method;
        ctx->modern->id = message->id;

        rc = ngx_mcp_modern_check(r, message);

        if (rc == NGX_DECLINED) {
            rc = ngx_mcp_modern_method(r, message);
        }
    }

    return (rc == NGX_DECLINED) ? ngx_mcp_modern_submit(r, messages) : rc;
}


/*
 * The specification has no rules for the headers and the _meta of a
 * notification.  Returns NGX_DECLINED to go on, or a result.
 */

static ngx_int_t
ngx_mcp_modern_notification(ngx_http_request_t *r,
    ngx_mcp_jsonrpc_message_t *message)
{
    ngx_int_t       rc;
    ngx_str_t       name, *version;
    ngx_mcp_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_mcp_sse_module);

    if (ngx_mcp_negotiate_other(r, &name)) {
        return ngx_mcp_negotiate_refuse(r, NULL);
    }

    rc = ngx_mcp_modern_meta(r, message);

    if (rc != NGX_DECLINED) {
        return rc;
    }

    version = &ctx->modern->meta.version;

    return (version->data == NULL || ngx_mcp_negotiate_serves(version))
           ? NGX_DECLINED : ngx_mcp_negotiate_refuse(r, &message->version);
}


/*
 * Returns NGX_DECLINED if the request is as the specification wants it, or the
 * result of its refusal.
 */

static ngx_int_t
ngx_mcp_modern_check(ngx_http_request_t *r, ngx_mcp_jsonrpc_message_t *message)
{
    ngx_int_t                rc;
    const char              *text;
    ngx_mcp_ctx_t           *ctx;
    ngx_mcp_request_meta_t  *meta;

    ctx = ngx_http_get_module_ctx(r, ngx_http_mcp_sse_module);
    meta = &ctx->modern->meta;

    rc = ngx_mcp_modern_meta(r, message);

    if (rc != NGX_DECLINED) {
        return rc;
    }

    if (meta->version.data == NULL) {
        return ngx_mcp_refuse(r, NGX_HTTP_BAD_REQUEST,
                              NGX_MCP_ERR_INVALID_PARAMS,
                              "Invalid params: _meta has no "
                              "io.modelcontextprotocol/protocolVersion");
    }

    if (meta->capabilities.data == NULL) {
        return ngx_mcp_refuse(r, NGX_HTTP_BAD_REQUEST,
                              NGX_MCP_ERR_INVALID_PARAMS,
                              "Invalid params: _meta has no "
                              "io.modelcontextprotocol/clientCapabilities");
    }

    rc = ngx_mcp_header_check(r, ngx_mcp_modern_lenient(r), &text);

    if (rc == NGX_ERROR) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (rc != NGX_OK) {
        return ngx_mcp_refuse(r, NGX_HTTP_BAD_REQUEST,
                              NGX_MCP_ERR_HEADER_MISMATCH, text);
    }

    return ngx_mcp_modern_served(r, message);
}


/*
 * Checks the version and, with mcp_sse_events, the level of log messages.
 */

static ngx_int_t
ngx_mcp_modern_served(ngx_http_request_t *r, ngx_mcp_jsonrpc_message_t *message)
{
    ngx_mcp_ctx_t           *ctx;
    ngx_mcp_request_meta_t  *meta;

    ctx = ngx_http_get_module_ctx(r, ngx_http_mcp_sse_module);
    meta = &ctx->modern->meta;

    if (!ngx_mcp_negotiate_serves(&meta->version)) {
        return ngx_mcp_negotiate_refuse(r, &message->version);
    }

    if (meta->log_level.data
        && ngx_mcp_zone()->conf->events
        && ngx_mcp_log_level(&meta->log_level) == NGX_MCP_LOG_UNKNOWN)
    {
        return ngx_mcp_refuse(r, NGX_HTTP_BAD_REQUEST,
                              NGX_MCP_ERR_INVALID_PARAMS,
                              "Invalid params: no such level in "
                              "io.modelcontextprotocol/logLevel");
    }

    return NGX_DECLINED;
}


/*
 * Reads what the params say.  NGX_DECLINED: it is in ctx->modern; or the result
 * of a refusal.
 */

static ngx_int_t
ngx_mcp_modern_meta(ngx_http_request_t *r, ngx_mcp_jsonrpc_message_t *message)
{
    ngx_mcp_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_mcp_sse_module);

    switch (ngx_mcp_request_meta(r->pool, &message->params,
                                 &ctx->modern->meta))
    {

    case NGX_OK:
        return (ngx_mcp_identity_modern(r) == NGX_OK)
               ? NGX_DECLINED : NGX_HTTP_INTERNAL_SERVER_ERROR;

    case NGX_DECLINED:
        return ngx_mcp_modern_invalid(r, "Invalid Request");

    default:
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
}


/*
 * A client that has settled on an older version before may keep it in the
 * header beside a body of 2026-07-28: docs/PROTOCOL.md 15.5.
 */

static ngx_uint_t
ngx_mcp_modern_lenient(ngx_http_request_t *r)
{
    ngx_mcp_ctx_t       *ctx;
    ngx_mcp_loc_conf_t  *conf;

    ctx = ngx_http_get_module_ctx(r, ngx_http_mcp_sse_module);
    conf = ngx_http_get_module_loc_conf(r, ngx_http_mcp_sse_module);

    return conf->header_check == NGX_MCP_HEADER_CHECK_LENIENT
           && ctx->version.len
           && ngx_mcp_negotiate_serves(&ctx->modern->meta.version);
}


/*
 * Returns NGX_DECLINED for a method that the backend has, or the result.
 */

static ngx_int_t
ngx_mcp_modern_method(ngx_http_request_t *r,
    ngx_mcp_jsonrpc_message_t *message)
{
    ngx_mcp_ctx_t            *ctx;
    ngx_mcp_modern_method_t  *method;

    ctx = ngx_http_get_module_ctx(r, ngx_http_mcp_sse_module);

    ngx_mcp_negotiate_accept(r);

    if (!ctx->accept_json && !ctx->accept_stream) {
        return ngx_mcp_refuse(r, NGX_MCP_HTTP_NOT_ACCEPTABLE,
                              NGX_MCP_ERR_INVALID_REQUEST, "Not acceptable");
    }

    for (method = ngx_mcp_modern_methods; method->name.len; method++) {

        if (method->name.len == message->method.len
            && ngx_strncmp(method->name.data, message->method.data,
                           method->name.len)
               == 0)
        {
            return method->handler(r, message);
        }
    }

    return NGX_DECLINED;
}


static ngx_int_t
ngx_mcp_modern_no_method(ngx_http_request_t *r,
    ngx_mcp_jsonrpc_message_t *message)
{
    return ngx_mcp_refuse(r, NGX_HTTP_NOT_FOUND, NGX_MCP_ERR_NO_METHOD,
                          "Method not found");
}


static ngx_int_t
ngx_mcp_modern_listen(ngx_http_request_t *r,
    ngx_mcp_jsonrpc_message_t *message)
{
    ngx_int_t                 rc;
    ngx_mcp_ctx_t            *ctx;
    ngx_mcp_listen_filter_t  *filter;

    ctx = ngx_http_get_module_ctx(r, ngx_http_mcp_sse_module);

    filter = ngx_palloc(r->pool, sizeof(ngx_mcp_listen_filter_t));
    if (filter == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_mcp_listen_filter_parse(r->pool, &ctx->modern->meta.notifications,
                                     filter);

    if (rc == NGX_ERROR) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (rc == NGX_DECLINED) {
        return ngx_mcp_refuse(r, NGX_HTTP_BAD_REQUEST,
                              NGX_MCP_ERR_INVALID_PARAMS,
                              "Invalid params: notifications is no filter");
    }

    if (ngx_mcp_events_used()) {
        ctx->modern->listen = filter;
    }

    return ngx_mcp_sse_listen(r);
}


static ngx_int_t
ngx_mcp_modern_submit(ngx_http_request_t *r, ngx_array_t *messages)
{
    ngx_mcp_ctx_t       *ctx;
    ngx_mcp_loc_conf_t  *conf;

    ctx = ngx_http_get_module_ctx(r, ngx_http_mcp_sse_module);
    conf = ngx_http_get_module_loc_conf(r, ngx_http_mcp_sse_module);

    if (ngx_mcp_session_timers_stopped()) {
        ctx->auth.result.status = NGX_HTTP_SERVICE_UNAVAILABLE;
        return ngx_mcp_request_denied(r);
    }

    /* that of the header is not one for a backend of the older era */

    ngx_str_null(&ctx->version);

    ctx->modern->messages = messages;

    return ngx_mcp_dispatch_forwards(conf, messages->elts)
           ? ngx_mcp_backend_era(r, ngx_mcp_modern_forward)
           : ngx_mcp_submit(r, messages, 0);
}


static ngx_int_t
ngx_mcp_modern_forward(ngx_http_request_t *r)
{
    ngx_mcp_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_mcp_sse_module);

    return (!ctx->modern->passes && ngx_mcp_modern_is_discover(r))
           ? ngx_mcp_discover(r)
           : ngx_mcp_submit(r, ctx->modern->messages, 0);
}


static ngx_uint_t
ngx_mcp_modern_is_discover(ngx_http_request_t *r)
{
    ngx_mcp_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_mcp_sse_module);

    return ctx->modern->id.data
           && ngx_mcp_str_is(&ctx->modern->method, "server/discover");
}


ngx_uint_t
ngx_mcp_modern_status(ngx_mcp_modern_t *modern)
{
    switch (modern->code) {

    case NGX_MCP_ERR_NO_METHOD:
        return NGX_HTTP_NOT_FOUND;

    case NGX_MCP_ERR_HEADER_MISMATCH:
    case NGX_MCP_ERR_CAPABILITY:
    case NGX_MCP_ERR_VERSION:
        return NGX_HTTP_BAD_REQUEST;

    default:
        return NGX_HTTP_OK;
    }
}


static ngx_int_t
ngx_mcp_modern_invalid(ngx_http_request_t *r, const char *message)
{
    return ngx_mcp_refuse(r, NGX_HTTP_BAD_REQUEST,
                          NGX_MCP_ERR_INVALID_REQUEST, message);
}

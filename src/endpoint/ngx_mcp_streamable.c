
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * The endpoint of Streamable HTTP (MCP 2025-03-26, 2025-06-18, 2025-11-25,
 * basic/transports): POST for messages, GET for a stream, DELETE for the end
 * of a session.  A POST of the modern era goes on in ngx_mcp_modern.c.
 *
 * The order of checks is that of docs/PROTOCOL.md 1.
 */

#include "ngx_mcp_streamable.h"
#include "ngx_mcp_auth.h"
#include "ngx_mcp_body.h"
#include "ngx_mcp_bus.h"
#include "ngx_mcp_discover.h"
#include "ngx_mcp_sse.h"
#include "ngx_mcp_request.h"
#include "ngx_mcp_session_timers.h"
#include "ngx_mcp_header.h"
#include "ngx_mcp_identity.h"
#include "ngx_mcp_message.h"
#include "ngx_mcp_modern.h"
#include "ngx_mcp_negotiate.h"
#include "ngx_mcp_response.h"
#include "ngx_mcp_session.h"
#include "ngx_mcp_submit.h"
#include "ngx_mcp_json_text.h"


static ngx_uint_t ngx_mcp_streamable_is_get(ngx_http_request_t *r);
static ngx_int_t ngx_mcp_streamable_id(ngx_http_request_t *r, ngx_str_t *id);
static ngx_int_t ngx_mcp_streamable_authorized(ngx_http_request_t *r);
static ngx_uint_t ngx_mcp_streamable_allows(ngx_http_request_t *r,
    ngx_int_t version);
static ngx_uint_t ngx_mcp_streamable_is_bad(ngx_mcp_ctx_t *ctx);
static ngx_int_t ngx_mcp_streamable_refuse(ngx_http_request_t *r);
static ngx_int_t ngx_mcp_streamable_session(ngx_http_request_t *r);
static ngx_int_t ngx_mcp_streamable_not_found(ngx_http_request_t *r);
static ngx_int_t ngx_mcp_streamable_post(ngx_http_request_t *r);
static ngx_int_t ngx_mcp_streamable_body(ngx_http_request_t *r,
    ngx_int_t status);
static ngx_uint_t ngx_mcp_streamable_is_modern(ngx_http_request_t *r,
    ngx_int_t status);
static ngx_int_t ngx_mcp_streamable_check(ngx_http_request_t *r,
    ngx_array_t *messages, ngx_uint_t batch, const char **message);
static ngx_int_t ngx_mcp_streamable_get(ngx_http_request_t *r);
static ngx_int_t ngx_mcp_streamable_delete(ngx_http_request_t *r);


ngx_int_t
ngx_mcp_streamable_handler(ngx_http_request_t *r)
{
    ngx_int_t       rc;
    ngx_str_t       id;
    ngx_mcp_ctx_t  *ctx;

    ctx = ngx_mcp_request_start(r, NGX_HTTP_POST|NGX_HTTP_DELETE
                                   |NGX_HTTP_GET|NGX_HTTP_HEAD,
                                "GET, HEAD, POST, DELETE, OPTIONS", &rc);
    if (ctx == NULL) {
        return rc;
    }

    ctx->streamable = 1;
    ctx->resource = 1;

    /* a GET that only gets a 405 does not wait for Frappe */

    ctx->auth.retry = ngx_mcp_streamable_is_get(r)
                      && ngx_mcp_streamable_id(r, &id) != NGX_DECLINED
                      && !ngx_mcp_negotiate_is_modern(r);

    return ngx_mcp_auth(r, ngx_mcp_streamable_authorized);
}


static ngx_uint_t
ngx_mcp_streamable_is_get(ngx_http_request_t *r)
{
    return (r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD)) != 0;
}


static ngx_int_t
ngx_mcp_streamable_id(ngx_http_request_t *r, ngx_str_t *id)
{
    return ngx_mcp_header_value(&r->headers_in.headers, "mcp-session-id", id);
}


static ngx_int_t
ngx_mcp_streamable_authorized(ngx_http_request_t *r)
{
    ngx_int_t       rc, version;
    ngx_mcp_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_mcp_sse_module);

    version = ngx_mcp_negotiate_version(r);

    /* connectors ask by HEAD or GET for the challenge of a 401 */

    if (ctx->auth.result.status != NGX_HTTP_UNAUTHORIZED
        && !ngx_mcp_streamable_allows(r, version))
    {
        return ngx_mcp_refuse(r, NGX_HTTP_NOT_ALLOWED,
                              NGX_MCP_ERR_INVALID_REQUEST,
                              "Method not allowed");
    }

    if (ctx->auth.result.status) {
        return (ctx->auth.result.status >= NGX_HTTP_INTERNAL_SERVER_ERROR
                && ngx_mcp_response_is_probe(r))
               ? ngx_mcp_discover_unavailable(r)
               : ngx_mcp_request_denied(r);
    }

    if (version == NGX_DONE) {
        return (ngx_mcp_modern_create(r) == NGX_OK)
               ? ngx_mcp_streamable_post(r) : NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = (version == NGX_OK) ? ngx_mcp_streamable_session(r) : NGX_OK;

    if (rc == NGX_ERROR) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->bad_version = (version != NGX_OK);
    ctx->bad_session = (rc != NGX_OK);

    if (r->method != NGX_HTTP_POST && ngx_mcp_streamable_is_bad(ctx)) {
        return ngx_mcp_streamable_refuse(r);
    }

    switch (r->method) {

    case NGX_HTTP_POST:
        return ngx_mcp_streamable_post(r);

    case NGX_HTTP_DELETE:
        return ngx_mcp_streamable_delete(r);

    default: /* NGX_HTTP_GET, NGX_HTTP_HEAD */
        return ngx_mcp_streamable_get(r);
    }
}


/*
 * A stream belongs to a session, and in the modern era there is only POST.
 */

static ngx_uint_t
ngx_mcp_streamable_allows(ngx_http_request_t *r, ngx_int_t version)
{
    ngx_str_t       id;
    ngx_mcp_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_mcp_sse_module);

    if (version == NGX_DONE) {
        ngx_str_set(&ctx->methods, "POST, OPTIONS");

        return r->method == NGX_HTTP_POST;
    }

    if (ngx_mcp_streamable_is_get(r)
        && ngx_mcp_streamable_id(r, &id) == NGX_DECLINED)
    {
        ngx_str_set(&ctx->methods, "POST, DELETE, OPTIONS");

        return 0;
    }

    return 1;
}


/*
 * The body of a POST may be of the modern era, in which neither makes it bad:
 * it is refused when that is known.
 */

static ngx_uint_t
ngx_mcp_streamable_is_bad(ngx_mcp_ctx_t *ctx)
{
    return ctx->bad_version || ctx->bad_session;
}


static ngx_int_t
ngx_mcp_streamable_refuse(ngx_http_request_t *r)
{
    ngx_mcp_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_mcp_sse_module);

    return ctx->bad_version ? ngx_mcp_negotiate_refuse(r, NULL)
                            : ngx_mcp_streamable_not_found(r);
}


/*
 * NGX_OK: the session id is valid, or there is none.  NGX_DECLINED: it is not
 * valid.  Whether it was ended is checked later.
 */

static ngx_int_t
ngx_mcp_streamable_session(ngx_http_request_t *r)
{
    u_char           buf[NGX_MCP_SESSION_ID_MAX_CLAIMS];
    ngx_int_t        rc;
    ngx_str_t        claims;
    ngx_mcp_ctx_t   *ctx;
    ngx_mcp_zone_t  *zone;

    ctx = ngx_http_get_module_ctx(r, ngx_http_mcp_sse_module);
    zone = ngx_mcp_zone();

    claims.len = 0;
    claims.data = buf;

    rc = ngx_mcp_streamable_id(r, &ctx->sid_text);

    if (rc == NGX_DECLINED) {
        return ngx_mcp_identity_claims(r, &claims);
    }

    if (rc != NGX_OK
        || ngx_mcp_request_session_id(r, &ctx->sid_text, &claims) != NGX_OK)
    {
        return NGX_DECLINED;
    }

    rc = ngx_mcp_session_id_verify(&ctx->sid, &ctx->sid_text, zone->secrets,
                                   "streamable", &ctx->vars.site,
                                   &ctx->vars.user);

    ctx->has_session_id = (rc == NGX_OK);

    if (rc != NGX_OK) {
        return rc;
    }

    ngx_mcp_auth_renew(r);

    return ngx_mcp_identity_claims(r, &claims);
}


static ngx_int_t
ngx_mcp_streamable_not_found(ngx_http_request_t *r)
{
    return ngx_mcp_refuse(r, NGX_HTTP_NOT_FOUND,
                          NGX_MCP_ERR_UNAUTHORIZED,
                          "Session not found");
}


static ngx_int_t
ngx_mcp_streamable_post(ngx_http_request_t *r)
{
    ngx_mcp_ctx_t        *ctx;
    ngx_mcp_main_conf_t  *mcf;

    ctx = ngx_http_get_module_ctx(r, ngx_http_mcp_sse_module);

    if (ngx_mcp_message_type(r) != NGX_OK) {

        if (ngx_mcp_streamable_is_bad(ctx)) {
            return ngx_mcp_streamable_refuse(r);
        }

        return ngx_mcp_refuse(r, NGX_HTTP_UNSUPPORTED_MEDIA_TYPE,
                              NGX_MCP_ERR_INVALID_REQUEST,
                              "Unsupported media type");
    }

    mcf = ngx_http_get_module_main_conf(r, ngx_http_mcp_sse_module);

    if (r->headers_in.content_length_n > (off_t) mcf->max_message) {
        return ngx_mcp_streamable_body(r, NGX_HTTP_REQUEST_ENTITY_TOO_LARGE);
    }

    return ngx_mcp_body_read(r, mcf->max_message, ngx_mcp_streamable_body);
}


static ngx_int_t
ngx_mcp_streamable_body(ngx_http_request_t *r, ngx_int_t status)
{
    ngx_int_t       rc;
    ngx_uint_t      batch;
    const char     *message;
    ngx_array_t    *messages;
    ngx_mcp_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_mcp_sse_module);

    if (ngx_mcp_streamable_is_bad(ctx)
        && !ngx_mcp_streamable_is_modern(r, status))
    {
        return ngx_mcp_streamable_refuse(r);
    }

    if (ngx_mcp_message_scan(r, status, &messages, &batch, &rc) != NGX_OK) {
        return rc;
    }

    if (ctx->modern == NULL
        && ngx_mcp_modern_among(messages)
        && ngx_mcp_modern_create(r) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ctx->modern) {
        return ngx_mcp_modern_post(r, messages, batch);
    }

    rc = ngx_mcp_streamable_check(r, messages, batch, &message);

    if (rc != NGX_OK) {
        return ngx_mcp_refuse(r, rc, NGX_MCP_ERR_INVALID_REQUEST, message);
    }

    if (ctx->has_session_id && ngx_mcp_revocation_check(ctx->sid.key)) {
        return ngx_mcp_streamable_not_found(r);
    }

    if (ngx_mcp_session_timers_stopped()) {
        ctx->auth.result.status = NGX_HTTP_SERVICE_UNAVAILABLE;
        return ngx_mcp_request_denied(r);
    }

    return ngx_mcp_submit(r, messages, batch);
}


/*
 * Looks into the body of a request that is refused if it is of the older era;
 * the refusal has its id then, if its version is not supported.
 */

static ngx_uint_t
ngx_mcp_streamable_is_modern(ngx_http_request_t *r, ngx_int_t status)
{
    ngx_uint_t                  batch;
    ngx_array_t                *messages;
    ngx_mcp_ctx_t              *ctx;
    ngx_mcp_jsonrpc_message_t  *message;

    ctx = ngx_http_get_module_ctx(r, ngx_http_mcp_sse_module);

    if (status
        || ngx_mcp_jsonrpc_scan(r->pool, &ctx->body->text, &messages, &batch)
           != NGX_OK)
    {
        return 0;
    }

    message = messages->elts;

    if (ctx->bad_version
        && !batch
        && message->type == NGX_MCP_JSONRPC_REQUEST)
    {
        ctx->vars.id = message->id;
        ctx->own_id = 1;
    }

    return ngx_mcp_modern_among(messages);
}


/*
 * Checks of the messages that only Streamable HTTP has.  Returns NGX_OK, or
 * the status of the refusal and its text in "message".
 */

static ngx_int_t
ngx_mcp_streamable_check(ngx_http_request_t *r, ngx_array_t *messages,
    ngx_uint_t batch, const char **message)
{
    ngx_uint_t                  i, requests;
    ngx_mcp_ctx_t              *ctx;
    ngx_mcp_jsonrpc_message_t  *m;

    ctx = ngx_http_get_module_ctx(r, ngx_http_mcp_sse_module);

    if (batch && !ctx->batches) {
        *message = "No batches in this protocol version";
        return NGX_HTTP_BAD_REQUEST;
    }

    requests = 0;
    m = messages->elts;

    for (i = 0; i < messages->nelts; i++) {

        if (m[i].type != NGX_MCP_JSONRPC_REQUEST) {
            continue;
        }

        requests++;

        if (batch && ngx_mcp_str_is(&m[i].method, "initialize")) {
            *message = "An initialize request stands alone";
            return NGX_HTTP_BAD_REQUEST;
        }
    }

    ngx_mcp_negotiate_accept(r);

    /* "Accept" matters only if there is an answer */

    if (requests && !ctx->accept_json && !ctx->accept_stream) {
        *message = "Not acceptable";
        return NGX_MCP_HTTP_NOT_ACCEPTABLE;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_mcp_streamable_get(ngx_http_request_t *r)
{
    ngx_mcp_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_mcp_sse_module);

    if (ngx_mcp_revocation_check(ctx->sid.key)) {
        return ngx_mcp_streamable_not_found(r);
    }

    return ngx_mcp_sse_stream(r);
}


/*
 * Ends the session id on all workers and instances.  The stream of the session
 * ends; calls that run are answered.
 */

static ngx_int_t
ngx_mcp_streamable_delete(ngx_http_request_t *r)
{
    u_char               user[NGX_MCP_DIGEST_LEN];
    ngx_int_t            rc;
    ngx_mcp_ctx_t       *ctx;
    ngx_mcp_loc_conf_t  *conf;

    ctx = ngx_http_get_module_ctx(r, ngx_http_mcp_sse_module);
    conf = ngx_http_get_module_loc_conf(r, ngx_http_mcp_sse_module);

    if (!ctx->has_session_id) {
        return ngx_mcp_refuse(r, NGX_HTTP_BAD_REQUEST,
                              NGX_MCP_ERR_INVALID_REQUEST,
                              "Mcp-Session-Id is missing");
    }

    if (ngx_mcp_session_user(&ctx->vars.site, &ctx->vars.user, user)
        != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_mcp_bus_revoke(ctx->sid.key, user,
                            ctx->sid.issued + conf->session_ttl);

    ngx_log_debug3(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "mcp session %*s ended by DELETE: %i",
                   (size_t) NGX_MCP_HASH_LEN, ctx->sid.hash, rc);

    if (rc == NGX_DECLINED) {
        return ngx_mcp_streamable_not_found(r);
    }

    if (rc != NGX_OK) {
        return ngx_mcp_refuse(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                              NGX_MCP_ERR_UNAVAILABLE,
                              "No room for another ended session");
    }

    return ngx_mcp_respond(r, NGX_HTTP_NO_CONTENT, NULL);
}


/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * GET /mcp/sse: opens the stream of a session.  GET /mcp uses it, too.
 *
 * The order of checks is that of docs/PROTOCOL.md 1.
 */

#include "ngx_mcp_sse.h"
#include "ngx_mcp_auth.h"
#include "ngx_mcp_request.h"
#include "ngx_mcp_session_timers.h"
#include "ngx_mcp_header.h"
#include "ngx_mcp_origin.h"
#include "ngx_mcp_response.h"
#include "ngx_mcp_session.h"
#include "ngx_mcp_stream.h"
#include "ngx_mcp_stream_header.h"
#include "ngx_mcp_zone.h"


static ngx_int_t ngx_mcp_sse_authorized(ngx_http_request_t *r);
static ngx_int_t ngx_mcp_sse_server_url(ngx_http_request_t *r);
static ngx_int_t ngx_mcp_sse_answer(ngx_http_request_t *r);
static ngx_int_t ngx_mcp_sse_head(ngx_http_request_t *r);
static ngx_int_t ngx_mcp_sse_open(ngx_http_request_t *r);
static ngx_int_t ngx_mcp_sse_refuse(ngx_http_request_t *r, ngx_int_t rc);
static ngx_int_t ngx_mcp_sse_id(ngx_http_request_t *r,
    ngx_mcp_session_id_t *sid, u_char *text, ngx_uint_t *resumed);
static ngx_int_t ngx_mcp_sse_new_id(ngx_mcp_ctx_t *ctx,
    ngx_mcp_session_id_t *sid, u_char *text, const char *purpose);
static ngx_int_t ngx_mcp_sse_last_id(ngx_http_request_t *r, ngx_str_t *text,
    ngx_mcp_session_id_t *sid);
static ngx_uint_t ngx_mcp_sse_keepalive_event(ngx_http_request_t *r);


ngx_int_t
ngx_mcp_sse_handler(ngx_http_request_t *r)
{
    ngx_int_t       rc;
    ngx_mcp_ctx_t  *ctx;

    ctx = ngx_mcp_request_start(r, NGX_HTTP_GET|NGX_HTTP_HEAD,
                                "GET, HEAD, OPTIONS", &rc);
    if (ctx == NULL) {
        return rc;
    }

    ctx->resource = 1;
    ctx->auth.retry = 1;

    return ngx_mcp_auth(r, ngx_mcp_sse_authorized);
}


static ngx_int_t
ngx_mcp_sse_authorized(ngx_http_request_t *r)
{
    ngx_int_t       rc;
    ngx_mcp_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_mcp_sse_module);

    if (ctx->auth.result.status) {
        return ngx_mcp_request_denied(r);
    }

    rc = ngx_mcp_sse_server_url(r);

    if (rc == NGX_ERROR) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (rc == NGX_DECLINED) {
        return ngx_mcp_refuse(r, NGX_HTTP_BAD_REQUEST,
                              NGX_MCP_ERR_INVALID_PARAMS,
                              "server_url is not served here");
    }

    return ngx_mcp_sse_answer(r);
}


ngx_int_t
ngx_mcp_sse_stream(ngx_http_request_t *r)
{
    return ngx_mcp_sse_answer(r);
}


/*
 * The stream has an id of its own, by which workers know it.  No client gets
 * it.
 */

ngx_int_t
ngx_mcp_sse_listen(ngx_http_request_t *r)
{
    ngx_mcp_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_mcp_sse_module);

    if (!ctx->accept_stream) {
        return ngx_mcp_refuse(r, NGX_MCP_HTTP_NOT_ACCEPTABLE,
                              NGX_MCP_ERR_INVALID_REQUEST, "Not acceptable");
    }

    if (ngx_mcp_session_timers_stopped()) {
        return ngx_mcp_refuse(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                              NGX_MCP_ERR_UNAVAILABLE, "Server is stopping");
    }

    ngx_mcp_count(NGX_MCP_COUNT_REQUESTS);

    ctx->vars.result = NGX_MCP_RESULT_LOCAL;

    return ngx_mcp_sse_open(r);
}


static ngx_int_t
ngx_mcp_sse_answer(ngx_http_request_t *r)
{
    if (r->headers_in.content_length_n > 0 || r->headers_in.chunked) {
        return ngx_mcp_refuse(r, NGX_HTTP_BAD_REQUEST,
                              NGX_MCP_ERR_INVALID_REQUEST,
                              "A stream takes no body");
    }

    if (ngx_mcp_session_timers_stopped()) {
        return ngx_mcp_refuse(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                              NGX_MCP_ERR_UNAVAILABLE,
                              "Server is stopping");
    }

    return (r->method == NGX_HTTP_HEAD) ? ngx_mcp_sse_head(r)
                                        : ngx_mcp_sse_open(r);
}


/*
 * Answers as GET, without opening a session.
 */

static ngx_int_t
ngx_mcp_sse_head(ngx_http_request_t *r)
{
    if (ngx_mcp_session_limit(r) != NGX_OK) {
        return ngx_mcp_sse_refuse(r, NGX_BUSY);
    }

    if (ngx_mcp_origin_headers(r) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_mcp_stream_header(r);
}


/*
 * The configuration determines the site.  "server_url", which old clients
 * send, must name it.
 */

static ngx_int_t
ngx_mcp_sse_server_url(ngx_http_request_t *r)
{
    u_char              *dst, *src;
    ngx_str_t            arg, url;
    ngx_mcp_loc_conf_t  *conf;

    if (ngx_http_arg(r, (u_char *) "server_url", sizeof("server_url") - 1,
                     &arg)
        != NGX_OK
        || arg.len == 0)
    {
        return NGX_OK;
    }

    dst = ngx_pnalloc(r->pool, arg.len);
    if (dst == NULL) {
        return NGX_ERROR;
    }

    url.data = dst;
    src = arg.data;

    ngx_unescape_uri(&dst, &src, arg.len, 0);

    url.len = dst - url.data;

    conf = ngx_http_get_module_loc_conf(r, ngx_http_mcp_sse_module);

    return ngx_mcp_origin_match(r, &url, conf->server_urls);
}


static ngx_int_t
ngx_mcp_sse_open(ngx_http_request_t *r)
{
    u_char                text[NGX_MCP_SESSION_ID_LEN];
    ngx_int_t             rc;
    ngx_uint_t            resumed;
    ngx_mcp_session_id_t  sid;
    ngx_mcp_ctx_t        *ctx;
    ngx_mcp_session_t    *s;

    if (ngx_mcp_sse_id(r, &sid, text, &resumed) != NGX_OK
        || ngx_mcp_origin_headers(r) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    s = ngx_mcp_session_create(r, &sid, text);
    if (s == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx = ngx_http_get_module_ctx(r, ngx_http_mcp_sse_module);

    s->streamable = ctx->streamable;
    s->resumed = resumed;

    /* the session may be freed before the request is logged */

    ctx->vars.session.len = 0;
    ctx->vars.session.data = ngx_pnalloc(r->pool, NGX_MCP_HASH_LEN);

    if (ctx->vars.session.data) {
        ngx_memcpy(ctx->vars.session.data, s->sid.hash, NGX_MCP_HASH_LEN);
        ctx->vars.session.len = NGX_MCP_HASH_LEN;
    }

    ngx_log_debug3(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "mcp sse opens session %*s, streamable: %d",
                   (size_t) NGX_MCP_HASH_LEN, s->sid.hash, s->streamable);

    rc = ngx_mcp_session_open(s, r, ngx_mcp_sse_keepalive_event(r));

    return (rc == NGX_BUSY || rc == NGX_DECLINED)
           ? ngx_mcp_sse_refuse(r, rc) : rc;
}


static ngx_int_t
ngx_mcp_sse_refuse(ngx_http_request_t *r, ngx_int_t rc)
{
    ngx_mcp_count(rc == NGX_BUSY ? NGX_MCP_COUNT_SESSIONS_FULL
                                 : NGX_MCP_COUNT_ZONE_FULL);

    if (rc == NGX_BUSY) {
        return ngx_mcp_refuse(r, NGX_HTTP_TOO_MANY_REQUESTS,
                              NGX_MCP_ERR_TOO_MANY,
                              "Too many sessions");
    }

    return ngx_mcp_refuse(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                          NGX_MCP_ERR_UNAVAILABLE,
                          "No room for another session");
}


/*
 * A legacy client that reconnects with a valid session id keeps it, and
 * "resumed" is set; any other value is ignored and a new id made.  Only legacy
 * clients are told the "text".
 */

static ngx_int_t
ngx_mcp_sse_id(ngx_http_request_t *r, ngx_mcp_session_id_t *sid, u_char *text,
    ngx_uint_t *resumed)
{
    ngx_int_t                       rc;
    ngx_str_t                       old;
    ngx_mcp_ctx_t                  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_mcp_sse_module);

    *resumed = 0;

    if (ctx->streamable && ctx->modern == NULL) {
        *sid = ctx->sid;
        ngx_memzero(text, NGX_MCP_SESSION_ID_LEN);
        return NGX_OK;
    }

    if (ctx->modern) {
        return ngx_mcp_sse_new_id(ctx, sid, text, "listen");
    }

    ngx_str_null(&old);

    if (ngx_mcp_header_value(&r->headers_in.headers, "last-event-id", &old)
        == NGX_DECLINED)
    {
        (void) ngx_http_arg(r, (u_char *) "session_id",
                            sizeof("session_id") - 1, &old);
    }

    rc = ngx_mcp_sse_last_id(r, &old, sid);

    if (rc == NGX_OK) {
        ngx_memcpy(text, old.data, NGX_MCP_SESSION_ID_LEN);
        *resumed = 1;
    }

    if (rc != NGX_DECLINED) {
        return rc;
    }

    return ngx_mcp_sse_new_id(ctx, sid, text, "legacy");
}


static ngx_int_t
ngx_mcp_sse_new_id(ngx_mcp_ctx_t *ctx, ngx_mcp_session_id_t *sid, u_char *text,
    const char *purpose)
{
    ngx_str_t        new;
    ngx_mcp_zone_t  *zone;

    zone = ngx_mcp_zone();
    new.data = text;

    return ngx_mcp_session_id_make(sid, &new, zone->secrets->elts,
                                   zone->root->instance, ngx_time(), purpose,
                                   &ctx->vars.site, &ctx->vars.user, NULL);
}


static ngx_int_t
ngx_mcp_sse_last_id(ngx_http_request_t *r, ngx_str_t *text,
    ngx_mcp_session_id_t *sid)
{
    ngx_mcp_ctx_t       *ctx;
    ngx_mcp_zone_t      *zone;
    ngx_mcp_loc_conf_t  *conf;

    ctx = ngx_http_get_module_ctx(r, ngx_http_mcp_sse_module);
    conf = ngx_http_get_module_loc_conf(r, ngx_http_mcp_sse_module);
    zone = ngx_mcp_zone();

    /* those with claims are of Streamable HTTP */

    if (text->len != NGX_MCP_SESSION_ID_LEN
        || ngx_mcp_session_id_parse(sid, text, NULL) != NGX_OK
        || ngx_time() - sid->issued >= conf->session_ttl)
    {
        return NGX_DECLINED;
    }

    return ngx_mcp_session_id_verify(sid, text, zone->secrets, "legacy",
                                     &ctx->vars.site, &ctx->vars.user);
}


static ngx_uint_t
ngx_mcp_sse_keepalive_event(ngx_http_request_t *r)
{
    ngx_str_t            value;
    ngx_mcp_ctx_t       *ctx;
    ngx_mcp_loc_conf_t  *conf;

    ctx = ngx_http_get_module_ctx(r, ngx_http_mcp_sse_module);
    conf = ngx_http_get_module_loc_conf(r, ngx_http_mcp_sse_module);

    /* clients of Streamable HTTP do not expect such an event */

    if (ctx->streamable) {
        return 0;
    }

    if (ngx_http_arg(r, (u_char *) "keepalive", sizeof("keepalive") - 1,
                     &value)
        == NGX_OK
        && value.len == sizeof("event") - 1
        && ngx_strncmp(value.data, "event", value.len) == 0)
    {
        return 1;
    }

    return conf->keepalive_event;
}

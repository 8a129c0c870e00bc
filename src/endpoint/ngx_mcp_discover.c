
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * server/discover for a backend of the older era.
 *
 * The zone has an entry for each user of a site: the result, made from the
 * answer to an initialize of the module.  What is missing, or not fresh, is
 * asked for:
 *
 *     discover() --- the user is fresh: answer
 *        |
 *        v
 *     initialize to the backend ---- asked(): answer; what the zone has,
 *                                    however old; or an error
 */

#include "ngx_mcp_discover.h"
#include "ngx_mcp_backend_era.h"
#include "ngx_mcp_body.h"
#include "ngx_mcp_challenge.h"
#include "ngx_mcp_counters.h"
#include "ngx_mcp_discover_result.h"
#include "ngx_mcp_events.h"
#include "ngx_mcp_negotiate.h"
#include "ngx_mcp_request.h"
#include "ngx_mcp_response.h"
#include "ngx_mcp_variables.h"


#define NGX_MCP_DISCOVER_MAX_BODY  16384    /* bytes, of a user not known */


static ngx_int_t ngx_mcp_discover_ask(ngx_http_request_t *r,
    ngx_mcp_discover_t *state);
static ngx_int_t ngx_mcp_discover_asked(ngx_http_request_t *r);
static void ngx_mcp_discover_keep(u_char *key, u_char *site,
    ngx_mcp_ask_answer_t *answer, ngx_pool_t *pool);
static ngx_int_t ngx_mcp_discover_refused(ngx_http_request_t *r,
    ngx_mcp_ask_answer_t *answer);
static ngx_int_t ngx_mcp_discover_answer(ngx_http_request_t *r,
    ngx_str_t *result);
static ngx_int_t ngx_mcp_discover_failed(ngx_http_request_t *r);
static ngx_int_t ngx_mcp_discover_unavailable_body(ngx_http_request_t *r,
    ngx_int_t status);


static ngx_str_t  ngx_mcp_discover_self = ngx_string(NGX_MCP_DISCOVER_SELF);

/* docs/PROTOCOL.md 15.61 */

static ngx_str_t  ngx_mcp_discover_initialize = ngx_string(
    "{\"protocolVersion\":\"2025-11-25\",\"capabilities\":{},"
    "\"clientInfo\":" NGX_MCP_DISCOVER_SELF "}");


ngx_int_t
ngx_mcp_discover(ngx_http_request_t *r)
{
    ngx_int_t            rc;
    ngx_mcp_ctx_t       *ctx;
    ngx_mcp_discover_t  *state;

    ctx = ngx_http_get_module_ctx(r, ngx_http_mcp_sse_module);
    state = ctx->modern->discover;

    if (ngx_mcp_backend_era_key(r, &ctx->vars.user, state->user) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_mcp_discovered_get(state->user, r->pool, &state->known);

    if (rc == NGX_ERROR) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (rc == NGX_OK && state->known.fresh) {
        return ngx_mcp_discover_answer(r, &state->known.text);
    }

    rc = ngx_mcp_discover_ask(r, state);

    switch (rc) {

    case NGX_DONE:
        return NGX_DONE;

    case NGX_BUSY:
        return ngx_mcp_discover_failed(r);

    default:
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
}


static ngx_int_t
ngx_mcp_discover_ask(ngx_http_request_t *r, ngx_mcp_discover_t *state)
{
    ngx_array_t         headers;
    ngx_mcp_ask_args_t  args;

    headers.elts = NULL;
    headers.nelts = 0;

    args.key = state->user;
    args.site = state->site;
    ngx_str_set(&args.method, "initialize");
    args.params = ngx_mcp_discover_initialize;
    args.headers = &headers;
    args.probe = 0;
    args.keep = ngx_mcp_discover_keep;

    return ngx_mcp_ask(r, &args, &state->waiter, ngx_mcp_discover_asked);
}


static ngx_int_t
ngx_mcp_discover_asked(ngx_http_request_t *r)
{
    ngx_mcp_ctx_t         *ctx;
    ngx_mcp_ask_answer_t  *answer;

    ctx = ngx_http_get_module_ctx(r, ngx_http_mcp_sse_module);

    answer = ngx_mcp_ask_answer(&ctx->modern->discover->waiter);

    if (answer && answer->known) {
        return ngx_mcp_discover_answer(r, &answer->discovered.text);
    }

    if (answer
        && (answer->status == NGX_HTTP_UNAUTHORIZED
            || answer->status == NGX_HTTP_FORBIDDEN))
    {
        return ngx_mcp_discover_refused(r, answer);
    }

    return ngx_mcp_discover_failed(r);
}


/*
 * The version and serverInfo of the backend are kept for the site, too: calls
 * of all its users need them.
 */

static void
ngx_mcp_discover_keep(u_char *key, u_char *site,
    ngx_mcp_ask_answer_t *answer, ngx_pool_t *pool)
{
    ngx_mcp_discovered_t       *d, of_site;
    ngx_mcp_discover_result_t   result;

    if (answer->response.len == 0
        || ngx_mcp_discover_result(pool, &answer->response,
                                   ngx_mcp_negotiate_supported(),
                                   &ngx_mcp_discover_self,
                                   ngx_mcp_events_used(), &result)
           != NGX_OK)
    {
        return;
    }

    d = &answer->discovered;

    d->left = NGX_MCP_DISCOVER_AGE_MS;
    d->text = result.result;
    answer->known = 1;

    if (d->text.len <= NGX_MCP_DISCOVERED_MAX_TEXT) {
        ngx_mcp_discovered_put(key, d);
    }

    if (ngx_mcp_discovered_get(site, pool, &of_site) != NGX_OK
        || !of_site.fresh)
    {
        return;
    }

    of_site.version = result.version;
    of_site.text = result.server_info;

    ngx_mcp_discovered_put(site, &of_site);
}


/*
 * Frappe knows the user, but does not allow the call.
 */

static ngx_int_t
ngx_mcp_discover_refused(ngx_http_request_t *r, ngx_mcp_ask_answer_t *answer)
{
    ngx_mcp_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_mcp_sse_module);

    ngx_str_null(&ctx->auth.result.challenge);

    if (answer->challenge.len) {
        ctx->auth.result.challenge.data = ngx_pstrdup(r->pool,
                                                      &answer->challenge);
        if (ctx->auth.result.challenge.data == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        ctx->auth.result.challenge.len = answer->challenge.len;
    }

    if (answer->status == NGX_HTTP_FORBIDDEN
        && answer->challenge.len
        && ngx_mcp_challenge(r, &ctx->auth.result.challenge, 0) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_mcp_refuse(r, answer->status, NGX_MCP_ERR_UNAUTHORIZED,
                          "Not permitted");
}


static ngx_int_t
ngx_mcp_discover_answer(ngx_http_request_t *r, ngx_str_t *result)
{
    u_char         *p;
    ngx_str_t       body;
    ngx_mcp_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_mcp_sse_module);

    p = ngx_pnalloc(r->pool,
                    sizeof("{\"jsonrpc\":\"2.0\",\"id\":,\"result\":}")
                    + ctx->modern->id.len + result->len);
    if (p == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    body.data = p;
    body.len = ngx_sprintf(p, "{\"jsonrpc\":\"2.0\",\"id\":%V,\"result\":%V}",
                           &ctx->modern->id, result)
               - p;

    ngx_mcp_count(NGX_MCP_COUNT_REQUESTS);
    ngx_mcp_count_call(&ctx->modern->method, NGX_MCP_RESULT_LOCAL);

    ctx->vars.result = NGX_MCP_RESULT_LOCAL;

    return ngx_mcp_respond(r, NGX_HTTP_OK, &body);
}


/*
 * The backend was not asked or has not answered: what it has told before, or an
 * error.  The client gets 200 (http/ngx_mcp_response.c).
 */

static ngx_int_t
ngx_mcp_discover_failed(ngx_http_request_t *r)
{
    ngx_mcp_ctx_t       *ctx;
    ngx_mcp_discover_t  *state;

    ctx = ngx_http_get_module_ctx(r, ngx_http_mcp_sse_module);
    state = ctx->modern->discover;

    if (state->known.text.len) {
        return ngx_mcp_discover_answer(r, &state->known.text);
    }

    return ngx_mcp_refuse(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                          NGX_MCP_ERR_UNAVAILABLE, "Backend unavailable");
}


ngx_int_t
ngx_mcp_discover_unavailable(ngx_http_request_t *r)
{
    return ngx_mcp_body_read(r, NGX_MCP_DISCOVER_MAX_BODY,
                             ngx_mcp_discover_unavailable_body);
}


static ngx_int_t
ngx_mcp_discover_unavailable_body(ngx_http_request_t *r, ngx_int_t status)
{
    ngx_uint_t                  batch;
    ngx_array_t                *messages;
    ngx_mcp_ctx_t              *ctx;
    ngx_mcp_jsonrpc_message_t  *m;

    ctx = ngx_http_get_module_ctx(r, ngx_http_mcp_sse_module);

    if (status != 0
        || ngx_mcp_jsonrpc_scan(r->pool, &ctx->body->text, &messages, &batch)
           != NGX_OK
        || batch)
    {
        return ngx_mcp_request_denied(r);
    }

    m = messages->elts;

    ctx->modern = ngx_pcalloc(r->pool, sizeof(ngx_mcp_modern_t));
    if (ctx->modern == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->modern->method = m->method;
    ctx->modern->id = m->id;

    ngx_mcp_vars_set(&ctx->vars, m);
    ctx->own_id = (m->type == NGX_MCP_JSONRPC_REQUEST);

    return ngx_mcp_request_denied(r);
}

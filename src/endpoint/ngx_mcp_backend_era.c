
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Which era the backend speaks.
 *
 * The zone has an entry for each site: whether its backend speaks the modern
 * era, found out by a server/discover of the module to it, and what it has told
 * of itself in initialize (endpoint/ngx_mcp_discover.c).  What is missing, or
 * not fresh, is asked for when a request needs it:
 *
 *     backend_era() ---- the site is fresh: next()
 *        |
 *        v
 *     server/discover to the backend ---- asked(): next()
 *
 * A backend that does not answer is taken for what it was before, or for one of
 * the older era, for a few seconds.
 */

#include "ngx_mcp_backend_era.h"
#include "ngx_mcp_discover_result.h"
#include "ngx_mcp_events.h"
#include "ngx_mcp_outcome.h"
#include "ngx_mcp_protocol_version.h"
#include "ngx_mcp_response.h"
#include "ngx_mcp_session_timers.h"
#include "ngx_mcp_zone.h"


#define NGX_MCP_BACKEND_ERA_DOUBT_MS  5000    /* it did not answer */


static ngx_mcp_discover_t *ngx_mcp_backend_era_state(ngx_http_request_t *r);
static ngx_int_t ngx_mcp_backend_era_ask(ngx_http_request_t *r,
    ngx_mcp_discover_t *state);
static ngx_int_t ngx_mcp_backend_era_asked(ngx_http_request_t *r);
static void ngx_mcp_backend_era_keep(u_char *key, u_char *site,
    ngx_mcp_ask_answer_t *answer, ngx_pool_t *pool);
static ngx_uint_t ngx_mcp_backend_era_conclusive(
    ngx_mcp_ask_answer_t *answer);
static ngx_int_t ngx_mcp_backend_era_take(ngx_http_request_t *r,
    ngx_mcp_discovered_t *site);


static ngx_str_t  ngx_mcp_backend_era_method = ngx_string("server/discover");
static ngx_str_t  ngx_mcp_backend_era_version =
                                ngx_string(NGX_MCP_PROTOCOL_VERSION_MODERN);

/* docs/PROTOCOL.md 15.66 */

static ngx_str_t  ngx_mcp_backend_era_params = ngx_string(
    "{\"_meta\":{\"io.modelcontextprotocol/protocolVersion\":\""
    NGX_MCP_PROTOCOL_VERSION_MODERN "\","
    "\"io.modelcontextprotocol/clientInfo\":" NGX_MCP_DISCOVER_SELF ","
    "\"io.modelcontextprotocol/clientCapabilities\":{}}}");

static ngx_keyval_t  ngx_mcp_backend_era_headers[] = {
    { ngx_string("mcp-protocol-version"),
      ngx_string(NGX_MCP_PROTOCOL_VERSION_MODERN) },
    { ngx_string("mcp-method"), ngx_string("server/discover") }
};


ngx_int_t
ngx_mcp_backend_era(ngx_http_request_t *r, ngx_mcp_resume_pt next)
{
    ngx_int_t              rc;
    ngx_mcp_discover_t    *state;
    ngx_mcp_discovered_t   site;

    state = ngx_mcp_backend_era_state(r);

    if (state == NULL
        || ngx_mcp_backend_era_key(r, NULL, state->site) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    state->next = next;

    rc = ngx_mcp_discovered_get(state->site, r->pool, &site);

    if (rc == NGX_OK && !site.fresh) {

        /* one request asks, meanwhile others go on with what is known */

        site.left = NGX_MCP_BACKEND_ERA_DOUBT_MS;
        ngx_mcp_discovered_put(state->site, &site);

        rc = NGX_DECLINED;
    }

    if (rc == NGX_DECLINED) {
        rc = ngx_mcp_backend_era_ask(r, state);

        if (rc == NGX_DONE) {
            return NGX_DONE;
        }

        /* what is known, though it is old */

        if (rc == NGX_BUSY) {
            rc = NGX_OK;
        }
    }

    if (rc != NGX_OK || ngx_mcp_backend_era_take(r, &site) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return next(r);
}


static ngx_mcp_discover_t *
ngx_mcp_backend_era_state(ngx_http_request_t *r)
{
    ngx_mcp_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_mcp_sse_module);

    if (ctx->modern->discover == NULL) {
        ctx->modern->discover = ngx_pcalloc(r->pool,
                                            sizeof(ngx_mcp_discover_t));
    }

    return ctx->modern->discover;
}


/*
 * Locations of one server with the same site and URI of calls have the same
 * backend.
 */

ngx_int_t
ngx_mcp_backend_era_key(ngx_http_request_t *r, ngx_str_t *user, u_char *key)
{
    ngx_str_t                  parts[6];
    ngx_mcp_ctx_t             *ctx;
    ngx_mcp_zone_t            *zone;
    ngx_mcp_loc_conf_t        *conf;
    ngx_http_core_srv_conf_t  *cscf;

    ctx = ngx_http_get_module_ctx(r, ngx_http_mcp_sse_module);
    conf = ngx_http_get_module_loc_conf(r, ngx_http_mcp_sse_module);
    cscf = ngx_http_get_module_srv_conf(r, ngx_http_core_module);
    zone = ngx_mcp_zone();

    ngx_str_set(&parts[0], "discover");
    parts[1] = ctx->vars.site;
    parts[2] = cscf->server_name;
    parts[3] = conf->call_uri;
    parts[4] = conf->call_args;

    if (user) {
        parts[5] = *user;

        /* the result for a user depends on it; the zone survives a reload */

        if (ngx_mcp_events_used()) {
            ngx_str_set(&parts[0], "discover with events");
        }
    }

    return ngx_mcp_hmac(key, zone->secrets->elts, parts, user ? 6 : 5);
}


/*
 * The question is one of the user: its call may wait behind other calls of that
 * user, and nobody else must.
 */

static ngx_int_t
ngx_mcp_backend_era_ask(ngx_http_request_t *r, ngx_mcp_discover_t *state)
{
    ngx_array_t         headers;
    ngx_mcp_ctx_t      *ctx;
    ngx_mcp_ask_args_t  args;

    ctx = ngx_http_get_module_ctx(r, ngx_http_mcp_sse_module);

    if (ngx_mcp_backend_era_key(r, &ctx->vars.user, state->user) != NGX_OK) {
        return NGX_ERROR;
    }

    headers.elts = ngx_mcp_backend_era_headers;
    headers.nelts = 2;

    args.key = state->user;
    args.site = state->site;
    args.method = ngx_mcp_backend_era_method;
    args.params = ngx_mcp_backend_era_params;
    args.headers = &headers;
    args.probe = 1;
    args.keep = ngx_mcp_backend_era_keep;

    return ngx_mcp_ask(r, &args, &state->waiter, ngx_mcp_backend_era_asked);
}


static ngx_int_t
ngx_mcp_backend_era_asked(ngx_http_request_t *r)
{
    ngx_mcp_ctx_t         *ctx;
    ngx_mcp_discover_t    *state;
    ngx_mcp_discovered_t   site;
    ngx_mcp_ask_answer_t  *answer;

    ctx = ngx_http_get_module_ctx(r, ngx_http_mcp_sse_module);
    state = ctx->modern->discover;

    answer = ngx_mcp_ask_answer(&state->waiter);

    if (answer == NULL) {
        return ngx_mcp_refuse(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                              NGX_MCP_ERR_UNAVAILABLE,
                              "Server is stopping");
    }

    site = answer->discovered;

    if (ngx_mcp_backend_era_take(r, &site) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return state->next(r);
}


static void
ngx_mcp_backend_era_keep(u_char *key, u_char *site,
    ngx_mcp_ask_answer_t *answer, ngx_pool_t *pool)
{
    ngx_int_t              rc;
    ngx_mcp_discovered_t  *d;

    d = &answer->discovered;

    /* what it was before, if anything */

    (void) ngx_mcp_discovered_get(site, pool, d);

    rc = answer->response.len
         ? ngx_mcp_discover_supports(pool, &answer->response,
                                     &ngx_mcp_backend_era_version)
         : NGX_DECLINED;

    answer->known = 1;

    if (rc == NGX_OK
        || (rc == NGX_DECLINED && ngx_mcp_backend_era_conclusive(answer)))
    {
        d->left = NGX_MCP_DISCOVER_AGE_MS;
        d->modern = (rc == NGX_OK);

    } else if (d->fresh || ngx_mcp_session_timers_stopped()) {

        /* another user has found it out meanwhile; or the next worker will */

        return;

    } else {
        d->left = NGX_MCP_BACKEND_ERA_DOUBT_MS;
    }

    ngx_mcp_discovered_put(site, d);
}


/*
 * Returns whether a backend that has not answered server/discover with a result
 * does not know it.  A refused credential, a busy or broken Frappe say nothing.
 */

static ngx_uint_t
ngx_mcp_backend_era_conclusive(ngx_mcp_ask_answer_t *answer)
{
    return answer->response.len || ngx_mcp_outcome_unknown(answer->status);
}


/*
 * Copies what is known of the site, which may be in the pool of a question.
 */

static ngx_int_t
ngx_mcp_backend_era_take(ngx_http_request_t *r, ngx_mcp_discovered_t *site)
{
    ngx_mcp_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_mcp_sse_module);

    ctx->modern->passes = site->modern;
    ngx_str_null(&ctx->version);

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "mcp backend speaks the modern era: %d, version: \"%V\"",
                   site->modern, &site->version);

    if (site->modern) {
        ctx->version = ngx_mcp_backend_era_version;
        return NGX_OK;
    }

    if (site->version.len) {
        ctx->version.data = ngx_pstrdup(r->pool, &site->version);
        if (ctx->version.data == NULL) {
            return NGX_ERROR;
        }

        ctx->version.len = site->version.len;
    }

    if (site->text.len) {
        ctx->modern->server_info.data = ngx_pstrdup(r->pool, &site->text);
        if (ctx->modern->server_info.data == NULL) {
            return NGX_ERROR;
        }

        ctx->modern->server_info.len = site->text.len;
    }

    return NGX_OK;
}

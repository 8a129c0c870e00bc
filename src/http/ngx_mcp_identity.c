
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Which client has sent a request, as it says itself.
 */

#include "ngx_mcp_identity.h"
#include "ngx_mcp_negotiate.h"
#include "ngx_mcp_protocol_version.h"


ngx_int_t
ngx_mcp_identity_read(ngx_pool_t *pool, ngx_str_t *params,
    ngx_mcp_client_t *client, ngx_str_t *newest)
{
    ngx_str_t  offered, version;

    ngx_str_null(&offered);

    if (ngx_mcp_client_initialize(pool, params, client) != NGX_OK
        || ngx_mcp_protocol_version_offered(pool, params, &offered)
           == NGX_ERROR)
    {
        return NGX_ERROR;
    }

    version = ngx_mcp_negotiate_limit(&offered);

    if (offered.len) {
        ngx_mcp_client_version(client, &version);
    }

    if (newest) {
        *newest = version;
    }

    return NGX_OK;
}


ngx_int_t
ngx_mcp_identity_claims(ngx_http_request_t *r, ngx_str_t *claims)
{
    u_char         *p;
    ngx_str_t       name;
    ngx_mcp_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_mcp_sse_module);

    ctx->vars.version = ctx->version;
    ctx->capabilities = ngx_mcp_client_claims_capabilities(claims);

    if (claims->len == 0) {
        return NGX_OK;
    }

    name = ngx_mcp_client_claims_name(claims);

    p = ngx_pnalloc(r->pool, name.len + NGX_MCP_CLIENT_VERSION_LEN);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ctx->vars.client.data = p;
    ctx->vars.client.len = name.len;

    p = name.len ? ngx_cpymem(p, name.data, name.len) : p;

    /* in the modern era the body has the version */

    if (ctx->modern || ctx->version.len == 0) {
        ctx->vars.version.data = p;
        ctx->vars.version.len = ngx_mcp_client_claims_version(claims, p);
    }

    ngx_log_debug3(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "mcp client: \"%V\" version:%V capabilities:%Xd",
                   &ctx->vars.client, &ctx->vars.version,
                   (int) ctx->capabilities);

    return NGX_OK;
}


ngx_int_t
ngx_mcp_identity_modern(ngx_http_request_t *r)
{
    u_char                   buf[NGX_MCP_CLIENT_MAX_CLAIMS];
    ngx_str_t                claims;
    ngx_mcp_ctx_t           *ctx;
    ngx_mcp_client_t         client;
    ngx_mcp_request_meta_t  *meta;

    ctx = ngx_http_get_module_ctx(r, ngx_http_mcp_sse_module);
    meta = &ctx->modern->meta;

    ngx_mcp_client_name(&client, &meta->client_name, &meta->client_version);
    ngx_mcp_client_version(&client, &meta->version);

    if (ngx_mcp_client_capabilities(r->pool, &meta->capabilities,
                                    &client.capabilities)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    claims.data = buf;
    claims.len = ngx_mcp_client_claims(&client, buf);

    return ngx_mcp_identity_claims(r, &claims);
}

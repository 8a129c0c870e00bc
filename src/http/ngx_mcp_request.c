
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * The first checks of every endpoint: method, Origin, site; creates the
 * context of a request, which is in the pool of the request.
 */

#include "ngx_mcp_request.h"
#include "ngx_mcp_header.h"
#include "ngx_mcp_origin.h"
#include "ngx_mcp_response.h"
#include "ngx_mcp_workers.h"


static ngx_mcp_ctx_t *ngx_mcp_request_create_ctx(ngx_http_request_t *r,
    const char *methods);
static ngx_int_t ngx_mcp_request_site(ngx_http_request_t *r, ngx_str_t *site);
static ngx_uint_t ngx_mcp_request_site_valid(ngx_str_t *site);
static ngx_int_t ngx_mcp_request_options(ngx_http_request_t *r);
static ngx_int_t ngx_mcp_request_read_only(ngx_http_request_t *r,
    ngx_int_t *rc);


ngx_mcp_ctx_t *
ngx_mcp_request_start(ngx_http_request_t *r, ngx_uint_t allowed,
    const char *methods, ngx_int_t *rc)
{
    ngx_mcp_ctx_t  *ctx;

    if (r != r->main || r->post_action) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "mcp sse: endpoints do not serve subrequests and "
                      "post_action, check the configuration");
        *rc = NGX_HTTP_NOT_FOUND;
        return NULL;
    }

    ctx = ngx_mcp_request_create_ctx(r, methods);

    if (ctx == NULL) {
        *rc = NGX_HTTP_INTERNAL_SERVER_ERROR;
        return NULL;
    }

    /* check Origin first: a 405 response needs CORS headers as well */

    *rc = ngx_mcp_origin_check(r);

    if ((r->method & (allowed|NGX_HTTP_OPTIONS)) == 0) {
        ctx->reason = NULL;

        *rc = ngx_mcp_refuse(r, NGX_HTTP_NOT_ALLOWED,
                             NGX_MCP_ERR_INVALID_REQUEST,
                             "Method not allowed");
        return NULL;
    }

    if (*rc == NGX_DECLINED) {
        *rc = ngx_mcp_refuse(r, NGX_HTTP_FORBIDDEN,
                             NGX_MCP_ERR_INVALID_REQUEST,
                             "Origin not allowed");
        return NULL;
    }

    if (*rc == NGX_OK && r->method == NGX_HTTP_OPTIONS) {
        *rc = ngx_mcp_request_options(r);
        return NULL;
    }

    if (*rc != NGX_OK || ngx_mcp_request_site(r, &ctx->vars.site) != NGX_OK) {
        *rc = NGX_HTTP_INTERNAL_SERVER_ERROR;
        return NULL;
    }

    if (ngx_mcp_workers_self() == NULL) {
        ctx->reason = "this worker process has no place in mcp_sse_zone yet";
        *rc = ngx_mcp_refuse(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                             NGX_MCP_ERR_UNAVAILABLE,
                             "Worker is not ready");
        return NULL;
    }

    if (!ngx_mcp_request_site_valid(&ctx->vars.site)) {
        ctx->reason = "mcp_sse_site is empty or has a character that no name "
                      "of a host has";
        *rc = ngx_mcp_refuse(r, NGX_HTTP_BAD_REQUEST,
                             NGX_MCP_ERR_INVALID_PARAMS,
                             "No such site");
        return NULL;
    }

    return ctx;
}


static ngx_mcp_ctx_t *
ngx_mcp_request_create_ctx(ngx_http_request_t *r, const char *methods)
{
    ngx_mcp_ctx_t  *ctx;

    ctx = ngx_pcalloc(r->pool, sizeof(ngx_mcp_ctx_t));
    if (ctx == NULL) {
        return NULL;
    }

    ctx->request = r;
    ctx->methods.data = (u_char *) methods;
    ctx->methods.len = ngx_strlen(methods);

    ngx_http_set_ctx(r, ctx, ngx_http_mcp_sse_module);

#if (NGX_DEBUG)
    {
    ngx_mcp_loc_conf_t  *conf;

    conf = ngx_http_get_module_loc_conf(r, ngx_http_mcp_sse_module);

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "mcp request: \"%V\" %V", &r->method_name, &conf->handler);
    }
#endif

    /* responses have no validators: ignore If-Match and similar headers */

    r->disable_not_modified = 1;

    return ctx;
}


static ngx_int_t
ngx_mcp_request_site(ngx_http_request_t *r, ngx_str_t *site)
{
    ngx_http_core_srv_conf_t  *cscf;
    ngx_mcp_loc_conf_t        *conf;

    conf = ngx_http_get_module_loc_conf(r, ngx_http_mcp_sse_module);

    if (conf->site) {
        return ngx_http_complex_value(r, conf->site, site);
    }

    cscf = ngx_http_get_module_srv_conf(r, ngx_http_core_module);

    *site = cscf->server_name;

    if (site->len == 0) {
        ngx_str_set(site, "_");
    }

    return NGX_OK;
}


/*
 * The site goes into headers, logs and quoted strings.  A variable may have
 * bytes that a client has sent encoded in the URI.
 */

static ngx_uint_t
ngx_mcp_request_site_valid(ngx_str_t *site)
{
    size_t  i;

    for (i = 0; i < site->len; i++) {

        if (site->data[i] <= ' '
            || site->data[i] == 0x7f
            || site->data[i] == '"'
            || site->data[i] == '\\')
        {
            return 0;
        }
    }

    return site->len != 0;
}


static ngx_int_t
ngx_mcp_request_options(ngx_http_request_t *r)
{
    ngx_mcp_ctx_t         *ctx;
    ngx_table_elt_t       *h;
    ngx_mcp_header_pos_t   pos;

    static ngx_str_t  requested = ngx_string("access-control-request-headers");

    ctx = ngx_http_get_module_ctx(r, ngx_http_mcp_sse_module);

    if (ngx_mcp_header_set(r, "Allow", &ctx->methods) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ctx->origin.len == 0) {
        return ngx_mcp_respond(r, NGX_HTTP_NO_CONTENT, NULL);
    }

    if (ngx_mcp_header_set(r, "Access-Control-Allow-Methods",
                           &ctx->methods)
        != NGX_OK
        || ngx_mcp_header_add(r, "Access-Control-Max-Age", "600")
           != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_memzero(&pos, sizeof(ngx_mcp_header_pos_t));

    while ((h = ngx_mcp_header_find(&r->headers_in.headers, &requested, &pos))
           != NULL)
    {
        if (ngx_mcp_header_set(r, "Access-Control-Allow-Headers", &h->value)
            != NGX_OK)
        {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    return ngx_mcp_respond(r, NGX_HTTP_NO_CONTENT, NULL);
}


ngx_int_t
ngx_mcp_request_denied(ngx_http_request_t *r)
{
    ngx_mcp_ctx_t       *ctx;
    ngx_mcp_loc_conf_t  *conf;

    ctx = ngx_http_get_module_ctx(r, ngx_http_mcp_sse_module);
    conf = ngx_http_get_module_loc_conf(r, ngx_http_mcp_sse_module);

    if (ctx->auth.result.status < NGX_HTTP_INTERNAL_SERVER_ERROR) {

        if (conf->principal) {
            ctx->reason = "mcp_sse_principal is empty or has a control "
                          "character";

        } else if (ctx->auth.credential.value.len) {
            ctx->reason = "Frappe does not take the credential, check that "
                          "key and secret are right and the user is enabled";

        } else {
            ctx->reason = "there is no Authorization \"token KEY:SECRET\" "
                          "or \"Bearer TOKEN\"";
        }

        return ngx_mcp_refuse(r, NGX_HTTP_UNAUTHORIZED,
                              NGX_MCP_ERR_UNAUTHORIZED,
                              "Invalid authorization");
    }

    return ngx_mcp_refuse(r, ctx->auth.result.status,
                          NGX_MCP_ERR_UNAVAILABLE,
                          "Backend unavailable");
}


ngx_int_t
ngx_mcp_request_session_id(ngx_http_request_t *r, ngx_str_t *text,
    ngx_str_t *claims)
{
    ngx_mcp_ctx_t       *ctx;
    ngx_mcp_loc_conf_t  *conf;

    ctx = ngx_http_get_module_ctx(r, ngx_http_mcp_sse_module);
    conf = ngx_http_get_module_loc_conf(r, ngx_http_mcp_sse_module);

    if (ngx_mcp_session_id_parse(&ctx->sid, text, claims) != NGX_OK) {
        return NGX_DECLINED;
    }

    ctx->vars.session.data = ctx->sid.hash;
    ctx->vars.session.len = NGX_MCP_HASH_LEN;

    ngx_log_debug1(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "mcp session: %V", &ctx->vars.session);

    return ngx_time() - ctx->sid.issued < conf->session_ttl ? NGX_OK
                                                            : NGX_DECLINED;
}


ngx_int_t
ngx_mcp_request_status_page(ngx_http_request_t *r, ngx_int_t *rc)
{
    if (ngx_mcp_request_create_ctx(r, "GET, HEAD, OPTIONS") == NULL) {
        *rc = NGX_HTTP_INTERNAL_SERVER_ERROR;
        return NGX_DECLINED;
    }

    return ngx_mcp_request_read_only(r, rc);
}


ngx_int_t
ngx_mcp_request_document(ngx_http_request_t *r, ngx_int_t *rc)
{
    ngx_mcp_ctx_t  *ctx;

    ctx = ngx_mcp_request_create_ctx(r, "GET, HEAD, OPTIONS");

    if (ctx == NULL) {
        *rc = NGX_HTTP_INTERNAL_SERVER_ERROR;
        return NGX_DECLINED;
    }

    ngx_str_set(&ctx->origin, "*");

    return ngx_mcp_request_read_only(r, rc);
}


static ngx_int_t
ngx_mcp_request_read_only(ngx_http_request_t *r, ngx_int_t *rc)
{
    if (r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD)) {
        return NGX_OK;
    }

    if (r->method == NGX_HTTP_OPTIONS) {
        *rc = ngx_mcp_request_options(r);
        return NGX_DECLINED;
    }

    *rc = ngx_mcp_refuse(r, NGX_HTTP_NOT_ALLOWED,
                         NGX_MCP_ERR_INVALID_REQUEST,
                         "Method not allowed");
    return NGX_DECLINED;
}


ngx_int_t
ngx_mcp_request_scheme(ngx_http_request_t *r, ngx_str_t *scheme)
{
    ngx_str_t                   name;
    ngx_http_variable_value_t  *vv;

    ngx_str_set(&name, "scheme");

    vv = ngx_http_get_variable(r, &name, ngx_hash_key(name.data, name.len));

    if (vv == NULL || vv->not_found) {
        return NGX_ERROR;
    }

    scheme->data = vv->data;
    scheme->len = vv->len;

    return NGX_OK;
}


/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Selects the headers that go to Frappe, and builds the envelope of a POST.
 */

#include "ngx_mcp_forward_headers.h"
#include "ngx_mcp_client.h"
#include "ngx_mcp_public_url.h"
#include "ngx_mcp_json_text.h"


static ngx_int_t ngx_mcp_forward_headers_own(ngx_http_request_t *r,
    ngx_array_t *headers);
static ngx_int_t ngx_mcp_forward_headers_version(ngx_mcp_ctx_t *ctx,
    ngx_array_t *headers);
static ngx_int_t ngx_mcp_forward_headers_identity(ngx_mcp_ctx_t *ctx,
    ngx_array_t *headers);
static ngx_int_t ngx_mcp_forward_headers_client(ngx_http_request_t *r,
    ngx_array_t *headers, ngx_uint_t own);
static ngx_uint_t ngx_mcp_forward_headers_skipped(ngx_mcp_ctx_t *ctx,
    ngx_table_elt_t *h, ngx_uint_t own);
static ngx_uint_t ngx_mcp_forward_headers_mcp_name(ngx_table_elt_t *h);
static ngx_uint_t ngx_mcp_forward_headers_allowed(ngx_mcp_loc_conf_t *conf,
    ngx_table_elt_t *h);
static ngx_uint_t ngx_mcp_forward_headers_listed(ngx_str_t *list,
    ngx_table_elt_t *h);
static ngx_int_t ngx_mcp_forward_headers_add(ngx_array_t *headers,
    ngx_str_t *name, ngx_str_t *value);


/* headers that are always forwarded, besides mcp-*; in lower case */

static ngx_str_t  ngx_mcp_forward_headers_always[] = {
    ngx_string("user-agent"),
    ngx_string("accept-language"),
    ngx_string("traceparent"),
    ngx_string("tracestate"),
    ngx_string("x-request-id"),
    ngx_null_string
};

/* headers that are never forwarded; mcp_sse_pass_header does not accept them */

static ngx_str_t  ngx_mcp_forward_headers_never[] = {
    ngx_string("accept"),
    ngx_string("accept-encoding"),
    ngx_string("authorization"),
    ngx_string("connection"),
    ngx_string("content-encoding"),
    ngx_string("content-length"),
    ngx_string("content-type"),
    ngx_string("cookie"),
    ngx_string("expect"),
    ngx_string("frappe-authorization-source"),
    ngx_string("host"),
    ngx_string("http2-settings"),
    ngx_string("keep-alive"),
    ngx_string("mcp-session-id"),
    ngx_string("proxy-authorization"),
    ngx_string("proxy-connection"),
    ngx_string("te"),
    ngx_string("trailer"),
    ngx_string("transfer-encoding"),
    ngx_string("upgrade"),
    ngx_string("x-forwarded-for"),
    ngx_string("x-forwarded-host"),
    ngx_string("x-forwarded-proto"),
    ngx_string("x-assistant-client-id"),
    ngx_string("x-frappe-csrf-token"),
    ngx_string("x-frappe-site-name"),
    ngx_string("x-mcp-call"),
    ngx_string("x-real-ip"),
    ngx_string("x-use-x-accel-redirect"),
    ngx_null_string
};

/*
 * A header with an empty name is the address of the client, one with ":" is
 * $mcp_sse_version: they are not sent.
 */

static ngx_str_t  ngx_mcp_forward_headers_address = ngx_string("");
static ngx_str_t  ngx_mcp_forward_headers_variable = ngx_string(":");

static ngx_str_t  ngx_mcp_forward_headers_authorization =
                                               ngx_string("authorization");
static ngx_str_t  ngx_mcp_forward_headers_cookie = ngx_string("cookie");
static ngx_str_t  ngx_mcp_forward_headers_csrf =
                                         ngx_string("x-frappe-csrf-token");
static ngx_str_t  ngx_mcp_forward_headers_for_name =
                                             ngx_string("x-forwarded-for");
static ngx_str_t  ngx_mcp_forward_headers_host =
                                            ngx_string("x-forwarded-host");
static ngx_str_t  ngx_mcp_forward_headers_proto =
                                           ngx_string("x-forwarded-proto");
static ngx_str_t  ngx_mcp_forward_headers_version_name =
                                        ngx_string("mcp-protocol-version");
static ngx_str_t  ngx_mcp_forward_headers_client_id =
                                        ngx_string("x-assistant-client-id");


ngx_int_t
ngx_mcp_forward_headers(ngx_http_request_t *r, ngx_array_t *messages,
    ngx_mcp_envelope_t **env)
{
    return ngx_mcp_forward_headers_mcp(r, NULL, messages, env);
}


ngx_int_t
ngx_mcp_forward_headers_mcp(ngx_http_request_t *r, ngx_array_t *mcp,
    ngx_array_t *messages, ngx_mcp_envelope_t **env)
{
    size_t         size;
    ngx_uint_t     i;
    ngx_array_t   *headers;
    ngx_keyval_t  *kv;

    headers = ngx_array_create(r->pool, 16, sizeof(ngx_keyval_t));

    if (headers == NULL
        || ngx_mcp_forward_headers_own(r, headers) != NGX_OK
        || ngx_mcp_forward_headers_client(r, headers, mcp != NULL) != NGX_OK)
    {
        return NGX_ERROR;
    }

    kv = mcp ? mcp->elts : NULL;

    for (i = 0; mcp && i < mcp->nelts; i++) {

        if (ngx_mcp_forward_headers_add(headers, &kv[i].key, &kv[i].value)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    kv = headers->elts;
    size = 0;

    for (i = 0; i < headers->nelts; i++) {
        size += 2 * sizeof(uint32_t) + kv[i].key.len + kv[i].value.len;
    }

    if (size > NGX_MCP_MAX_HEADERS_SIZE) {
        return NGX_DECLINED;
    }

    ngx_log_debug3(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "mcp envelope: %ui messages, %ui headers of %uz bytes",
                   messages->nelts, headers->nelts, size);

    *env = ngx_mcp_envelope_make(headers, messages, r->connection->log);

    return *env ? NGX_OK : NGX_ERROR;
}


/*
 * Headers that the module sets.  The client's own X-Forwarded-* are replaced:
 * Frappe trusts them, and can restrict users to addresses.
 */

static ngx_int_t
ngx_mcp_forward_headers_own(ngx_http_request_t *r, ngx_array_t *headers)
{
    ngx_str_t              proto, host, *address;
    ngx_mcp_ctx_t         *ctx;
    ngx_mcp_credential_t  *cred;

    ctx = ngx_http_get_module_ctx(r, ngx_http_mcp_sse_module);
    cred = &ctx->auth.credential;

    address = &r->connection->addr_text;

    if (ngx_mcp_public_url_forwarded(r, &proto, &host) != NGX_OK
        || ngx_mcp_forward_headers_add(headers,
                                       &ngx_mcp_forward_headers_address,
                                       address)
           != NGX_OK
        || ngx_mcp_forward_headers_add(headers,
                                       &ngx_mcp_forward_headers_for_name,
                                       address)
           != NGX_OK
        || ngx_mcp_forward_headers_add(headers, &ngx_mcp_forward_headers_proto,
                                       &proto)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (host.len
        && ngx_mcp_forward_headers_add(headers, &ngx_mcp_forward_headers_host,
                                       &host)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ngx_mcp_forward_headers_identity(ctx, headers) != NGX_OK) {
        return NGX_ERROR;
    }

    if (cred->value.len
        && ngx_mcp_forward_headers_add(headers,
                                 cred->cookie
                                       ? &ngx_mcp_forward_headers_cookie
                                       : &ngx_mcp_forward_headers_authorization,
                                 &cred->value)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (cred->cookie && cred->csrf_token.len) {
        return ngx_mcp_forward_headers_add(headers,
                                           &ngx_mcp_forward_headers_csrf,
                                           &cred->csrf_token);
    }

    return NGX_OK;
}


/*
 * Frappe Assistant Core notes X-Assistant-Client-Id in its audit log.  The
 * version has a header of its own, unless the client names none or Frappe is
 * to get another one.
 */

static ngx_int_t
ngx_mcp_forward_headers_identity(ngx_mcp_ctx_t *ctx, ngx_array_t *headers)
{
    ngx_mcp_vars_t  *vars;

    vars = &ctx->vars;

    if (vars->client.len
        && ngx_mcp_forward_headers_add(headers,
                                       &ngx_mcp_forward_headers_client_id,
                                       &vars->client)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (vars->version.len == 0 || vars->version.data == ctx->version.data) {
        return NGX_OK;
    }

    return ngx_mcp_forward_headers_add(headers,
                                       &ngx_mcp_forward_headers_variable,
                                       &vars->version);
}


/*
 * "own": the module sends mcp-* headers of its own, and none of the client.
 */

static ngx_int_t
ngx_mcp_forward_headers_client(ngx_http_request_t *r, ngx_array_t *headers,
    ngx_uint_t own)
{
    ngx_str_t            name;
    ngx_uint_t           i;
    ngx_list_part_t     *part;
    ngx_mcp_ctx_t       *ctx;
    ngx_table_elt_t     *h;
    ngx_mcp_loc_conf_t  *conf;

    ctx = ngx_http_get_module_ctx(r, ngx_http_mcp_sse_module);
    conf = ngx_http_get_module_loc_conf(r, ngx_http_mcp_sse_module);

    if (!own && ngx_mcp_forward_headers_version(ctx, headers) != NGX_OK) {
        return NGX_ERROR;
    }

    for (part = &r->headers_in.headers.part; part; part = part->next) {

        h = part->elts;

        for (i = 0; i < part->nelts; i++) {

            if (h[i].hash == 0
                || !ngx_mcp_forward_headers_allowed(conf, &h[i])
                || ngx_mcp_forward_headers_skipped(ctx, &h[i], own))
            {
                continue;
            }

            name.data = h[i].lowcase_key;
            name.len = h[i].key.len;

            if (ngx_mcp_forward_headers_add(headers, &name, &h[i].value)
                != NGX_OK)
            {
                return NGX_ERROR;
            }
        }
    }

    return NGX_OK;
}


/*
 * The client may name the version several times, or one of the modern era.
 */

static ngx_int_t
ngx_mcp_forward_headers_version(ngx_mcp_ctx_t *ctx, ngx_array_t *headers)
{
    if (ctx->version.len == 0
        || (ctx->capabilities & NGX_MCP_CLIENT_LOWERED))
    {
        return NGX_OK;
    }

    return ngx_mcp_forward_headers_add(headers,
                                       &ngx_mcp_forward_headers_version_name,
                                       &ctx->version);
}


/*
 * A backend of the older era would refuse the version of the modern one.
 */

static ngx_uint_t
ngx_mcp_forward_headers_skipped(ngx_mcp_ctx_t *ctx, ngx_table_elt_t *h,
    ngx_uint_t own)
{
    ngx_str_t  name;

    if (!ngx_mcp_forward_headers_mcp_name(h)) {
        return 0;
    }

    if (own) {
        return 1;
    }

    name.data = h->lowcase_key;
    name.len = h->key.len;

    /* Frappe may refuse a version on which it has not settled */

    return (ctx->version.len
            || ctx->modern
            || (ctx->capabilities & NGX_MCP_CLIENT_LOWERED))
           && ngx_mcp_str_is(&name, "mcp-protocol-version");
}


static ngx_uint_t
ngx_mcp_forward_headers_mcp_name(ngx_table_elt_t *h)
{
    return h->key.len > 4 && ngx_strncmp(h->lowcase_key, "mcp-", 4) == 0;
}


static ngx_uint_t
ngx_mcp_forward_headers_allowed(ngx_mcp_loc_conf_t *conf, ngx_table_elt_t *h)
{
    if (ngx_mcp_forward_headers_mcp_name(h)) {
        return !ngx_mcp_forward_headers_listed(ngx_mcp_forward_headers_never,
                                               h);
    }

    if (ngx_mcp_forward_headers_listed(ngx_mcp_forward_headers_always, h)) {
        return 1;
    }

    /* the array ends with an empty name, as the list above */

    return conf->pass_headers
           && ngx_mcp_forward_headers_listed(conf->pass_headers->elts, h);
}


static ngx_uint_t
ngx_mcp_forward_headers_listed(ngx_str_t *list, ngx_table_elt_t *h)
{
    for ( /* void */ ; list->len; list++) {

        if (list->len == h->key.len
            && ngx_strncmp(list->data, h->lowcase_key, list->len) == 0)
        {
            return 1;
        }
    }

    return 0;
}


ngx_uint_t
ngx_mcp_forward_headers_allowed_name(ngx_str_t *name)
{
    ngx_table_elt_t  h;

    h.key = *name;
    h.lowcase_key = name->data;

    return !ngx_mcp_forward_headers_listed(ngx_mcp_forward_headers_never, &h);
}


static ngx_int_t
ngx_mcp_forward_headers_add(ngx_array_t *headers, ngx_str_t *name,
    ngx_str_t *value)
{
    ngx_keyval_t  *kv;

    kv = ngx_array_push(headers);
    if (kv == NULL) {
        return NGX_ERROR;
    }

    kv->key = *name;
    kv->value = *value;

    return NGX_OK;
}

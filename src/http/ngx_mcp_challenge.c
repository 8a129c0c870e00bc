
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * WWW-Authenticate (RFC 9110, 11.6.1), with the metadata of the protected
 * resource (RFC 9728).
 *
 * All values are in the pool of the request.
 */

#include "ngx_mcp_challenge.h"
#include "ngx_mcp_header.h"
#include "ngx_mcp_request.h"


static ngx_int_t ngx_mcp_challenge_own(ngx_http_request_t *r,
    ngx_str_t *value);
static ngx_int_t ngx_mcp_challenge_complete(ngx_http_request_t *r,
    ngx_str_t *value);
static ngx_int_t ngx_mcp_challenge_metadata(ngx_http_request_t *r,
    ngx_str_t *url);
static ngx_uint_t ngx_mcp_challenge_safe(ngx_str_t *text);


ngx_int_t
ngx_mcp_challenge(ngx_http_request_t *r, ngx_str_t *given)
{
    ngx_str_t  value;

    value = *given;

    ngx_log_debug1(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "mcp challenge of %s", value.len ? "Frappe" : "the module");

    if (value.len == 0 && ngx_mcp_challenge_own(r, &value) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ngx_mcp_challenge_complete(r, &value) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_mcp_header_set(r, "WWW-Authenticate", &value);
}


static ngx_int_t
ngx_mcp_challenge_own(ngx_http_request_t *r, ngx_str_t *value)
{
    ngx_str_t      *host;
    ngx_mcp_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_mcp_sse_module);

    host = r->headers_in.server.len ? &r->headers_in.server
                                    : &ctx->vars.site;

    if (!ngx_mcp_challenge_safe(host)) {
        host = &ctx->vars.site;
    }

    value->data = ngx_pnalloc(r->pool, sizeof("Bearer realm=\"\"")
                                       + host->len);
    if (value->data == NULL) {
        return NGX_ERROR;
    }

    value->len = ngx_sprintf(value->data, "Bearer realm=\"%V\"", host)
                 - value->data;

    return NGX_OK;
}


/*
 * Adds resource_metadata (RFC 9728, 5.1) to a Bearer challenge that has none,
 * at an endpoint of Streamable HTTP.  Other challenges stay as they are.
 */

static ngx_int_t
ngx_mcp_challenge_complete(ngx_http_request_t *r, ngx_str_t *value)
{
    u_char         *p;
    ngx_str_t       url;
    ngx_mcp_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_mcp_sse_module);

    if (!ctx->streamable
        || value->len < sizeof("Bearer") - 1
        || ngx_strncasecmp(value->data, (u_char *) "Bearer",
                           sizeof("Bearer") - 1)
           != 0
        || ngx_strlcasestrn(value->data, value->data + value->len,
                            (u_char *) "resource_metadata=",
                            sizeof("resource_metadata=") - 2))
    {
        return NGX_OK;
    }

    if (ngx_mcp_challenge_metadata(r, &url) != NGX_OK) {
        return NGX_ERROR;
    }

    if (url.len == 0) {
        return NGX_OK;
    }

    p = ngx_pnalloc(r->pool, value->len + url.len
                             + sizeof(", resource_metadata=\"\""));
    if (p == NULL) {
        return NGX_ERROR;
    }

    value->len = ngx_sprintf(p, "%V%s resource_metadata=\"%V\"", value,
                             value->len > sizeof("Bearer") ? "," : "", &url)
                 - p;
    value->data = p;

    return NGX_OK;
}


/*
 * RFC 9728, 3.1: the metadata of "https://HOST/mcp" are at
 * "https://HOST/.well-known/oauth-protected-resource/mcp".
 */

static ngx_int_t
ngx_mcp_challenge_metadata(ngx_http_request_t *r, ngx_str_t *url)
{
    ngx_str_t            path, scheme, host;
    ngx_mcp_loc_conf_t  *conf;

    conf = ngx_http_get_module_loc_conf(r, ngx_http_mcp_sse_module);

    path = r->uri;

    while (path.len && path.data[path.len - 1] == '/') {
        path.len--;
    }

    ngx_str_null(url);
    ngx_str_null(&host);

    if (r->headers_in.host) {
        host = r->headers_in.host->value;
    }

    if (!ngx_mcp_challenge_safe(&path)
        || (conf->public_url.len == 0
            && (host.len == 0 || !ngx_mcp_challenge_safe(&host))))
    {
        return NGX_OK;
    }

    if (conf->public_url.len) {
        scheme = conf->public_url;
        host.len = 0;

    } else if (ngx_mcp_request_scheme(r, &scheme) != NGX_OK) {
        return NGX_ERROR;
    }

    url->data = ngx_pnalloc(r->pool, scheme.len + host.len + path.len
                         + sizeof("://"
                                  "/.well-known/oauth-protected-resource"));
    if (url->data == NULL) {
        return NGX_ERROR;
    }

    url->len = ngx_sprintf(url->data,
                           "%V%s%V/.well-known/oauth-protected-resource%V",
                           &scheme, host.len ? "://" : "", &host, &path)
               - url->data;

    return NGX_OK;
}


/*
 * Returns whether a text of the client may be used in a quoted string and in
 * a URL.
 */

static ngx_uint_t
ngx_mcp_challenge_safe(ngx_str_t *text)
{
    size_t  i;
    u_char  ch;

    for (i = 0; i < text->len; i++) {
        ch = text->data[i];

        if (ch <= ' ' || ch >= 0x7f || ch == '"' || ch == '\\' || ch == '<'
            || ch == '>' || ch == '?' || ch == '#' || ch == '%')
        {
            return 0;
        }
    }

    return 1;
}


/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * The URL of this server as clients see it, which differs from that of the
 * connection behind a proxy.
 *
 * All values are in the pool of the request.
 */

#include "ngx_mcp_public_url.h"
#include "ngx_mcp_origin.h"
#include "ngx_mcp_request.h"


static ngx_int_t ngx_mcp_public_url_value(ngx_http_request_t *r,
    ngx_http_complex_value_t *cv, const char *name, ngx_str_t *url);


ngx_int_t
ngx_mcp_public_url_check(ngx_pool_t *pool, ngx_str_t *url)
{
    ngx_int_t  rc;
    ngx_str_t  normal;

    if ((url->len < 7
         || ngx_strncasecmp(url->data, (u_char *) "http://", 7) != 0)
        && (url->len < 8
            || ngx_strncasecmp(url->data, (u_char *) "https://", 8) != 0))
    {
        return NGX_DECLINED;
    }

    rc = ngx_mcp_origin_normalize(pool, url, &normal);

    if (rc == NGX_OK && url->data[url->len - 1] == '/') {
        url->len--;
    }

    return rc;
}


ngx_int_t
ngx_mcp_public_url(ngx_http_request_t *r, ngx_str_t *url)
{
    ngx_int_t            rc;
    ngx_str_t            scheme, *host;
    ngx_mcp_loc_conf_t  *conf;

    conf = ngx_http_get_module_loc_conf(r, ngx_http_mcp_sse_module);

    if (ngx_mcp_public_url_value(r, conf->public_url, "mcp_sse_public_url",
                                 url)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (url->len) {
        return NGX_OK;
    }

    /* HTTP/3 may have no Host, and nginx keeps ":authority" without its port */

    host = r->headers_in.host ? &r->headers_in.host->value
                              : &r->headers_in.server;

    if (host->len == 0) {
        return NGX_OK;
    }

    if (ngx_mcp_request_scheme(r, &scheme) != NGX_OK) {
        return NGX_ERROR;
    }

    url->data = ngx_pnalloc(r->pool, scheme.len + sizeof("://") - 1
                                     + host->len);
    if (url->data == NULL) {
        return NGX_ERROR;
    }

    url->len = ngx_sprintf(url->data, "%V://%V", &scheme, host) - url->data;

    rc = ngx_mcp_public_url_check(r->pool, url);

    if (rc == NGX_DECLINED) {
        ngx_str_null(url);
        return NGX_OK;
    }

    return rc;
}


ngx_int_t
ngx_mcp_public_url_auth_server(ngx_http_request_t *r, ngx_str_t *url)
{
    ngx_mcp_loc_conf_t  *conf;

    conf = ngx_http_get_module_loc_conf(r, ngx_http_mcp_sse_module);

    if (ngx_mcp_public_url_value(r, conf->auth_server, "mcp_sse_auth_server",
                                 url)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return url->len ? NGX_OK : ngx_mcp_public_url(r, url);
}


/*
 * Evaluates a directive.  The value is empty if the directive is not set, or
 * if its variables give an empty string or no URL.
 */

static ngx_int_t
ngx_mcp_public_url_value(ngx_http_request_t *r, ngx_http_complex_value_t *cv,
    const char *name, ngx_str_t *url)
{
    ngx_int_t  rc;

    ngx_str_null(url);

    if (cv == NULL) {
        return NGX_OK;
    }

    if (ngx_http_complex_value(r, cv, url) != NGX_OK) {
        return NGX_ERROR;
    }

    /* a value without variables was checked by ngx_mcp_conf_public_url() */

    if (cv->lengths == NULL || url->len == 0) {
        return NGX_OK;
    }

    rc = ngx_mcp_public_url_check(r->pool, url);

    if (rc == NGX_DECLINED) {
        ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                      "mcp sse: the value of \"%s\" is not "
                      "http[s]://HOST[:PORT], it is not used", name);

        ngx_str_null(url);
        return NGX_OK;
    }

    return rc;
}


ngx_int_t
ngx_mcp_public_url_metadata(ngx_http_request_t *r, ngx_str_t *url)
{
    ngx_str_t  path, base;

    if (ngx_mcp_public_url(r, &base) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_str_null(url);

    path = r->uri;

    if (base.len == 0 || !ngx_mcp_public_url_safe(&path)) {
        return NGX_OK;
    }

    /* only the slash that follows the host is removed */

    if (path.len == 1) {
        path.len = 0;
    }

    url->data = ngx_pnalloc(r->pool, base.len + path.len
                                     + sizeof(NGX_MCP_PUBLIC_URL_METADATA));
    if (url->data == NULL) {
        return NGX_ERROR;
    }

    url->len = ngx_sprintf(url->data, "%V" NGX_MCP_PUBLIC_URL_METADATA "%V",
                           &base, &path)
               - url->data;

    return NGX_OK;
}


ngx_int_t
ngx_mcp_public_url_forwarded(ngx_http_request_t *r, ngx_str_t *proto,
    ngx_str_t *host)
{
    ngx_str_t            url;
    ngx_mcp_loc_conf_t  *conf;

    conf = ngx_http_get_module_loc_conf(r, ngx_http_mcp_sse_module);

    if (ngx_mcp_public_url_value(r, conf->public_url, "mcp_sse_public_url",
                                 &url)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (url.len == 0) {
        ngx_str_null(host);

        if (r->headers_in.host) {
            *host = r->headers_in.host->value;
        }

        return ngx_mcp_request_scheme(r, proto);
    }

    if (url.data[4] == ':') {
        ngx_str_set(proto, "http");

    } else {
        ngx_str_set(proto, "https");
    }

    host->data = url.data + proto->len + 3;
    host->len = url.len - proto->len - 3;

    return NGX_OK;
}


ngx_uint_t
ngx_mcp_public_url_safe(ngx_str_t *text)
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

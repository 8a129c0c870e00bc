
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Origin (RFC 6454), CORS (Fetch standard) and the comparison of URLs.
 */

#include "ngx_mcp_origin.h"
#include "ngx_mcp_header.h"


static ngx_int_t ngx_mcp_origin_parse(ngx_str_t *url, ngx_str_t *scheme,
    ngx_str_t *host, ngx_uint_t *port);
static ngx_int_t ngx_mcp_origin_host(ngx_str_t *text, ngx_str_t *host,
    ngx_uint_t *port);


ngx_int_t
ngx_mcp_origin_normalize(ngx_pool_t *pool, ngx_str_t *url, ngx_str_t *normal)
{
    ngx_str_t   scheme, host;
    ngx_uint_t  port;

    if (ngx_mcp_origin_parse(url, &scheme, &host, &port) != NGX_OK) {
        return NGX_DECLINED;
    }

    normal->data = ngx_pnalloc(pool, scheme.len + host.len
                                     + sizeof("://:65535"));
    if (normal->data == NULL) {
        return NGX_ERROR;
    }

    normal->len = ngx_sprintf(normal->data, "%V://%V:%ui", &scheme, &host,
                              port)
                  - normal->data;

    ngx_strlow(normal->data, normal->data, normal->len);

    return NGX_OK;
}


static ngx_int_t
ngx_mcp_origin_parse(ngx_str_t *url, ngx_str_t *scheme, ngx_str_t *host,
    ngx_uint_t *port)
{
    ngx_str_t  rest;

    scheme->data = url->data;

    if (url->len > 7
        && ngx_strncasecmp(url->data, (u_char *) "http://", 7) == 0)
    {
        scheme->len = 4;
        *port = 80;

    } else if (url->len > 8
               && ngx_strncasecmp(url->data, (u_char *) "https://", 8) == 0)
    {
        scheme->len = 5;
        *port = 443;

    } else {
        return NGX_DECLINED;
    }

    rest.data = url->data + scheme->len + 3;
    rest.len = url->len - scheme->len - 3;

    if (rest.data[rest.len - 1] == '/') {
        rest.len--;
    }

    return ngx_mcp_origin_host(&rest, host, port);
}


/*
 * Parses HOST[:PORT].  *port keeps its value if there is no port.
 */

static ngx_int_t
ngx_mcp_origin_host(ngx_str_t *text, ngx_str_t *host, ngx_uint_t *port)
{
    u_char      *p, *last, ch;
    ngx_int_t    n;
    ngx_uint_t   literal;

    last = text->data + text->len;
    literal = text->len && text->data[0] == '[';

    for (p = text->data; p < last; p++) {
        ch = *p;

        if (ch == ':' && !literal) {
            break;
        }

        if (literal && ch == ']') {
            p++;
            break;
        }

        if ((ch < '0' || ch > '9') && ((ch | 0x20) < 'a' || (ch | 0x20) > 'z')
            && ch != '-' && ch != '.' && ch != '_'
            && !(literal && (ch == ':' || ch == '[')))
        {
            return NGX_DECLINED;
        }
    }

    host->data = text->data;
    host->len = p - text->data;

    if (host->len == 0) {
        return NGX_DECLINED;
    }

    if (p == last) {
        return NGX_OK;
    }

    n = (*p == ':') ? ngx_atoi(p + 1, last - p - 1) : NGX_ERROR;

    if (n < 1 || n > 65535) {
        return NGX_DECLINED;
    }

    *port = n;

    return NGX_OK;
}


ngx_int_t
ngx_mcp_origin_match(ngx_http_request_t *r, ngx_str_t *url,
    ngx_array_t *allowed)
{
    ngx_int_t    rc;
    ngx_str_t    scheme, host, own, normal, *value;
    ngx_uint_t   i, port, own_port;

    if (allowed) {

        rc = ngx_mcp_origin_normalize(r->pool, url, &normal);
        if (rc != NGX_OK) {
            return rc;
        }

        value = allowed->elts;

        for (i = 0; i < allowed->nelts; i++) {

            if (value[i].len == normal.len
                && ngx_strncmp(value[i].data, normal.data, normal.len) == 0)
            {
                return NGX_OK;
            }
        }

        return NGX_DECLINED;
    }

    if (r->headers_in.host == NULL
        || ngx_mcp_origin_parse(url, &scheme, &host, &port)
           != NGX_OK)
    {
        return NGX_DECLINED;
    }

    /*
     * The scheme of the URL gives the port of a Host without one.  The scheme
     * of this connection differs behind a proxy that terminates TLS.
     */

    own_port = (scheme.len == 4) ? 80 : 443;

    if (ngx_mcp_origin_host(&r->headers_in.host->value, &own,
                            &own_port)
        != NGX_OK)
    {
        return NGX_DECLINED;
    }

    if (own_port == port
        && own.len == host.len
        && ngx_strncasecmp(own.data, host.data, own.len) == 0)
    {
        return NGX_OK;
    }

    return NGX_DECLINED;
}


ngx_int_t
ngx_mcp_origin_check(ngx_http_request_t *r)
{
    ngx_int_t                       rc;
    ngx_str_t                       origin;
    ngx_mcp_ctx_t                  *ctx;
    ngx_mcp_loc_conf_t             *conf;

    rc = ngx_mcp_header_value(&r->headers_in.headers, "origin", &origin);

    if (rc == NGX_DECLINED) {
        return NGX_OK;
    }

    if (rc != NGX_OK) {
        return NGX_DECLINED;
    }

    ctx = ngx_http_get_module_ctx(r, ngx_http_mcp_sse_module);
    conf = ngx_http_get_module_loc_conf(r, ngx_http_mcp_sse_module);

    if (!conf->any_origin) {
        rc = ngx_mcp_origin_match(r, &origin, conf->origins);

        ngx_log_debug1(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                       "mcp origin: %s", rc == NGX_OK ? "allowed" : "refused");

        if (rc != NGX_OK) {
            return rc;
        }
    }

    ctx->origin = origin;

    return NGX_OK;
}


ngx_int_t
ngx_mcp_origin_headers(ngx_http_request_t *r)
{
    ngx_mcp_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_mcp_sse_module);

    if (ctx->origin.len == 0 || ctx->cors) {
        return NGX_OK;
    }

    ctx->cors = 1;

    if (ngx_mcp_header_set(r, "Access-Control-Allow-Origin",
                           &ctx->origin)
        != NGX_OK
        || ngx_mcp_header_add(r, "Vary", "Origin") != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_mcp_header_add(r, "Access-Control-Expose-Headers",
                     "Mcp-Session-Id, WWW-Authenticate, Retry-After");
}

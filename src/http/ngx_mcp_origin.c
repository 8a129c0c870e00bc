
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Origin (RFC 6454), CORS (Fetch standard) and the comparison of URLs.
 *
 * What is parsed points into the text that was given.
 */

#include "ngx_mcp_origin.h"
#include "ngx_mcp_header.h"
#include "ngx_mcp_host.h"


typedef struct {
    ngx_str_t    scheme;
    ngx_str_t    host;
    ngx_uint_t   port;     /* 0: the scheme has no default port */
} ngx_mcp_origin_t;


/* whether an ngx_str_t * equals a literal, without case */

#define ngx_mcp_origin_is(s, text)                                            \
    ((s)->len == sizeof(text) - 1                                             \
     && ngx_strncasecmp((s)->data, (u_char *) (text), sizeof(text) - 1) == 0)


static ngx_int_t ngx_mcp_origin_parse(ngx_str_t *url, ngx_mcp_origin_t *o);
static ngx_int_t ngx_mcp_origin_scheme(ngx_str_t *url, ngx_mcp_origin_t *o);
static ngx_int_t ngx_mcp_origin_host(ngx_str_t *text, ngx_mcp_origin_t *o);
static size_t ngx_mcp_origin_name(u_char *start, u_char *last);
static ngx_int_t ngx_mcp_origin_listed(ngx_http_request_t *r, ngx_str_t *url,
    ngx_array_t *allowed);
static ngx_int_t ngx_mcp_origin_own(ngx_http_request_t *r, ngx_str_t *url,
    ngx_mcp_origin_t *o);
static ngx_int_t ngx_mcp_origin_request(ngx_http_request_t *r,
    ngx_mcp_origin_t *own);


ngx_int_t
ngx_mcp_origin_normalize(ngx_pool_t *pool, ngx_str_t *url, ngx_str_t *normal)
{
    u_char            *p;
    ngx_mcp_origin_t   o;

    if (ngx_mcp_origin_parse(url, &o) != NGX_OK) {
        return NGX_DECLINED;
    }

    normal->data = ngx_pnalloc(pool, o.scheme.len + o.host.len
                                     + sizeof("://:65535"));
    if (normal->data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_sprintf(normal->data, "%V://%V", &o.scheme, &o.host);

    if (o.port) {
        p = ngx_sprintf(p, ":%ui", o.port);
    }

    normal->len = p - normal->data;

    ngx_strlow(normal->data, normal->data, normal->len);

    return NGX_OK;
}


ngx_uint_t
ngx_mcp_origin_is_http(ngx_str_t *url)
{
    ngx_mcp_origin_t  o;

    return ngx_mcp_origin_parse(url, &o) == NGX_OK
           && (ngx_mcp_origin_is(&o.scheme, "http")
               || ngx_mcp_origin_is(&o.scheme, "https"));
}


static ngx_int_t
ngx_mcp_origin_parse(ngx_str_t *url, ngx_mcp_origin_t *o)
{
    ngx_str_t  rest;

    if (ngx_mcp_origin_scheme(url, o) != NGX_OK) {
        return NGX_DECLINED;
    }

    rest.data = url->data + o->scheme.len + 3;
    rest.len = url->len - o->scheme.len - 3;

    if (rest.len && rest.data[rest.len - 1] == '/') {
        rest.len--;
    }

    return ngx_mcp_origin_host(&rest, o);
}


/*
 * Parses SCHEME:// (RFC 3986, 3.1).  Only http and https have a default port:
 * other schemes are those of applications, such as vscode-webview.
 */

static ngx_int_t
ngx_mcp_origin_scheme(ngx_str_t *url, ngx_mcp_origin_t *o)
{
    u_char  *p, *last, ch;

    last = url->data + url->len;

    for (p = url->data; p < last && *p != ':'; p++) {
        ch = *p | 0x20;

        if ((ch < 'a' || ch > 'z')
            && (p == url->data
                || ((*p < '0' || *p > '9')
                    && *p != '+' && *p != '-' && *p != '.')))
        {
            return NGX_DECLINED;
        }
    }

    if (p == url->data || last - p < 3 || ngx_strncmp(p, "://", 3) != 0) {
        return NGX_DECLINED;
    }

    o->scheme.data = url->data;
    o->scheme.len = p - url->data;

    o->port = ngx_mcp_origin_is(&o->scheme, "http") ? 80
              : ngx_mcp_origin_is(&o->scheme, "https") ? 443 : 0;

    return NGX_OK;
}


/*
 * Parses HOST[:PORT].  o->port keeps its value if there is no port.
 */

static ngx_int_t
ngx_mcp_origin_host(ngx_str_t *text, ngx_mcp_origin_t *o)
{
    u_char     *p, *last;
    ngx_int_t   n;

    last = text->data + text->len;

    o->host.data = text->data;
    o->host.len = ngx_mcp_origin_name(text->data, last);

    p = text->data + o->host.len;

    if (o->host.len == 0) {
        return NGX_DECLINED;
    }

    if (p == last) {
        return NGX_OK;
    }

    n = (*p == ':') ? ngx_atoi(p + 1, last - p - 1) : NGX_ERROR;

    if (n < 1 || n > 65535) {
        return NGX_DECLINED;
    }

    o->port = n;

    return NGX_OK;
}


/*
 * Returns the length of the name or address with which a text begins, or 0 if
 * there is none.
 */

static size_t
ngx_mcp_origin_name(u_char *start, u_char *last)
{
    u_char  *p, ch;

#if (NGX_HAVE_INET6)
    u_char   address[16];

    if (start < last && *start == '[') {
        p = ngx_strlchr(start, last, ']');

        return p && ngx_inet6_addr(start + 1, p - start - 1, address) == NGX_OK
               ? (size_t) (p + 1 - start) : 0;
    }
#endif

    for (p = start; p < last; p++) {
        ch = *p;

        if ((ch < '0' || ch > '9') && ((ch | 0x20) < 'a' || (ch | 0x20) > 'z')
            && ch != '-' && ch != '.' && ch != '_')
        {
            break;
        }
    }

    return p - start;
}


ngx_int_t
ngx_mcp_origin_match(ngx_http_request_t *r, ngx_str_t *url,
    ngx_array_t *allowed)
{
    ngx_mcp_origin_t  o;

    return allowed ? ngx_mcp_origin_listed(r, url, allowed)
                   : ngx_mcp_origin_own(r, url, &o);
}


static ngx_int_t
ngx_mcp_origin_listed(ngx_http_request_t *r, ngx_str_t *url,
    ngx_array_t *allowed)
{
    ngx_int_t    rc;
    ngx_str_t    normal, *value;
    ngx_uint_t   i;

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


/*
 * Parses a URL into *o and compares it with the request's Host.
 */

static ngx_int_t
ngx_mcp_origin_own(ngx_http_request_t *r, ngx_str_t *url, ngx_mcp_origin_t *o)
{
    ngx_int_t         rc;
    ngx_mcp_origin_t  own;

    if (ngx_mcp_origin_parse(url, o) != NGX_OK) {
        return NGX_DECLINED;
    }

    /*
     * The scheme of the URL gives the port of a Host without one.  The scheme
     * of this connection differs behind a proxy that terminates TLS.
     */

    own.port = ngx_mcp_origin_is(&o->scheme, "http") ? 80
               : ngx_mcp_origin_is(&o->scheme, "https") ? 443 : 0;

    rc = own.port ? ngx_mcp_origin_request(r, &own) : NGX_DECLINED;

    if (rc != NGX_OK) {
        return rc;
    }

    return (own.port == o->port
            && own.host.len == o->host.len
            && ngx_strncasecmp(own.host.data, o->host.data, own.host.len) == 0)
           ? NGX_OK : NGX_DECLINED;
}


/*
 * Finds host and port that the request names.  HTTP/3 and HTTP/1.0 may have no
 * Host: nginx keeps the host of ":authority" or of the request line, without
 * its port.
 */

static ngx_int_t
ngx_mcp_origin_request(ngx_http_request_t *r, ngx_mcp_origin_t *own)
{
    if (r->headers_in.host) {
        return ngx_mcp_origin_host(&r->headers_in.host->value, own);
    }

    if (r->headers_in.server.len == 0) {
        return NGX_DECLINED;
    }

    if (ngx_connection_local_sockaddr(r->connection, NULL, 0) != NGX_OK) {
        return NGX_ERROR;
    }

    own->host = r->headers_in.server;
    own->port = ngx_inet_get_port(r->connection->local_sockaddr);

    return NGX_OK;
}


ngx_int_t
ngx_mcp_origin_check(ngx_http_request_t *r)
{
    ngx_int_t                       rc;
    ngx_str_t                       origin;
    ngx_mcp_ctx_t                  *ctx;
    ngx_mcp_origin_t                o;
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
        rc = conf->origins ? ngx_mcp_origin_listed(r, &origin, conf->origins)
                           : ngx_mcp_origin_own(r, &origin, &o);

        /* DNS rebinding: a foreign page has a Host that leads here */

        if (rc == NGX_OK && conf->origins == NULL) {
            rc = ngx_mcp_host_known(r, &o.host);
        }

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


/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Origins and URLs: two are the same only if scheme, host and port are, and
 * what is accepted has nothing but these; the URL of this server; the names by
 * which it knows itself.  Compared with a second parser of URLs.
 *
 * Input: flags; a line with a URL, one with another URL, one with a Host, one
 * with server_names, one with the path.
 */

#include "request.h"
#include "ngx_mcp_host.h"
#include "ngx_mcp_origin.h"
#include "ngx_mcp_public_url.h"
#include <arpa/inet.h>


typedef struct {
    ngx_str_t    scheme;
    ngx_str_t    host;
    ngx_uint_t   port;         /* 0: no default */
} origin_t;


static void origin_urls(ngx_str_t *a, ngx_str_t *b);
static void origin_public(ngx_http_request_t *r, ngx_str_t *host,
    ngx_uint_t tls);
static void origin_public_check(ngx_str_t *a);
static void origin_check(ngx_http_request_t *r, ngx_str_t *a,
    ngx_str_t *b, ngx_str_t *names, ngx_uint_t mode);
static ngx_uint_t origin_own(ngx_http_request_t *r, ngx_str_t *a,
    origin_t *o);
static void origin_names(ngx_mcp_loc_conf_t *conf, ngx_str_t *names);
static ngx_uint_t origin_known(ngx_mcp_loc_conf_t *conf,
    ngx_str_t *host);
static ngx_uint_t origin_name(ngx_str_t *name, ngx_str_t *host);
static ngx_uint_t origin_is_address(ngx_str_t *host);
static ngx_uint_t origin_parse(ngx_str_t *url, origin_t *o);
static ngx_uint_t origin_authority(ngx_str_t *text, origin_t *o);
static ngx_uint_t origin_in6(u_char *p, u_char *last);
static ngx_uint_t origin_default(ngx_str_t *scheme);
static ngx_uint_t origin_equal(origin_t *a, origin_t *b);
static ngx_uint_t origin_same(ngx_str_t *a, ngx_str_t *b);

static fuzz_input_t  origin_in;


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ngx_str_t            text, a, b, host, names, header;
    ngx_uint_t           flags;
    ngx_http_request_t  *r;

    fuzz_begin(&origin_in, data, size);

    flags = fuzz_number(&origin_in, 255);
    text = fuzz_rest(&origin_in);
    r = fuzz_request(&origin_in, flags & 1);

    ngx_str_set(&a, "");
    ngx_str_set(&b, "");
    ngx_str_set(&host, "");
    ngx_str_set(&names, "");

    (void) fuzz_request_line(&text, &a);
    (void) fuzz_request_line(&text, &b);
    (void) fuzz_request_line(&text, &host);
    (void) fuzz_request_line(&text, &names);
    (void) fuzz_request_line(&text, &r->uri);

    header.data = fuzz_alloc(&origin_in, a.len + host.len + 32);
    header.len = ngx_sprintf(header.data, "host: %V\norigin: %V", &host, &a)
                 - header.data;

    fuzz_request_headers(r, &header);

    origin_urls(&a, &b);
    origin_public_check(&a);
    origin_public(r, &host, flags & 1);
    origin_check(r, &a, &b, &names, (flags >> 1) % 3);

    fuzz_end(&origin_in);

    return 0;
}


static void
origin_urls(ngx_str_t *a, ngx_str_t *b)
{
    size_t         i;
    ngx_int_t      rca, rcb;
    ngx_str_t      na, nb, again;
    ngx_uint_t     oka, okb;
    origin_t  oa, ob;

    rca = ngx_mcp_origin_normalize(origin_in.pool, a, &na);
    rcb = ngx_mcp_origin_normalize(origin_in.pool, b, &nb);

    oka = origin_parse(a, &oa);
    okb = origin_parse(b, &ob);

    fuzz_check(rca == (oka ? NGX_OK : NGX_DECLINED)
               && rcb == (okb ? NGX_OK : NGX_DECLINED),
               "a URL is SCHEME://HOST[:PORT][/]");
    fuzz_check(ngx_mcp_origin_is_http(a)
               == (oka && origin_default(&oa.scheme)),
               "http and https are known");

    if (!oka || !okb) {
        return;
    }

    fuzz_check(fuzz_same(&na, &nb) == origin_equal(&oa, &ob),
               "URLs are the same if scheme, host and port are");
    fuzz_check(ngx_mcp_origin_normalize(origin_in.pool, &na, &again) == NGX_OK
               && fuzz_same(&na, &again),
               "a normal form is normal");

    for (i = 0; i < na.len; i++) {
        fuzz_check(na.data[i] > ' ' && na.data[i] < 0x7f
                   && !strchr("@?#\"\\<>%", na.data[i])
                   && (na.data[i] < 'A' || na.data[i] > 'Z'),
                   "a normal form has few characters");
    }
}


static void
origin_public_check(ngx_str_t *a)
{
    ngx_int_t      rc;
    ngx_str_t      url;
    ngx_uint_t     ok;
    origin_t  o;

    url = *a;
    rc = ngx_mcp_public_url_check(origin_in.pool, &url);
    ok = origin_parse(a, &o) && origin_default(&o.scheme);

    fuzz_check(rc == (ok ? NGX_OK : NGX_DECLINED),
               "a public URL is http[s]://HOST[:PORT][/]");
    fuzz_check(!ok || url.len == a->len - (a->data[a->len - 1] == '/'),
               "the slash at the end is taken off");
}


/*
 * The URL of this server and that of its metadata, without the directive.
 */

static void
origin_public(ngx_http_request_t *r, ngx_str_t *host,
    ngx_uint_t tls)
{
    ngx_str_t      url, expected, metadata;
    origin_t  o;

    ngx_str_set(&expected, "");

    if (r->headers_in.host) {
        expected.data = fuzz_alloc(&origin_in, host->len + 8);
        expected.len = ngx_sprintf(expected.data, "%s://%V",
                                   tls ? "https" : "http",
                                   &r->headers_in.host->value)
                       - expected.data;

        if (!origin_parse(&expected, &o)) {
            expected.len = 0;
        }
    }

    fuzz_check(ngx_mcp_public_url(r, &url) == NGX_OK
               && fuzz_same(&url, &expected),
               "the URL of this server is that of a proper Host, or empty");
    fuzz_check(ngx_mcp_public_url_auth_server(r, &metadata) == NGX_OK
               && fuzz_same(&url, &metadata),
               "the issuer is this server");
    fuzz_check(ngx_mcp_public_url_metadata(r, &metadata) == NGX_OK
               && (metadata.len == 0
                   || (ngx_strncmp(metadata.data, url.data, url.len) == 0
                       && fuzz_request_visible(&metadata)
                       && !ngx_strlchr(metadata.data,
                                       metadata.data + metadata.len, '"')
                       && !ngx_strlchr(metadata.data,
                                       metadata.data + metadata.len, '\\'))),
               "the URL of the metadata can be quoted");
}


/*
 * "mode" 0: the own origin; 1: b is allowed; 2: any.
 */

static void
origin_check(ngx_http_request_t *r, ngx_str_t *a, ngx_str_t *b,
    ngx_str_t *names, ngx_uint_t mode)
{
    ngx_int_t            rc, expected, present;
    ngx_str_t            origin, *allowed;
    origin_t        o, ob;
    ngx_mcp_ctx_t       *ctx;
    ngx_mcp_loc_conf_t  *conf;

    ctx = ngx_http_get_module_ctx(r, ngx_http_mcp_sse_module);
    conf = ngx_http_get_module_loc_conf(r, ngx_http_mcp_sse_module);

    origin_names(conf, names);

    conf->any_origin = (mode == 2);

    if (mode == 1) {
        conf->origins = ngx_array_create(r->pool, 1, sizeof(ngx_str_t));
        allowed = ngx_array_push(conf->origins);

        if (ngx_mcp_origin_normalize(r->pool, b, allowed) != NGX_OK) {
            return;
        }
    }

    fuzz_check((ngx_mcp_origin_match(r, a, NULL) == NGX_OK)
               == origin_own(r, a, &o), "a URL has the Host, or not");

    present = fuzz_request_value(r, "origin", &origin);

    expected = (present == NGX_ABORT) ? NGX_DECLINED : NGX_OK;

    if (present == NGX_OK && mode == 0) {
        expected = origin_own(r, &origin, &o)
                   && origin_known(conf, &o.host)
                   ? NGX_OK : NGX_DECLINED;
    }

    if (present == NGX_OK && mode == 1) {
        expected = origin_parse(&origin, &o)
                   && origin_parse(b, &ob) && origin_equal(&o, &ob)
                   ? NGX_OK : NGX_DECLINED;
    }

    rc = ngx_mcp_origin_check(r);

    fuzz_check(rc == expected, "an Origin is allowed, or not");
    fuzz_check(fuzz_same(&ctx->origin, &origin)
               == (rc == NGX_OK && present == NGX_OK)
               || ctx->origin.len == 0,
               "an Origin that is refused is not used");

    fuzz_check(ngx_mcp_origin_headers(r) == NGX_OK, "there is memory");

    if (ctx->origin.len) {
        origin = fuzz_request_answer(r, "Access-Control-Allow-Origin");
        fuzz_check(fuzz_same(&origin, &ctx->origin),
                   "the allowed Origin is that of the request");
    }
}


/*
 * Whether a URL has host and port of the request, and the host.
 */

static ngx_uint_t
origin_own(ngx_http_request_t *r, ngx_str_t *a, origin_t *o)
{
    origin_t  own;

    if (r->headers_in.host == NULL || !origin_parse(a, o)) {
        return 0;
    }

    own.scheme = o->scheme;
    own.port = origin_default(&o->scheme);

    return own.port
           && origin_authority(&r->headers_in.host->value, &own)
           && origin_equal(&own, o);
}


/*
 * Names that nginx accepts in server_name, in lower case as it keeps them.
 */

static void
origin_names(ngx_mcp_loc_conf_t *conf, ngx_str_t *names)
{
    u_char                  *p, *last;
    ngx_str_t                s;
    ngx_http_server_name_t  *name;

    conf->hosts = ngx_array_create(origin_in.pool, 4,
                                   sizeof(ngx_http_server_name_t));
    last = names->data + names->len;

    for (p = names->data; p < last; p++) {
        s.data = p;

        while (p < last && *p != ' ') {
            p++;
        }

        s.len = p - s.data;
        ngx_strlow(s.data, s.data, s.len);

        if (s.len == 0
            || (s.data[0] == '*' && (s.len < 3 || s.data[1] != '.'))
            || (s.data[0] == '.' && s.len < 2)
            || (s.data[s.len - 1] == '*'
                && (s.len < 3 || s.data[s.len - 2] != '.'
                    || s.data[0] == '*' || s.data[0] == '.')))
        {
            continue;
        }

        name = ngx_array_push(conf->hosts);
        ngx_memzero(name, sizeof(ngx_http_server_name_t));
        name->name = s;
    }
}


static ngx_uint_t
origin_known(ngx_mcp_loc_conf_t *conf, ngx_str_t *host)
{
    ngx_str_t                lower;
    ngx_uint_t               i;
    ngx_http_server_name_t  *name;

    lower.len = host->len - (host->data[host->len - 1] == '.');
    lower.data = fuzz_alloc(&origin_in, lower.len);
    ngx_strlow(lower.data, host->data, lower.len);

    if (fuzz_request_is(&lower, "localhost") || origin_is_address(&lower)) {
        return 1;
    }

    name = conf->hosts->elts;

    for (i = 0; i < conf->hosts->nelts; i++) {

        if (origin_name(&name[i].name, &lower)) {
            return 1;
        }
    }

    return 0;
}


static ngx_uint_t
origin_name(ngx_str_t *name, ngx_str_t *host)
{
    ngx_str_t  part, end;

    part = *name;
    end = *host;

    if (fuzz_same(name, host)) {
        return name->data[0] != '*' && name->data[0] != '.';
    }

    if (name->data[0] == '*' || name->data[0] == '.') {
        part.data += (name->data[0] == '*');
        part.len -= (name->data[0] == '*');

        end.len = ngx_min(host->len, part.len);
        end.data = host->data + host->len - end.len;

        if (host->len > part.len && fuzz_same(&end, &part)) {
            return 1;
        }

        part.data++;
        part.len--;

        return name->data[0] == '.' && fuzz_same(host, &part);
    }

    if (name->data[name->len - 1] == '*') {
        part.len--;
        end.len = ngx_min(host->len, part.len);

        return host->len > part.len && fuzz_same(&end, &part);
    }

    return 0;
}


/*
 * An IPv6 address in brackets was validated; otherwise four numbers, of which
 * nginx takes an empty one for 0.
 */

static ngx_uint_t
origin_is_address(ngx_str_t *host)
{
    size_t      i;
    ngx_uint_t  dots, n, broadcast;

    if (host->len == 0 || host->data[0] == '[') {
        return host->len != 0;
    }

    dots = 0;
    n = 0;
    broadcast = 1;

    for (i = 0; i <= host->len; i++) {

        if (i == host->len || host->data[i] == '.') {
            broadcast &= (n == 255);
            dots += (i < host->len);
            n = 0;
            continue;
        }

        n = 10 * n + host->data[i] - '0';

        if (host->data[i] < '0' || host->data[i] > '9' || n > 255) {
            return 0;
        }
    }

    return dots == 3 && !broadcast;
}


static ngx_uint_t
origin_parse(ngx_str_t *url, origin_t *o)
{
    size_t     i;
    u_char     ch;
    ngx_str_t  rest;

    for (i = 0; i < url->len && url->data[i] != ':'; i++) {
        ch = url->data[i];

        if (!isascii(ch) || (!isalpha(ch)
                             && (i == 0 || (!isdigit(ch) && ch != '+'
                                            && ch != '-' && ch != '.'))))
        {
            return 0;
        }
    }

    if (i == 0 || url->len < i + 3
        || ngx_strncmp(url->data + i, "://", 3) != 0)
    {
        return 0;
    }

    o->scheme.data = url->data;
    o->scheme.len = i;
    o->port = origin_default(&o->scheme);

    rest.data = url->data + i + 3;
    rest.len = url->len - i - 3;

    if (rest.len && rest.data[rest.len - 1] == '/') {
        rest.len--;
    }

    return origin_authority(&rest, o);
}


/*
 * HOST[:PORT]
 */

static ngx_uint_t
origin_authority(ngx_str_t *text, origin_t *o)
{
    u_char      *p, *last;
    ngx_uint_t   port;

    p = text->data;
    last = p + text->len;

    if (p < last && *p == '[') {
        p = ngx_strlchr(p, last, ']');

        if (p == NULL || !origin_in6(text->data + 1, p)) {
            return 0;
        }

        p++;

    } else {

        while (p < last && isascii(*p)
               && (isalnum(*p) || *p == '-' || *p == '.' || *p == '_'))
        {
            p++;
        }
    }

    o->host.data = text->data;
    o->host.len = p - text->data;

    if (o->host.len == 0 || p == last) {
        return o->host.len != 0;
    }

    if (*p++ != ':' || p == last) {
        return 0;
    }

    for (port = 0; p < last && isdigit(*p) && port <= 65535; p++) {
        port = 10 * port + *p - '0';
    }

    o->port = port;

    return p == last && port && port <= 65535;
}


/*
 * An IPv6 address.  nginx takes a single colon in front, too, one at the end
 * for ":0", and in an IPv4 address at the end what origin_is_address() takes.
 */

static ngx_uint_t
origin_in6(u_char *p, u_char *last)
{
    char       *dotted, address[64];
    u_char      in6[16];
    ngx_str_t   in4;

    if (last - p > 45) {
        return 0;
    }

    p += (last - p > 1 && p[0] == ':' && p[1] != ':');

    ngx_memzero(address, sizeof(address));
    ngx_memcpy(address, p, last - p);

    if (last - p > 2 && last[-1] == ':' && last[-2] != ':'
        && strstr(address, "::"))
    {
        address[last - p] = '0';
    }

    dotted = strrchr(address, ':');

    if (dotted && strchr(dotted, '.')) {
        dotted++;
        in4.data = (u_char *) dotted;
        in4.len = ngx_strlen(dotted);

        if (!isdigit((u_char) *dotted) || !origin_is_address(&in4)) {
            return 0;
        }

        strcpy(dotted, "0.0.0.0");
    }

    return inet_pton(AF_INET6, address, in6) == 1;
}


static ngx_uint_t
origin_default(ngx_str_t *scheme)
{
    return fuzz_request_is(scheme, "http") ? 80
           : fuzz_request_is(scheme, "https") ? 443 : 0;
}


static ngx_uint_t
origin_equal(origin_t *a, origin_t *b)
{
    return a->port == b->port
           && origin_same(&a->scheme, &b->scheme)
           && origin_same(&a->host, &b->host);
}


static ngx_uint_t
origin_same(ngx_str_t *a, ngx_str_t *b)
{
    return a->len == b->len
           && ngx_strncasecmp(a->data, b->data, a->len) == 0;
}


/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * The URL of mcp_sse_redis.
 *
 * All values are in the pool of their cycle.
 */

#include "ngx_mcp_redis_url.h"
#include "ngx_mcp_redis_server.h"


#define NGX_MCP_REDIS_PORT           6379     /* the defaults of Redis */
#define NGX_MCP_REDIS_SENTINEL_PORT  26379

#define NGX_MCP_REDIS_SCHEME   "redis://"
#define NGX_MCP_REDISS_SCHEME  "rediss://"
#define NGX_MCP_UNIX_SCHEME    "unix:"

#define ngx_mcp_redis_url_begins(s, text)                                     \
    ((s)->len >= sizeof(text) - 1                                             \
     && ngx_strncasecmp((s)->data, (u_char *) (text), sizeof(text) - 1)       \
        == 0)


static const char *ngx_mcp_redis_url_path(ngx_conf_t *cf,
    ngx_mcp_redis_conf_t *rcf, ngx_str_t *rest);
static const char *ngx_mcp_redis_url_hosts(ngx_conf_t *cf,
    ngx_mcp_redis_conf_t *rcf, ngx_str_t *rest);
static const char *ngx_mcp_redis_url_user(ngx_conf_t *cf,
    ngx_mcp_redis_conf_t *rcf, ngx_str_t *rest);
static const char *ngx_mcp_redis_url_database(ngx_mcp_redis_conf_t *rcf,
    u_char *p, u_char *last);
static ngx_uint_t ngx_mcp_redis_url_encoded(u_char *p, u_char *last);
static ngx_int_t ngx_mcp_redis_url_decode(ngx_conf_t *cf, ngx_str_t *dst,
    u_char *p, u_char *last);


const char *
ngx_mcp_redis_url(ngx_conf_t *cf, ngx_mcp_redis_conf_t *rcf, ngx_str_t *url)
{
    size_t       skip;
    ngx_str_t    rest;
    ngx_uint_t   socket;
    const char  *error;

    socket = 0;

    if (ngx_mcp_redis_url_begins(url, NGX_MCP_REDISS_SCHEME)) {
#if !(NGX_SSL)
        return "TLS is not supported, nginx has been built without SSL";
#endif
        skip = sizeof(NGX_MCP_REDISS_SCHEME) - 1;
        rcf->tls = 1;

    } else if (ngx_mcp_redis_url_begins(url, NGX_MCP_REDIS_SCHEME)) {
        skip = sizeof(NGX_MCP_REDIS_SCHEME) - 1;

    } else if (ngx_mcp_redis_url_begins(url, NGX_MCP_UNIX_SCHEME "//")) {
        skip = sizeof(NGX_MCP_UNIX_SCHEME "//") - 1;
        socket = 1;

    } else if (ngx_mcp_redis_url_begins(url, NGX_MCP_UNIX_SCHEME)) {
        skip = sizeof(NGX_MCP_UNIX_SCHEME) - 1;
        socket = 1;

    } else {
        return "it must begin with \"redis://\", \"rediss://\" or \"unix:\"";
    }

    rest.len = url->len - skip;
    rest.data = url->data + skip;

    error = ngx_mcp_redis_url_user(cf, rcf, &rest);

    if (error) {
        return error;
    }

    return socket ? ngx_mcp_redis_url_path(cf, rcf, &rest)
                  : ngx_mcp_redis_url_hosts(cf, rcf, &rest);
}


/*
 * [[USER]:PASSWORD@], with percent-encoding (RFC 3986, 2.1).
 */

static const char *
ngx_mcp_redis_url_user(ngx_conf_t *cf, ngx_mcp_redis_conf_t *rcf,
    ngx_str_t *rest)
{
    u_char  *p, *at, *colon, *last;

    last = rest->data + rest->len;
    at = NULL;

    /* without a user the path of a socket follows, which may have an "@" */

    if (rest->len && rest->data[0] == '/') {
        return NULL;
    }

    /* the last "@" counts: passwords may have one that is not encoded */

    for (p = rest->data; p < last; p++) {
        if (*p == '@') {
            at = p;
        }
    }

    if (at == NULL) {
        return NULL;
    }

    colon = ngx_strlchr(rest->data, at, ':');

    if (colon == NULL || colon + 1 == at) {
        return "a user must have a password, \"USER:PASSWORD@\"";
    }

    if (!ngx_mcp_redis_url_encoded(rest->data, at)) {
        return "\"%\" in a user or password must be written as \"%25\"";
    }

    if (ngx_mcp_redis_url_decode(cf, &rcf->user, rest->data, colon)
        != NGX_OK
        || ngx_mcp_redis_url_decode(cf, &rcf->password, colon + 1, at)
           != NGX_OK)
    {
        return "no memory";
    }

    rest->data = at + 1;
    rest->len = last - rest->data;

    return NULL;
}


/*
 * Returns whether each "%" begins a byte: ngx_unescape_uri() would leave others
 * out.
 */

static ngx_uint_t
ngx_mcp_redis_url_encoded(u_char *p, u_char *last)
{
    for ( /* void */ ; p < last; p++) {

        if (*p == '%' && (last - p < 3 || ngx_hextoi(p + 1, 2) == NGX_ERROR)) {
            return 0;
        }
    }

    return 1;
}


static ngx_int_t
ngx_mcp_redis_url_decode(ngx_conf_t *cf, ngx_str_t *dst, u_char *p,
    u_char *last)
{
    u_char  *d;

    if (p == last) {
        return NGX_OK;
    }

    dst->data = ngx_pnalloc(cf->pool, last - p);
    if (dst->data == NULL) {
        return NGX_ERROR;
    }

    d = dst->data;

    ngx_unescape_uri(&d, &p, last - p, 0);

    dst->len = d - dst->data;

    return NGX_OK;
}


/*
 * /PATH[?db=NUMBER]
 */

static const char *
ngx_mcp_redis_url_path(ngx_conf_t *cf, ngx_mcp_redis_conf_t *rcf,
    ngx_str_t *rest)
{
    u_char      *query, *last;
    const char  *error;

    if (rcf->mode != NGX_MCP_REDIS_PLAIN) {
        return "sentinels and clusters have no unix sockets";
    }

    last = rest->data + rest->len;
    query = ngx_strlchr(rest->data, last, '?');

    if (query) {

        if (last - query < 4 || ngx_strncmp(query, "?db=", 4) != 0) {
            return "only \"?db=NUMBER\" may follow the path";
        }

        error = ngx_mcp_redis_url_database(rcf, query + 4, last);

        if (error) {
            return error;
        }

        last = query;
    }

    rcf->name.data = rest->data;
    rcf->name.len = last - rest->data;

    return ngx_mcp_redis_server_add_unix(cf, rcf, &rcf->name);
}


/*
 * HOST[:PORT][,HOST[:PORT]...][/NUMBER]
 */

static const char *
ngx_mcp_redis_url_hosts(ngx_conf_t *cf, ngx_mcp_redis_conf_t *rcf,
    ngx_str_t *rest)
{
    u_char      *p, *end, *slash, *last;
    ngx_str_t    host;
    in_port_t    port;
    const char  *error;

    last = rest->data + rest->len;
    slash = ngx_strlchr(rest->data, last, '/');

    if (slash) {
        error = (slash + 1 == last) ? NULL
                : ngx_mcp_redis_url_database(rcf, slash + 1, last);

        if (error) {
            return error;
        }

        last = slash;
    }

    rcf->name.data = rest->data;
    rcf->name.len = last - rest->data;

    port = (rcf->mode == NGX_MCP_REDIS_SENTINEL) ? NGX_MCP_REDIS_SENTINEL_PORT
                                                 : NGX_MCP_REDIS_PORT;

    for (p = rest->data; p <= last; p = end + 1) {
        end = ngx_strlchr(p, last, ',');

        if (end && rcf->mode == NGX_MCP_REDIS_PLAIN) {
            return "several hosts need \"sentinel=NAME\" or \"cluster\"";
        }

        end = end ? end : last;

        host.data = p;
        host.len = end - p;

        error = ngx_mcp_redis_server_add(cf, rcf, &host, port);

        if (error) {
            return error;
        }
    }

    return NULL;
}


static const char *
ngx_mcp_redis_url_database(ngx_mcp_redis_conf_t *rcf, u_char *p, u_char *last)
{
    rcf->database = ngx_atoi(p, last - p);

    return rcf->database == NGX_ERROR ? "the database must be a number" : NULL;
}

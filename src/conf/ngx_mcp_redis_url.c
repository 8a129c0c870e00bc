
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * The directive mcp_sse_redis: its URL and parameters.
 *
 * All values are in the pool of their cycle.
 */

#include "ngx_mcp_redis_url.h"
#include "ngx_mcp_redis_server.h"


#define NGX_MCP_REDIS_PORT  6379       /* the default of Redis */

#define NGX_MCP_REDIS_SCHEME   "redis://"
#define NGX_MCP_REDISS_SCHEME  "rediss://"
#define NGX_MCP_UNIX_SCHEME    "unix:"

#define ngx_mcp_redis_url_begins(s, text)                                     \
    ((s)->len >= sizeof(text) - 1                                             \
     && ngx_strncasecmp((s)->data, (u_char *) (text), sizeof(text) - 1)       \
        == 0)


static const char *ngx_mcp_redis_url_parse(ngx_conf_t *cf,
    ngx_mcp_redis_conf_t *rcf, ngx_str_t *url);
static const char *ngx_mcp_redis_url_path(ngx_conf_t *cf,
    ngx_mcp_redis_conf_t *rcf, ngx_str_t *rest);
static const char *ngx_mcp_redis_url_host(ngx_conf_t *cf,
    ngx_mcp_redis_conf_t *rcf, ngx_str_t *rest);
static const char *ngx_mcp_redis_url_user(ngx_conf_t *cf,
    ngx_mcp_redis_conf_t *rcf, ngx_str_t *rest);
static const char *ngx_mcp_redis_url_database(ngx_mcp_redis_conf_t *rcf,
    u_char *p, u_char *last);
static ngx_uint_t ngx_mcp_redis_url_encoded(u_char *p, u_char *last);
static ngx_int_t ngx_mcp_redis_url_decode(ngx_conf_t *cf, ngx_str_t *dst,
    u_char *p, u_char *last);
static const char *ngx_mcp_redis_url_option(ngx_mcp_redis_conf_t *rcf,
    ngx_str_t *value);
static const char *ngx_mcp_redis_url_time(ngx_msec_t *time, u_char *p,
    u_char *last);


char *
ngx_mcp_redis_url(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_mcp_main_conf_t  *mcf = conf;

    ngx_str_t             *value;
    ngx_uint_t             i;
    const char            *error;
    ngx_mcp_redis_conf_t  *rcf;

    if (mcf->redis) {
        return "is duplicate";
    }

    rcf = ngx_pcalloc(cf->pool, sizeof(ngx_mcp_redis_conf_t));
    if (rcf == NULL) {
        return NGX_CONF_ERROR;
    }

    rcf->timeout = NGX_CONF_UNSET_MSEC;
    rcf->connect_timeout = NGX_CONF_UNSET_MSEC;

    value = cf->args->elts;

    /* the message does not show the URL, which may have a password */

    error = ngx_mcp_redis_url_parse(cf, rcf, &value[1]);

    if (error) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid URL in \"%V\" directive: %s",
                           &cmd->name, error);
        return NGX_CONF_ERROR;
    }

    for (i = 2; i < cf->args->nelts; i++) {

        error = ngx_mcp_redis_url_option(rcf, &value[i]);

        if (error) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\" in \"%V\" directive: "
                               "%s", &value[i], &cmd->name, error);
            return NGX_CONF_ERROR;
        }
    }

    if (rcf->prefix.data == NULL) {
        ngx_str_set(&rcf->prefix, "mcp:");
    }

    ngx_conf_init_msec_value(rcf->timeout, 1000);
    ngx_conf_init_msec_value(rcf->connect_timeout, 1000);

    mcf->redis = rcf;

    return NGX_CONF_OK;
}


/*
 * Returns NULL, or the text of an error.
 */

static const char *
ngx_mcp_redis_url_parse(ngx_conf_t *cf, ngx_mcp_redis_conf_t *rcf,
    ngx_str_t *url)
{
    size_t       skip;
    ngx_str_t    rest;
    const char  *error;

    if (ngx_mcp_redis_url_begins(url, NGX_MCP_REDISS_SCHEME)) {
        return "TLS is not supported, use \"redis://\" in a private network, "
               "a unix socket or a tunnel";
    }

    if (ngx_mcp_redis_url_begins(url, NGX_MCP_REDIS_SCHEME)) {
        skip = sizeof(NGX_MCP_REDIS_SCHEME) - 1;

    } else if (ngx_mcp_redis_url_begins(url, NGX_MCP_UNIX_SCHEME "//")) {
        skip = sizeof(NGX_MCP_UNIX_SCHEME "//") - 1;

    } else if (ngx_mcp_redis_url_begins(url, NGX_MCP_UNIX_SCHEME)) {
        skip = sizeof(NGX_MCP_UNIX_SCHEME) - 1;

    } else {
        return "it must begin with \"redis://\" or \"unix:\"";
    }

    rest.len = url->len - skip;
    rest.data = url->data + skip;

    error = ngx_mcp_redis_url_user(cf, rcf, &rest);

    if (error) {
        return error;
    }

    return (url->data[0] == 'u' || url->data[0] == 'U')
           ? ngx_mcp_redis_url_path(cf, rcf, &rest)
           : ngx_mcp_redis_url_host(cf, rcf, &rest);
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
 * HOST[:PORT][/NUMBER]
 */

static const char *
ngx_mcp_redis_url_host(ngx_conf_t *cf, ngx_mcp_redis_conf_t *rcf,
    ngx_str_t *rest)
{
    u_char      *slash, *last;
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

    return ngx_mcp_redis_server_add(cf, rcf, &rcf->name, NGX_MCP_REDIS_PORT);
}


static const char *
ngx_mcp_redis_url_database(ngx_mcp_redis_conf_t *rcf, u_char *p, u_char *last)
{
    rcf->database = ngx_atoi(p, last - p);

    return rcf->database == NGX_ERROR ? "the database must be a number" : NULL;
}


static const char *
ngx_mcp_redis_url_option(ngx_mcp_redis_conf_t *rcf, ngx_str_t *value)
{
    u_char  *p, *last;

    p = value->data;
    last = p + value->len;

    if (ngx_strncmp(p, "prefix=", 7) == 0) {

        if (rcf->prefix.data) {
            return "it is duplicate";
        }

        rcf->prefix.data = p + 7;
        rcf->prefix.len = value->len - 7;

        return rcf->prefix.len > NGX_MCP_REDIS_MAX_PREFIX_LEN
               ? "the prefix is longer than 128 bytes" : NULL;
    }

    if (ngx_strncmp(p, "timeout=", 8) == 0) {
        return ngx_mcp_redis_url_time(&rcf->timeout, p + 8, last);
    }

    if (ngx_strncmp(p, "connect_timeout=", 16) == 0) {
        return ngx_mcp_redis_url_time(&rcf->connect_timeout, p + 16, last);
    }

    return "it must be \"prefix=TEXT\", \"timeout=TIME\" or "
           "\"connect_timeout=TIME\"";
}


static const char *
ngx_mcp_redis_url_time(ngx_msec_t *time, u_char *p, u_char *last)
{
    ngx_str_t  s;

    if (*time != NGX_CONF_UNSET_MSEC) {
        return "it is duplicate";
    }

    s.data = p;
    s.len = last - p;

    *time = ngx_parse_time(&s, 0);

    return (*time == (ngx_msec_t) NGX_ERROR || *time == 0)
           ? "it must be a time longer than 0" : NULL;
}


ngx_int_t
ngx_mcp_redis_url_check(ngx_conf_t *cf, ngx_mcp_main_conf_t *mcf)
{
    if (mcf->redis == NULL) {
        return NGX_OK;
    }

    if (mcf->keys == NULL) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"mcp_sse_redis\" needs \"mcp_sse_key\" with the same "
                      "secrets in all instances");
        return NGX_ERROR;
    }

    return ngx_mcp_redis_server_resolve(cf, mcf->redis, "mcp_sse_redis");
}

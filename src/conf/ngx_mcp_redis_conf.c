
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * The directive mcp_sse_redis: its parameters, and what fits together; those of
 * mcp_sse_events.
 *
 * All values are in the pool of their cycle.
 */

#include "ngx_mcp_redis_conf.h"
#include "ngx_mcp_redis_server.h"
#include "ngx_mcp_redis_slot.h"
#include "ngx_mcp_redis_ssl_conf.h"
#include "ngx_mcp_redis_url.h"
#include "ngx_mcp_secret_file.h"


/* the function that reads a parameter has logged the error */

#define NGX_MCP_REDIS_CONF_LOGGED  ((const char *) NGX_CONF_ERROR)


typedef struct {
    ngx_str_t      name;       /* with the "=", if it has a value */
    const char  *(*read)(ngx_conf_t *cf, ngx_mcp_redis_conf_t *rcf,
                       ngx_str_t *value);
} ngx_mcp_redis_option_t;


static ngx_int_t ngx_mcp_redis_conf_options(ngx_conf_t *cf,
    ngx_mcp_redis_conf_t *rcf, ngx_uint_t events);
static ngx_mcp_redis_option_t *ngx_mcp_redis_conf_option(
    ngx_mcp_redis_option_t *option, ngx_str_t *arg, ngx_str_t *value);
static const char *ngx_mcp_redis_conf_prefix(ngx_conf_t *cf,
    ngx_mcp_redis_conf_t *rcf, ngx_str_t *value);
static const char *ngx_mcp_redis_conf_channel(ngx_conf_t *cf,
    ngx_mcp_redis_conf_t *rcf, ngx_str_t *value);
static const char *ngx_mcp_redis_conf_timeout(ngx_conf_t *cf,
    ngx_mcp_redis_conf_t *rcf, ngx_str_t *value);
static const char *ngx_mcp_redis_conf_connect_timeout(ngx_conf_t *cf,
    ngx_mcp_redis_conf_t *rcf, ngx_str_t *value);
static const char *ngx_mcp_redis_conf_time(ngx_msec_t *time,
    ngx_str_t *value);
static const char *ngx_mcp_redis_conf_sentinel(ngx_conf_t *cf,
    ngx_mcp_redis_conf_t *rcf, ngx_str_t *value);
static const char *ngx_mcp_redis_conf_sentinel_auth(ngx_conf_t *cf,
    ngx_mcp_redis_conf_t *rcf, ngx_str_t *value);
static const char *ngx_mcp_redis_conf_cluster(ngx_conf_t *cf,
    ngx_mcp_redis_conf_t *rcf, ngx_str_t *value);
static void ngx_mcp_redis_conf_default_prefix(ngx_mcp_redis_conf_t *rcf,
    ngx_uint_t events);
static const char *ngx_mcp_redis_conf_fits(ngx_mcp_redis_conf_t *rcf,
    ngx_uint_t events);


static ngx_mcp_redis_option_t  ngx_mcp_redis_options[] = {
    { ngx_string("prefix="), ngx_mcp_redis_conf_prefix },
    { ngx_string("timeout="), ngx_mcp_redis_conf_timeout },
    { ngx_string("connect_timeout="), ngx_mcp_redis_conf_connect_timeout },
    { ngx_string("sentinel="), ngx_mcp_redis_conf_sentinel },
    { ngx_string("sentinel_auth="), ngx_mcp_redis_conf_sentinel_auth },
    { ngx_string("cluster"), ngx_mcp_redis_conf_cluster },
    { ngx_null_string, NULL }
};


static ngx_mcp_redis_option_t  ngx_mcp_redis_events_options[] = {
    { ngx_string("channel="), ngx_mcp_redis_conf_channel },
    { ngx_string("timeout="), ngx_mcp_redis_conf_timeout },
    { ngx_string("connect_timeout="), ngx_mcp_redis_conf_connect_timeout },
    { ngx_string("sentinel="), ngx_mcp_redis_conf_sentinel },
    { ngx_string("sentinel_auth="), ngx_mcp_redis_conf_sentinel_auth },
    { ngx_string("cluster"), ngx_mcp_redis_conf_cluster },
    { ngx_null_string, NULL }
};


char *
ngx_mcp_redis_conf(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_mcp_main_conf_t  *mcf = conf;

    if (mcf->redis) {
        return "is duplicate";
    }

    mcf->redis = ngx_pcalloc(cf->pool, sizeof(ngx_mcp_redis_conf_t));

    if (mcf->redis == NULL
        || ngx_mcp_redis_conf_read(cf, mcf->redis, 0) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


ngx_int_t
ngx_mcp_redis_conf_read(ngx_conf_t *cf, ngx_mcp_redis_conf_t *rcf,
    ngx_uint_t events)
{
    ngx_str_t   *value;
    const char  *error;

    value = cf->args->elts;

    rcf->timeout = NGX_CONF_UNSET_MSEC;
    rcf->connect_timeout = NGX_CONF_UNSET_MSEC;

    /* what the URL may have depends on the parameters */

    if (ngx_mcp_redis_conf_options(cf, rcf, events) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_conf_init_msec_value(rcf->timeout, 1000);
    ngx_conf_init_msec_value(rcf->connect_timeout, 1000);

    if (rcf->prefix.data == NULL) {
        ngx_mcp_redis_conf_default_prefix(rcf, events);
    }

    error = ngx_mcp_redis_url(cf, rcf, &value[1]);

    if (error) {

        /* the message does not show the URL, which may have a password */

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid URL in \"%V\" directive: %s",
                           &value[0], error);
        return NGX_ERROR;
    }

    error = ngx_mcp_redis_conf_fits(rcf, events);

    if (error) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameters in \"%V\" directive: %s",
                           &value[0], error);
        return NGX_ERROR;
    }

    return NGX_OK;
}


static void
ngx_mcp_redis_conf_default_prefix(ngx_mcp_redis_conf_t *rcf, ngx_uint_t events)
{
    if (events) {
        ngx_str_set(&rcf->prefix, "mcp:events");

    } else if (rcf->mode != NGX_MCP_REDIS_CLUSTER) {
        ngx_str_set(&rcf->prefix, "mcp:");

    } else {
        ngx_str_set(&rcf->prefix, "{mcp}:");
    }
}


static ngx_int_t
ngx_mcp_redis_conf_options(ngx_conf_t *cf, ngx_mcp_redis_conf_t *rcf,
    ngx_uint_t events)
{
    ngx_str_t               *value, rest, shown;
    ngx_uint_t               i;
    const char              *error;
    ngx_mcp_redis_option_t  *options, *option;

    value = cf->args->elts;
    options = events ? ngx_mcp_redis_events_options : ngx_mcp_redis_options;

    for (i = 2; i < cf->args->nelts; i++) {

        option = ngx_mcp_redis_conf_option(options, &value[i], &rest);

        if (option) {
            error = option->read(cf, rcf, &rest);

            if (error == NULL) {
                continue;
            }

        } else {
            error = events ? "it must be \"channel=NAME\", \"timeout=TIME\", "
                             "\"connect_timeout=TIME\", \"sentinel=NAME\", "
                             "\"sentinel_auth=FILE\" or \"cluster\""
                           : "it must be \"prefix=TEXT\", \"timeout=TIME\", "
                             "\"connect_timeout=TIME\", \"sentinel=NAME\", "
                             "\"sentinel_auth=FILE\" or \"cluster\"";
        }

        if (error == NGX_MCP_REDIS_CONF_LOGGED) {
            return NGX_ERROR;
        }

        shown = value[i];

        if (ngx_strlchr(shown.data, shown.data + shown.len, '@')) {

            /* it may be a URL with a password */

            ngx_str_set(&shown, "...");
        }

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\" in \"%V\" directive: %s",
                           &shown, &value[0], error);
        return NGX_ERROR;
    }

    return NGX_OK;
}


/*
 * Returns the parameter that "arg" has the name of, of those from "option" on,
 * or NULL; "value" is set to the rest of "arg".
 */

static ngx_mcp_redis_option_t *
ngx_mcp_redis_conf_option(ngx_mcp_redis_option_t *option, ngx_str_t *arg,
    ngx_str_t *value)
{
    for ( /* void */ ; option->read; option++) {

        if (arg->len < option->name.len
            || ngx_strncmp(arg->data, option->name.data, option->name.len) != 0)
        {
            continue;
        }

        value->data = arg->data + option->name.len;
        value->len = arg->len - option->name.len;

        return (value->len && value->data[-1] != '=') ? NULL : option;
    }

    return NULL;
}


/*
 * These return NULL, the text of an error, or NGX_MCP_REDIS_CONF_LOGGED.
 */

static const char *
ngx_mcp_redis_conf_prefix(ngx_conf_t *cf, ngx_mcp_redis_conf_t *rcf,
    ngx_str_t *value)
{
    if (rcf->prefix.data) {
        return "it is duplicate";
    }

    rcf->prefix = *value;

    return rcf->prefix.len > NGX_MCP_REDIS_MAX_PREFIX_LEN
           ? "the prefix is longer than 128 bytes" : NULL;
}


static const char *
ngx_mcp_redis_conf_channel(ngx_conf_t *cf, ngx_mcp_redis_conf_t *rcf,
    ngx_str_t *value)
{
    size_t  i;

    if (rcf->prefix.data) {
        return "it is duplicate";
    }

    rcf->prefix = *value;

    for (i = 0; i < value->len; i++) {
        if (value->data[i] <= ' ' || value->data[i] == 0x7f) {
            return "a channel has no blanks and no control characters";
        }
    }

    return (value->len == 0 || value->len > NGX_MCP_REDIS_MAX_PREFIX_LEN)
           ? "a channel has 1 to 128 bytes" : NULL;
}


static const char *
ngx_mcp_redis_conf_timeout(ngx_conf_t *cf, ngx_mcp_redis_conf_t *rcf,
    ngx_str_t *value)
{
    return ngx_mcp_redis_conf_time(&rcf->timeout, value);
}


static const char *
ngx_mcp_redis_conf_connect_timeout(ngx_conf_t *cf, ngx_mcp_redis_conf_t *rcf,
    ngx_str_t *value)
{
    return ngx_mcp_redis_conf_time(&rcf->connect_timeout, value);
}


static const char *
ngx_mcp_redis_conf_time(ngx_msec_t *time, ngx_str_t *value)
{
    if (*time != NGX_CONF_UNSET_MSEC) {
        return "it is duplicate";
    }

    *time = ngx_parse_time(value, 0);

    return (*time == (ngx_msec_t) NGX_ERROR || *time == 0)
           ? "it must be a time longer than 0" : NULL;
}


static const char *
ngx_mcp_redis_conf_sentinel(ngx_conf_t *cf, ngx_mcp_redis_conf_t *rcf,
    ngx_str_t *value)
{
    if (rcf->mode == NGX_MCP_REDIS_SENTINEL) {
        return "it is duplicate";
    }

    if (rcf->mode == NGX_MCP_REDIS_CLUSTER) {
        return "a cluster has no sentinels";
    }

    rcf->mode = NGX_MCP_REDIS_SENTINEL;
    rcf->master = *value;

    return value->len ? NULL
                      : "it must be the name by which the sentinels know the "
                        "master";
}


/*
 * A file with [USER:]PASSWORD.
 */

static const char *
ngx_mcp_redis_conf_sentinel_auth(ngx_conf_t *cf, ngx_mcp_redis_conf_t *rcf,
    ngx_str_t *value)
{
    u_char       *colon, *last;
    ngx_str_t    *line;
    ngx_array_t  *lines;

    if (rcf->sentinel_password.data) {
        return "it is duplicate";
    }

    if (value->len == 0) {
        return "it must be the name of a file";
    }

    lines = ngx_mcp_secret_file_lines(cf, value, 1);
    if (lines == NULL) {
        return NGX_MCP_REDIS_CONF_LOGGED;
    }

    if (lines->nelts != 1) {
        return "the file must have one line, \"[USER:]PASSWORD\"";
    }

    line = lines->elts;
    last = line->data + line->len;
    colon = ngx_strlchr(line->data, last, ':');

    rcf->sentinel_password = *line;

    if (colon) {
        rcf->sentinel_user.data = line->data;
        rcf->sentinel_user.len = colon - line->data;

        rcf->sentinel_password.data = colon + 1;
        rcf->sentinel_password.len = last - (colon + 1);
    }

    return rcf->sentinel_password.len
           ? NULL : "the file must have one line, \"[USER:]PASSWORD\"";
}


static const char *
ngx_mcp_redis_conf_cluster(ngx_conf_t *cf, ngx_mcp_redis_conf_t *rcf,
    ngx_str_t *value)
{
    if (rcf->mode == NGX_MCP_REDIS_CLUSTER) {
        return "it is duplicate";
    }

    if (rcf->mode == NGX_MCP_REDIS_SENTINEL) {
        return "a cluster has no sentinels";
    }

    rcf->mode = NGX_MCP_REDIS_CLUSTER;

    return NULL;
}


static const char *
ngx_mcp_redis_conf_fits(ngx_mcp_redis_conf_t *rcf, ngx_uint_t events)
{
    ngx_str_t  tag;

    if (rcf->sentinel_password.len && rcf->mode != NGX_MCP_REDIS_SENTINEL) {
        return "\"sentinel_auth=FILE\" needs \"sentinel=NAME\"";
    }

    if (rcf->mode != NGX_MCP_REDIS_CLUSTER) {
        return NULL;
    }

    if (rcf->database != 0) {
        return "a cluster has only the database 0";
    }

    /*
     * All keys are in one slot, so that they are at one node.  A channel is
     * known at each node, and one of them is chosen by its slot.
     */

    if (!events && ngx_mcp_redis_tag(&rcf->prefix, &tag) != NGX_OK) {
        return "with \"cluster\" the prefix must have a hash tag in braces, "
               "such as \"{mcp}:\"";
    }

    rcf->slot = ngx_mcp_redis_slot(&rcf->prefix);

    return NULL;
}


ngx_int_t
ngx_mcp_redis_conf_check(ngx_conf_t *cf, ngx_mcp_main_conf_t *mcf)
{
    if ((mcf->redis == NULL || !mcf->redis->tls)
        && (mcf->events == NULL || !mcf->events->redis.tls))
    {
        ngx_mcp_redis_ssl_conf_unused(cf, &mcf->redis_ssl);
    }

    ngx_conf_init_value(mcf->redis_ssl.verify, 1);

    if (mcf->redis == NULL) {
        return NGX_OK;
    }

    if (mcf->keys == NULL) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"mcp_sse_redis\" needs \"mcp_sse_key\" with the same "
                      "secrets in all instances");
        return NGX_ERROR;
    }

    if (ngx_mcp_redis_ssl_conf_set(cf, &mcf->redis_ssl, mcf->redis) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_mcp_redis_server_resolve(cf, mcf->redis, "mcp_sse_redis");
}

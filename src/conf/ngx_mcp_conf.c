
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Setters of directives whose values nginx has no setter for.
 *
 * All values are in the pool of their cycle.
 */

#include "ngx_mcp_conf.h"
#include "ngx_mcp_dispatch.h"
#include "ngx_mcp_origin.h"
#include "ngx_mcp_forward_headers.h"
#include "ngx_mcp_public_url.h"
#include "ngx_mcp_secret_file.h"


/*
 * Bytes; RFC 2104, 3 discourages keys that are shorter than the output of the
 * hash, which is 32 bytes for SHA-256.
 */

#define NGX_MCP_CONF_MIN_SECRET_LEN  32


static ngx_int_t ngx_mcp_conf_add_url(ngx_conf_t *cf, ngx_command_t *cmd,
    ngx_array_t **urls, ngx_str_t *value, ngx_uint_t http);


ngx_conf_enum_t  ngx_mcp_conf_ping_results[] = {
    { ngx_string("meta"), NGX_MCP_PING_META },
    { ngx_string("result"), NGX_MCP_PING_RESULT },
    { ngx_string("empty"), NGX_MCP_PING_EMPTY },
    { ngx_null_string, 0 }
};

ngx_conf_enum_t  ngx_mcp_conf_header_checks[] = {
    { ngx_string("strict"), NGX_MCP_HEADER_CHECK_STRICT },
    { ngx_string("lenient"), NGX_MCP_HEADER_CHECK_LENIENT },
    { ngx_null_string, 0 }
};


char *
ngx_mcp_conf_uri(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char  *p = conf;

    u_char      *query;
    ngx_str_t   *value, *uri, *args;
    ngx_uint_t   i;

    value = cf->args->elts;
    uri = (ngx_str_t *) (p + cmd->offset);

    if (uri->data) {
        return "is duplicate";
    }

    if (value[1].len == 0 || value[1].data[0] != '/') {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid URI \"%V\" in \"%V\" directive, "
                           "it must begin with \"/\"", &value[1], &cmd->name);
        return NGX_CONF_ERROR;
    }

    for (i = 0; i < value[1].len; i++) {

        if (value[1].data[i] <= ' '
            || value[1].data[i] == 0x7f
            || value[1].data[i] == '#')
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid URI \"%V\" in \"%V\" directive, it "
                               "must not have blanks, control characters or "
                               "\"#\"", &value[1], &cmd->name);
            return NGX_CONF_ERROR;
        }
    }

    *uri = value[1];

    /* mcp_sse_message_uri keeps its query: clients get it as it is */

    if (cmd->post == NULL) {
        return NGX_CONF_OK;
    }

    args = uri + 1;
    query = ngx_strlchr(uri->data, uri->data + uri->len, '?');

    if (query) {
        args->data = query + 1;
        args->len = uri->data + uri->len - args->data;
        uri->len = query - uri->data;
    }

    return NGX_CONF_OK;
}


char *
ngx_mcp_conf_time(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char  *p = conf;

    ngx_str_t   *value;
    ngx_msec_t  *time;

    value = cf->args->elts;
    time = (ngx_msec_t *) (p + cmd->offset);

    if (*time != NGX_CONF_UNSET_MSEC) {
        return "is duplicate";
    }

    if (cmd->post && ngx_strcmp(value[1].data, "off") == 0) {
        *time = NGX_MCP_OFF;
        return NGX_CONF_OK;
    }

    /* ngx_conf_set_msec_slot() would run "post" as a handler */

    *time = ngx_parse_time(&value[1], 0);

    if (*time == (ngx_msec_t) NGX_ERROR || *time == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value \"%V\" in \"%V\" directive, it must "
                           "be a time longer than 0%s", &value[1], &cmd->name,
                           cmd->post ? ", or \"off\"" : "");
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


char *
ngx_mcp_conf_size(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char  *p = conf;

    size_t     *size;
    ngx_str_t  *value;

    value = cf->args->elts;
    size = (size_t *) (p + cmd->offset);

    if (*size != NGX_CONF_UNSET_SIZE) {
        return "is duplicate";
    }

    *size = ngx_parse_size(&value[1]);

    if (*size == (size_t) NGX_ERROR || *size == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value \"%V\" in \"%V\" directive, it must "
                           "be a size larger than 0", &value[1], &cmd->name);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


char *
ngx_mcp_conf_sec(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char  *p = conf;

    time_t     *sec;
    ngx_str_t  *value;

    value = cf->args->elts;
    sec = (time_t *) (p + cmd->offset);

    if (*sec != NGX_CONF_UNSET) {
        return "is duplicate";
    }

    *sec = ngx_parse_time(&value[1], 1);

    if (*sec == (time_t) NGX_ERROR || *sec == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value \"%V\" in \"%V\" directive, it must "
                           "be a time of at least 1 second", &value[1],
                           &cmd->name);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


char *
ngx_mcp_conf_zone(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_mcp_main_conf_t  *mcf = conf;

    u_char     *p;
    ssize_t     size;
    ngx_str_t  *value, s;

    if (mcf->zone_name.len) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strncmp(value[1].data, "zone=", 5) == 0) {

        mcf->zone_name.data = value[1].data + 5;
        p = (u_char *) ngx_strchr(mcf->zone_name.data, ':');

        if (p && p != mcf->zone_name.data) {
            mcf->zone_name.len = p - mcf->zone_name.data;

            s.data = p + 1;
            s.len = value[1].data + value[1].len - s.data;

            size = ngx_parse_size(&s);

            if (size > 0) {
                mcf->zone_size = size;
                return NGX_CONF_OK;
            }
        }
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid parameter \"%V\" in \"mcp_sse_zone\" "
                       "directive, it must be \"zone=NAME:SIZE\"", &value[1]);
    return NGX_CONF_ERROR;
}


char *
ngx_mcp_conf_key(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_mcp_main_conf_t  *mcf = conf;

    ngx_str_t   *value, *key;
    ngx_uint_t   i;

    if (mcf->keys) {
        return "is duplicate";
    }

    value = cf->args->elts;

    mcf->keys = ngx_mcp_secret_file_lines(cf, &value[1], 1);
    if (mcf->keys == NULL) {
        return NGX_CONF_ERROR;
    }

    key = mcf->keys->elts;

    for (i = 0; i < mcf->keys->nelts; i++) {

        if (key[i].len < NGX_MCP_CONF_MIN_SECRET_LEN) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "a secret in \"%V\" is shorter than %d "
                               "characters, create one with \"openssl rand "
                               "-hex 32\"",
                               &value[1], NGX_MCP_CONF_MIN_SECRET_LEN);
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


char *
ngx_mcp_conf_api_secret(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_mcp_loc_conf_t  *mlcf = conf;

    ngx_str_t    *value, *secret;
    ngx_uint_t    i;
    ngx_array_t  *lines;

    if (mlcf->api_secret.data) {
        return "is duplicate";
    }

    value = cf->args->elts;

    lines = ngx_mcp_secret_file_lines(cf, &value[1], 0);
    if (lines == NULL) {
        return NGX_CONF_ERROR;
    }

    secret = lines->elts;

    for (i = 0; i < secret->len; i++) {

        if (secret->data[i] <= ' '
            || secret->data[i] >= 0x7f
            || secret->data[i] == ':')
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid character in the API secret in "
                               "\"%V\", it must have visible ASCII characters "
                               "without \":\"", &value[1]);
            return NGX_CONF_ERROR;
        }
    }

    mlcf->api_secret = *secret;

    return NGX_CONF_OK;
}


char *
ngx_mcp_conf_server_url(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_mcp_loc_conf_t  *mlcf = conf;

    ngx_str_t   *value;
    ngx_uint_t   i;

    if (mlcf->server_urls != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    mlcf->server_urls = NULL;

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        if (ngx_mcp_conf_add_url(cf, cmd, &mlcf->server_urls, &value[i], 1)
            != NGX_OK)
        {
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


/*
 * A slash at the end is removed, since paths are appended to the value.  A
 * value with variables is checked when it is used.
 */

char *
ngx_mcp_conf_public_url(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char  *p = conf;

    char                       *rv;
    ngx_int_t                   rc;
    ngx_str_t                  *value;
    ngx_http_complex_value_t  **cv;

    cv = (ngx_http_complex_value_t **) (p + cmd->offset);

    rv = ngx_http_set_complex_value_slot(cf, cmd, conf);

    if (rv != NGX_CONF_OK || (*cv)->lengths) {
        return rv;
    }

    rc = ngx_mcp_public_url_check(cf->temp_pool, &(*cv)->value);

    if (rc == NGX_DECLINED) {
        value = cf->args->elts;

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid URL \"%V\" in \"%V\" directive, it must "
                           "be http[s]://HOST[:PORT]", &value[1], &cmd->name);
    }

    return (rc == NGX_OK) ? NGX_CONF_OK : NGX_CONF_ERROR;
}


char *
ngx_mcp_conf_origin(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_mcp_loc_conf_t  *mlcf = conf;

    ngx_str_t   *value;
    ngx_uint_t   i;

    if (mlcf->origins != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    mlcf->origins = NULL;
    mlcf->any_origin = 0;

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        if (value[i].len == 1 && value[i].data[0] == '*') {
            mlcf->any_origin = 1;
            continue;
        }

        if (ngx_mcp_conf_add_url(cf, cmd, &mlcf->origins, &value[i], 0)
            != NGX_OK)
        {
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_mcp_conf_add_url(ngx_conf_t *cf, ngx_command_t *cmd, ngx_array_t **urls,
    ngx_str_t *value, ngx_uint_t http)
{
    ngx_str_t  *url;

    if (*urls == NULL) {
        *urls = ngx_array_create(cf->pool, 2, sizeof(ngx_str_t));
        if (*urls == NULL) {
            return NGX_ERROR;
        }
    }

    url = ngx_array_push(*urls);
    if (url == NULL) {
        return NGX_ERROR;
    }

    if (ngx_mcp_origin_normalize(cf->pool, value, url) != NGX_OK
        || (http && !ngx_mcp_origin_is_http(value)))
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value \"%V\" in \"%V\" directive, it must "
                           "be \"%s://HOST[:PORT]\"", value, &cmd->name,
                           http ? "http[s]" : "SCHEME");
        return NGX_ERROR;
    }

    return NGX_OK;
}


char *
ngx_mcp_conf_local(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_mcp_loc_conf_t  *mlcf = conf;

    ngx_str_t   *value;
    ngx_uint_t   i, flag;

    if (mlcf->local != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    mlcf->local = 0;

    value = cf->args->elts;

    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "none") == 0) {
        return NGX_CONF_OK;
    }

    for (i = 1; i < cf->args->nelts; i++) {

        flag = ngx_mcp_dispatch_flag(&value[i]);

        if (flag == 0) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid value \"%V\" in \"mcp_sse_local\" "
                               "directive, it must be \"ping\", "
                               "\"resources/list\", "
                               "\"resources/templates/list\", "
                               "\"prompts/list\" or \"logging/setLevel\", "
                               "or \"none\" alone",
                               &value[i]);
            return NGX_CONF_ERROR;
        }

        mlcf->local |= flag;
    }

    return NGX_CONF_OK;
}


char *
ngx_mcp_conf_keepalive(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_mcp_loc_conf_t  *mlcf = conf;

    char       *rv;
    ngx_str_t  *value;

    rv = ngx_mcp_conf_time(cf, cmd, conf);

    if (rv != NGX_CONF_OK) {
        return rv;
    }

    mlcf->keepalive_event = 0;

    if (cf->args->nelts == 2) {
        return NGX_CONF_OK;
    }

    value = cf->args->elts;

    if (mlcf->keepalive != NGX_MCP_OFF
        && ngx_strcmp(value[2].data, "event") == 0)
    {
        mlcf->keepalive_event = 1;
        return NGX_CONF_OK;
    }

    if (mlcf->keepalive != NGX_MCP_OFF
        && ngx_strcmp(value[2].data, "comment") == 0)
    {
        return NGX_CONF_OK;
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid parameter \"%V\" in \"mcp_sse_keepalive\" "
                       "directive, it must be \"comment\" or \"event\" after "
                       "a time", &value[2]);
    return NGX_CONF_ERROR;
}


char *
ngx_mcp_conf_pass_header(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_mcp_loc_conf_t  *mlcf = conf;

    ngx_str_t   *value, *name;
    ngx_uint_t   i;

    if (mlcf->pass_headers != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    mlcf->pass_headers = ngx_array_create(cf->pool, cf->args->nelts,
                                          sizeof(ngx_str_t));
    if (mlcf->pass_headers == NULL) {
        return NGX_CONF_ERROR;
    }

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        ngx_strlow(value[i].data, value[i].data, value[i].len);

        if (value[i].len == 0
            || !ngx_mcp_forward_headers_allowed_name(&value[i]))
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "header \"%V\" cannot be passed by "
                               "\"mcp_sse_pass_header\", the module sets or "
                               "removes it", &value[i]);
            return NGX_CONF_ERROR;
        }

        name = ngx_array_push(mlcf->pass_headers);
        if (name == NULL) {
            return NGX_CONF_ERROR;
        }

        *name = value[i];
    }

    /* an empty name ends the list; the array has room for it */

    name = ngx_array_push(mlcf->pass_headers);
    if (name == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_str_null(name);

    return NGX_CONF_OK;
}

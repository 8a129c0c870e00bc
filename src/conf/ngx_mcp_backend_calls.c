
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * The directive mcp_sse_backend_calls: N [per_user=M].
 *
 * The values are in the configuration.
 */

#include "ngx_mcp_backend_calls.h"


#define NGX_MCP_BACKEND_CALLS_PER_USER  "per_user="


static ngx_int_t ngx_mcp_backend_calls_per_user(ngx_str_t *value,
    ngx_int_t max);


char *
ngx_mcp_backend_calls(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_mcp_main_conf_t  *mcf = conf;

    ngx_int_t   n, per_user;
    ngx_str_t  *value;

    if (mcf->backend_calls) {
        return "is duplicate";
    }

    value = cf->args->elts;

    n = ngx_atoi(value[1].data, value[1].len);

    if (n < 1 || n > NGX_MAX_INT32_VALUE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value \"%V\" in \"%V\" directive, it must "
                           "be a number of at least 1", &value[1], &cmd->name);
        return NGX_CONF_ERROR;
    }

    per_user = ngx_max(n - 1, 1);

    if (cf->args->nelts == 3) {
        per_user = ngx_mcp_backend_calls_per_user(&value[2], n);
    }

    if (per_user == NGX_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\" in \"%V\" directive, it "
                           "must be \"per_user=\" and a number from 1 to %i",
                           &value[2], &cmd->name, n);
        return NGX_CONF_ERROR;
    }

    mcf->backend_calls = n;
    mcf->backend_calls_per_user = per_user;

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_mcp_backend_calls_per_user(ngx_str_t *value, ngx_int_t max)
{
    size_t     len;
    ngx_int_t  n;

    len = sizeof(NGX_MCP_BACKEND_CALLS_PER_USER) - 1;

    if (value->len <= len
        || ngx_strncmp(value->data, NGX_MCP_BACKEND_CALLS_PER_USER, len) != 0)
    {
        return NGX_ERROR;
    }

    n = ngx_atoi(value->data + len, value->len - len);

    return (n < 1 || n > max) ? NGX_ERROR : n;
}

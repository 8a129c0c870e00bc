
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Variables: $mcp_sse_*.
 *
 * Values point into the context of a request or call, or are in its pool, and
 * are valid as long as it.
 */

#include "ngx_mcp_variables.h"
#include "ngx_mcp_json_text.h"


static ngx_int_t ngx_mcp_variables_get(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_mcp_variables_result(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_mcp_variables_wait(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static u_char *ngx_mcp_variables_one_line(ngx_http_request_t *r, ngx_str_t *s);
static void ngx_mcp_vars_name(ngx_str_t *var, ngx_str_t *name);


static ngx_http_variable_t  ngx_mcp_variables[] = {

    { ngx_string("mcp_sse_session"), NULL, ngx_mcp_variables_get,
      offsetof(ngx_mcp_vars_t, session),
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("mcp_sse_user"), NULL, ngx_mcp_variables_get,
      offsetof(ngx_mcp_vars_t, user),
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("mcp_sse_site"), NULL, ngx_mcp_variables_get,
      offsetof(ngx_mcp_vars_t, site),
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("mcp_sse_method"), NULL, ngx_mcp_variables_get,
      offsetof(ngx_mcp_vars_t, method),
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("mcp_sse_id"), NULL, ngx_mcp_variables_get,
      offsetof(ngx_mcp_vars_t, id),
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("mcp_sse_tool"), NULL, ngx_mcp_variables_get,
      offsetof(ngx_mcp_vars_t, tool),
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("mcp_sse_client"), NULL, ngx_mcp_variables_get,
      offsetof(ngx_mcp_vars_t, client),
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("mcp_sse_version"), NULL, ngx_mcp_variables_get,
      offsetof(ngx_mcp_vars_t, version),
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("mcp_sse_result"), NULL, ngx_mcp_variables_result, 0,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("mcp_sse_wait_ms"), NULL, ngx_mcp_variables_wait, 0,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

      ngx_http_null_variable
};


/* values of $mcp_sse_result, in the order of ngx_mcp_result_e */

static ngx_str_t  ngx_mcp_variables_results[] = {
    ngx_null_string,
    ngx_string("ok"),
    ngx_string("error"),
    ngx_string("backend"),
    ngx_string("timeout"),
    ngx_string("cancelled"),
    ngx_string("too_large"),
    ngx_string("dropped"),
    ngx_string("local"),
    ngx_string("refused")
};


ngx_int_t
ngx_mcp_variables_add(ngx_conf_t *cf)
{
    ngx_http_variable_t  *var, *v;

    for (v = ngx_mcp_variables; v->name.len; v++) {

        var = ngx_http_add_variable(cf, &v->name, v->flags);
        if (var == NULL) {
            return NGX_ERROR;
        }

        var->get_handler = v->get_handler;
        var->data = v->data;
    }

    return NGX_OK;
}


/*
 * A subrequest reads the variables of its main request, which is the fake
 * request of a call.
 */

static ngx_int_t
ngx_mcp_variables_get(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    uintptr_t data)
{
    ngx_str_t      *s;
    ngx_mcp_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r->main, ngx_http_mcp_sse_module);

    s = ctx ? (ngx_str_t *) ((u_char *) &ctx->vars + data) : NULL;

    if (s == NULL || s->len == 0) {
        v->not_found = 1;
        return NGX_OK;
    }

    v->data = ngx_mcp_variables_one_line(r, s);
    if (v->data == NULL) {
        return NGX_ERROR;
    }

    v->len = s->len;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}


/*
 * Replaces control characters: a line break in a name that a client sends
 * would begin another header in proxy_set_header.
 */

static u_char *
ngx_mcp_variables_one_line(ngx_http_request_t *r, ngx_str_t *s)
{
    size_t   i;
    u_char  *p;

    p = s->data;

    for (i = 0; i < s->len; i++) {

        if (s->data[i] >= ' ' && s->data[i] != 0x7f) {
            continue;
        }

        if (p == s->data) {
            p = ngx_pstrdup(r->pool, s);
            if (p == NULL) {
                return NULL;
            }
        }

        p[i] = '?';
    }

    return p;
}


static ngx_int_t
ngx_mcp_variables_result(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    uintptr_t data)
{
    ngx_str_t      *s;
    ngx_mcp_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r->main, ngx_http_mcp_sse_module);

    if (ctx == NULL || ctx->vars.result == NGX_MCP_RESULT_NONE) {
        v->not_found = 1;
        return NGX_OK;
    }

    s = ngx_mcp_variables_result_name(ctx->vars.result);

    v->data = s->data;
    v->len = s->len;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}


/*
 * Only a call of a message has waited.
 */

static ngx_int_t
ngx_mcp_variables_wait(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    uintptr_t data)
{
    u_char         *p;
    ngx_mcp_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r->main, ngx_http_mcp_sse_module);

    if (ctx == NULL || ctx->call == NULL || ctx->vars.method.len == 0) {
        v->not_found = 1;
        return NGX_OK;
    }

    p = ngx_pnalloc(r->pool, NGX_INT64_LEN);
    if (p == NULL) {
        return NGX_ERROR;
    }

    v->data = p;
    v->len = ngx_sprintf(p, "%M", ctx->vars.wait) - p;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}


ngx_str_t *
ngx_mcp_variables_result_name(ngx_uint_t result)
{
    return &ngx_mcp_variables_results[result];
}


void
ngx_mcp_vars_set(ngx_mcp_vars_t *vars, ngx_mcp_jsonrpc_message_t *message)
{
    ngx_mcp_vars_name(&vars->method, &message->method);

    vars->raw_method = message->raw_method;
    vars->id = message->id;

    if (ngx_mcp_str_is(&message->method, "tools/call")) {
        ngx_mcp_vars_name(&vars->tool, &message->name);
    }
}


/*
 * A long name is cut at the end of a UTF-8 character, so that a log in JSON
 * stays valid.
 */

static void
ngx_mcp_vars_name(ngx_str_t *var, ngx_str_t *name)
{
    *var = *name;

    if (var->len <= NGX_MCP_MAX_NAME_LEN) {
        return;
    }

    var->len = NGX_MCP_MAX_NAME_LEN;

    while (var->len && (var->data[var->len] & 0xc0) == 0x80) {
        var->len--;
    }
}

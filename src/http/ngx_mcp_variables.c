
/*
 * Values point to the facts of a request or call, or are in its pool, and
 * live as long as it.
 */

#include "ngx_mcp_variables.h"
#include "ngx_mcp_json_text.h"


static ngx_int_t ngx_mcp_variables_get(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_mcp_variables_result(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static u_char *ngx_mcp_variables_one_line(ngx_http_request_t *r, ngx_str_t *s);
static void ngx_mcp_vars_name(ngx_str_t *fact, ngx_str_t *name);


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

    { ngx_string("mcp_sse_result"), NULL, ngx_mcp_variables_result, 0,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

      ngx_http_null_variable
};


/* by ngx_mcp_result_e */

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
 * In a call the facts are those of its stub, the main request.
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
 * A client's JSON may name anything, and a line break in proxy_set_header
 * would begin a header of the client's own.
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


ngx_str_t *
ngx_mcp_variables_result_name(ngx_uint_t result)
{
    return &ngx_mcp_variables_results[result];
}


void
ngx_mcp_vars_set(ngx_mcp_vars_t *facts, ngx_mcp_jsonrpc_message_t *message)
{
    ngx_mcp_vars_name(&facts->method, &message->method);

    facts->raw_method = message->raw_method;
    facts->id = message->id;

    if (ngx_mcp_str_is(&message->method, "tools/call")) {
        ngx_mcp_vars_name(&facts->tool, &message->name);
    }
}


/*
 * Cut between two characters of UTF-8, or a line of a log would be no JSON.
 */

static void
ngx_mcp_vars_name(ngx_str_t *fact, ngx_str_t *name)
{
    *fact = *name;

    if (fact->len <= NGX_MCP_MAX_NAME_LEN) {
        return;
    }

    fact->len = NGX_MCP_MAX_NAME_LEN;

    while (fact->len && (fact->data[fact->len] & 0xc0) == 0x80) {
        fact->len--;
    }
}

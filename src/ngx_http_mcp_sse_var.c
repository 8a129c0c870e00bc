
/*
 * Values point to the facts of a request or call and live as long as it.
 */

#include "ngx_http_mcp_sse_var.h"


static ngx_int_t ngx_http_mcp_sse_var_fact(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_mcp_sse_var_result(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);


static ngx_http_variable_t  ngx_http_mcp_sse_vars[] = {

    { ngx_string("mcp_sse_session"), NULL, ngx_http_mcp_sse_var_fact,
      offsetof(ngx_http_mcp_sse_facts_t, session),
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("mcp_sse_user"), NULL, ngx_http_mcp_sse_var_fact,
      offsetof(ngx_http_mcp_sse_facts_t, user),
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("mcp_sse_site"), NULL, ngx_http_mcp_sse_var_fact,
      offsetof(ngx_http_mcp_sse_facts_t, site),
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("mcp_sse_method"), NULL, ngx_http_mcp_sse_var_fact,
      offsetof(ngx_http_mcp_sse_facts_t, method),
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("mcp_sse_id"), NULL, ngx_http_mcp_sse_var_fact,
      offsetof(ngx_http_mcp_sse_facts_t, id),
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("mcp_sse_tool"), NULL, ngx_http_mcp_sse_var_fact,
      offsetof(ngx_http_mcp_sse_facts_t, tool),
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("mcp_sse_result"), NULL, ngx_http_mcp_sse_var_result, 0,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

      ngx_http_null_variable
};


/* by ngx_http_mcp_sse_result_e */

static ngx_str_t  ngx_http_mcp_sse_var_results[] = {
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
ngx_http_mcp_sse_var_add(ngx_conf_t *cf)
{
    ngx_http_variable_t  *var, *v;

    for (v = ngx_http_mcp_sse_vars; v->name.len; v++) {

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
ngx_http_mcp_sse_var_fact(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_str_t               *s;
    ngx_http_mcp_sse_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r->main, ngx_http_mcp_sse_module);

    s = ctx ? (ngx_str_t *) ((u_char *) &ctx->facts + data) : NULL;

    if (s == NULL || s->len == 0) {
        v->not_found = 1;
        return NGX_OK;
    }

    v->data = s->data;
    v->len = s->len;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}


static ngx_int_t
ngx_http_mcp_sse_var_result(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_str_t               *s;
    ngx_http_mcp_sse_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r->main, ngx_http_mcp_sse_module);

    if (ctx == NULL || ctx->facts.result == NGX_HTTP_MCP_SSE_RESULT_NONE) {
        v->not_found = 1;
        return NGX_OK;
    }

    s = ngx_http_mcp_sse_var_name(ctx->facts.result);

    v->data = s->data;
    v->len = s->len;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}


ngx_str_t *
ngx_http_mcp_sse_var_name(ngx_uint_t result)
{
    return &ngx_http_mcp_sse_var_results[result];
}


void
ngx_http_mcp_sse_facts_set(ngx_http_mcp_sse_facts_t *facts,
    ngx_http_mcp_sse_message_t *message)
{
    static ngx_str_t  call = ngx_string("tools/call");

    facts->method = message->method;
    facts->raw_method = message->raw_method;
    facts->id = message->id;

    if (message->method.len == call.len
        && ngx_strncmp(message->method.data, call.data, call.len) == 0)
    {
        facts->tool = message->name;
        facts->tool.len = ngx_min(facts->tool.len, NGX_HTTP_MCP_SSE_MAX_TOOL);
    }
}

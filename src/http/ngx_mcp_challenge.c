
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * WWW-Authenticate (RFC 9110, 11.6.1), with the metadata of the protected
 * resource (RFC 9728).
 *
 * All values are in the pool of the request.
 */

#include "ngx_mcp_challenge.h"
#include "ngx_mcp_header.h"
#include "ngx_mcp_public_url.h"


#define NGX_MCP_CHALLENGE_BEARER_LEN  (sizeof("Bearer") - 1)


static ngx_int_t ngx_mcp_challenge_own(ngx_http_request_t *r,
    ngx_str_t *value);
static ngx_uint_t ngx_mcp_challenge_cut(ngx_str_t *value);
static ngx_uint_t ngx_mcp_challenge_foreign(ngx_str_t *value,
    ngx_uint_t replaced);
static ngx_uint_t ngx_mcp_challenge_bearer(ngx_str_t *value);
static ngx_int_t ngx_mcp_challenge_set(ngx_http_request_t *r,
    ngx_str_t *value, ngx_str_t *name, ngx_str_t *text);
static ngx_int_t ngx_mcp_challenge_find(ngx_str_t *value, ngx_str_t *name,
    ngx_str_t *param);
static u_char *ngx_mcp_challenge_skip(u_char *p, u_char *last);
static u_char *ngx_mcp_challenge_skip_value(u_char *p, u_char *last);


static ngx_str_t  ngx_mcp_challenge_metadata_name =
                                             ngx_string("resource_metadata");
static ngx_str_t  ngx_mcp_challenge_error_name = ngx_string("error");
static ngx_str_t  ngx_mcp_challenge_invalid_token =
                                                 ngx_string("invalid_token");


ngx_int_t
ngx_mcp_challenge(ngx_http_request_t *r, ngx_str_t *given, ngx_uint_t refused)
{
    ngx_str_t       value, url, param;
    ngx_mcp_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_mcp_sse_module);

    /* members of a list may be empty: RFC 9110, 5.6.1.2 */

    value.data = ngx_mcp_challenge_skip(given->data, given->data + given->len);
    value.len = given->data + given->len - value.data;

    ngx_log_debug1(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "mcp challenge of %s", value.len ? "Frappe" : "the module");

    ngx_str_null(&url);

    if (ctx->resource && ngx_mcp_public_url_metadata(r, &url) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ngx_mcp_challenge_cut(&value)
        || ngx_mcp_challenge_foreign(&value, url.len != 0))
    {
        value.len = 0;
    }

    if (value.len == 0 && ngx_mcp_challenge_own(r, &value) != NGX_OK) {
        return NGX_ERROR;
    }

    if (!ngx_mcp_challenge_bearer(&value)) {
        return ngx_mcp_header_set(r, "WWW-Authenticate", &value);
    }

    if (refused
        && ngx_mcp_challenge_find(&value, &ngx_mcp_challenge_error_name,
                                  &param)
           != NGX_OK
        && ngx_mcp_challenge_set(r, &value, &ngx_mcp_challenge_error_name,
                                 &ngx_mcp_challenge_invalid_token)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (url.len
        && ngx_mcp_challenge_set(r, &value, &ngx_mcp_challenge_metadata_name,
                                 &url)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_mcp_header_set(r, "WWW-Authenticate", &value);
}


static ngx_int_t
ngx_mcp_challenge_own(ngx_http_request_t *r, ngx_str_t *value)
{
    ngx_str_t      *host;
    ngx_mcp_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_mcp_sse_module);

    host = r->headers_in.server.len ? &r->headers_in.server
                                    : &ctx->vars.site;

    if (!ngx_mcp_public_url_safe(host)) {
        host = &ctx->vars.site;
    }

    value->data = ngx_pnalloc(r->pool, sizeof("Bearer realm=\"\"")
                                       + host->len);
    if (value->data == NULL) {
        return NGX_ERROR;
    }

    value->len = ngx_sprintf(value->data, "Bearer realm=\"%V\"", host)
                 - value->data;

    return NGX_OK;
}


/*
 * Returns whether a quoted string has no end: what is added behind it would be
 * a part of it.
 */

static ngx_uint_t
ngx_mcp_challenge_cut(ngx_str_t *value)
{
    u_char      *p, *last;
    ngx_uint_t   quoted;

    quoted = 0;
    last = value->data + value->len;

    for (p = value->data; p < last; p++) {

        if (*p == '"') {
            quoted = !quoted;

        } else if (quoted && *p == '\\') {
            p++;
        }
    }

    return quoted;
}


/*
 * Metadata that Frappe names are those of another resource.  Returns whether
 * there are any in a place in which they are not replaced.  Clients search for
 * the name, so that a quoted string is such a place, too.
 */

static ngx_uint_t
ngx_mcp_challenge_foreign(ngx_str_t *value, ngx_uint_t replaced)
{
    u_char      *p, *last;
    ngx_str_t    param, *name;
    ngx_uint_t   n;

    name = &ngx_mcp_challenge_metadata_name;

    last = value->data + value->len;
    n = 0;

    for (p = value->data; (size_t) (last - p) >= name->len; p++) {

        if (ngx_strncasecmp(p, name->data, name->len) == 0) {
            n++;
        }
    }

    if (n == 0) {
        return 0;
    }

    return n > 1
           || !replaced
           || !ngx_mcp_challenge_bearer(value)
           || ngx_mcp_challenge_find(value, name, &param) != NGX_OK;
}


/*
 * Returns whether the first challenge is of the scheme Bearer.
 */

static ngx_uint_t
ngx_mcp_challenge_bearer(ngx_str_t *value)
{
    return value->len >= NGX_MCP_CHALLENGE_BEARER_LEN
           && ngx_strncasecmp(value->data, (u_char *) "Bearer",
                              NGX_MCP_CHALLENGE_BEARER_LEN)
              == 0
           && (value->len == NGX_MCP_CHALLENGE_BEARER_LEN
               || value->data[NGX_MCP_CHALLENGE_BEARER_LEN] == ' '
               || value->data[NGX_MCP_CHALLENGE_BEARER_LEN] == ',');
}


/*
 * Gives a parameter of the first challenge, which is of the scheme Bearer,
 * another value, or adds the parameter at the end of this challenge.
 */

static ngx_int_t
ngx_mcp_challenge_set(ngx_http_request_t *r, ngx_str_t *value, ngx_str_t *name,
    ngx_str_t *text)
{
    u_char     *p, *start;
    size_t      head;
    ngx_str_t   param, tail;

    start = ngx_pnalloc(r->pool, value->len + name->len + text->len
                                 + sizeof(", =\"\"") - 1);
    if (start == NULL) {
        return NGX_ERROR;
    }

    p = start;

    if (ngx_mcp_challenge_find(value, name, &param) == NGX_OK) {
        p = ngx_cpymem(p, value->data, param.data - value->data);

    } else {
        head = param.data - value->data;

        p = ngx_cpymem(p, value->data, head);
        p = ngx_sprintf(p, "%s%V=",
                        head == NGX_MCP_CHALLENGE_BEARER_LEN ? " " : ", ",
                        name);
    }

    tail.data = param.data + param.len;
    tail.len = value->data + value->len - tail.data;

    p = ngx_sprintf(p, "\"%V\"%V", text, &tail);

    value->data = start;
    value->len = p - start;

    return NGX_OK;
}


/*
 * Finds a parameter of the first challenge, which is of the scheme Bearer (RFC
 * 9110, 11.6.1).  Returns NGX_OK with its value, quotes included, in "param";
 * or NGX_DECLINED with an empty "param" at the end of this challenge.
 */

static ngx_int_t
ngx_mcp_challenge_find(ngx_str_t *value, ngx_str_t *name, ngx_str_t *param)
{
    u_char     *p, *end, *last;
    ngx_str_t   key;

    end = value->data + NGX_MCP_CHALLENGE_BEARER_LEN;
    last = value->data + value->len;

    for ( ;; ) {
        p = ngx_mcp_challenge_skip(end, last);
        key.data = p;

        while (p < last && *p != '=' && *p != ',' && *p != ' ' && *p != '\t') {
            p++;
        }

        key.len = p - key.data;

        while (p < last && (*p == ' ' || *p == '\t')) {
            p++;
        }

        /* the end, or the scheme of another challenge */

        if (p == last || *p != '=') {
            param->data = end;
            param->len = 0;
            return NGX_DECLINED;
        }

        param->data = ngx_mcp_challenge_skip(p + 1, last);
        end = ngx_mcp_challenge_skip_value(param->data, last);
        param->len = end - param->data;

        if (key.len == name->len
            && ngx_strncasecmp(key.data, name->data, key.len) == 0)
        {
            return NGX_OK;
        }
    }
}


static u_char *
ngx_mcp_challenge_skip(u_char *p, u_char *last)
{
    while (p < last && (*p == ' ' || *p == '\t' || *p == ',')) {
        p++;
    }

    return p;
}


/*
 * Skips a token or a quoted string.
 */

static u_char *
ngx_mcp_challenge_skip_value(u_char *p, u_char *last)
{
    if (p == last || *p != '"') {

        while (p < last && *p != ',' && *p != ' ' && *p != '\t') {
            p++;
        }

        return p;
    }

    for (p++; p < last && *p != '"'; p++) {

        if (*p == '\\' && p + 1 < last) {
            p++;
        }
    }

    return (p < last) ? p + 1 : p;
}

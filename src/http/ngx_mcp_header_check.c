
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Compares the headers MCP-Protocol-Version, Mcp-Method and Mcp-Name with the
 * body of a request of the modern era.
 *
 * What stands between client and server may have decided by the headers: they
 * must say the same as the body, which is executed.
 */

#include "ngx_mcp_header_check.h"
#include "ngx_mcp_header.h"
#include "ngx_mcp_json_text.h"


typedef struct {
    ngx_str_t     name;
    const char   *missing;
    const char   *differs;
} ngx_mcp_header_check_t;


static ngx_int_t ngx_mcp_header_check_list(ngx_http_request_t *r,
    ngx_mcp_header_check_t *check, ngx_str_t *value, const char **message);
static ngx_int_t ngx_mcp_header_check_name(ngx_http_request_t *r,
    const char **message);
static ngx_uint_t ngx_mcp_header_check_source(ngx_mcp_modern_t *modern,
    ngx_str_t *value);
static ngx_int_t ngx_mcp_header_check_decode(ngx_pool_t *pool,
    ngx_str_t *text, ngx_str_t *value);
static ngx_uint_t ngx_mcp_header_check_is_ascii(ngx_str_t *text);
static ngx_uint_t ngx_mcp_header_check_same(ngx_str_t *a, ngx_str_t *b);


static ngx_mcp_header_check_t  ngx_mcp_header_check_version = {
    ngx_string("mcp-protocol-version"),
    "Header mismatch: MCP-Protocol-Version is missing",
    "Header mismatch: MCP-Protocol-Version differs from the body"
};

static ngx_mcp_header_check_t  ngx_mcp_header_check_method = {
    ngx_string("mcp-method"),
    "Header mismatch: Mcp-Method is missing",
    "Header mismatch: Mcp-Method differs from the body"
};

static ngx_str_t  ngx_mcp_header_check_name_header = ngx_string("mcp-name");


ngx_int_t
ngx_mcp_header_check(ngx_http_request_t *r, ngx_uint_t lenient,
    const char **message)
{
    ngx_int_t          rc;
    ngx_mcp_ctx_t     *ctx;
    ngx_mcp_modern_t  *modern;

    ctx = ngx_http_get_module_ctx(r, ngx_http_mcp_sse_module);
    modern = ctx->modern;

    if (!lenient
        && ngx_mcp_header_check_list(r, &ngx_mcp_header_check_version,
                                     &modern->meta.version, message)
           != NGX_OK)
    {
        return NGX_DECLINED;
    }

    rc = ngx_mcp_header_check_list(r, &ngx_mcp_header_check_method,
                                   &modern->method, message);

    if (rc == NGX_ABORT || (rc == NGX_DECLINED && !lenient)) {
        return NGX_DECLINED;
    }

    rc = ngx_mcp_header_check_name(r, message);

    if (rc == NGX_ABORT) {
        return NGX_DECLINED;
    }

    return (rc == NGX_DECLINED && lenient) ? NGX_OK : rc;
}


/*
 * These headers may arrive several times, in several lines or joined by commas,
 * as fetch and proxies join them.  NGX_OK; NGX_DECLINED: it is missing;
 * NGX_ABORT: a member differs.
 */

static ngx_int_t
ngx_mcp_header_check_list(ngx_http_request_t *r, ngx_mcp_header_check_t *check,
    ngx_str_t *value, const char **message)
{
    ngx_str_t             member;
    ngx_uint_t            found;
    ngx_mcp_header_pos_t  pos;

    ngx_memzero(&pos, sizeof(ngx_mcp_header_pos_t));
    found = 0;

    while (ngx_mcp_header_member(&r->headers_in.headers, &check->name, &pos,
                                 &member)
           == NGX_OK)
    {
        if (!ngx_mcp_header_check_same(&member, value)) {
            *message = check->differs;
            return NGX_ABORT;
        }

        found = 1;
    }

    if (!found) {
        *message = check->missing;
        return NGX_DECLINED;
    }

    return NGX_OK;
}


/*
 * A URI may have commas: each line of the header is one value.  Returns what
 * ngx_mcp_header_check_list() does, or NGX_ERROR if memory is short.
 */

static ngx_int_t
ngx_mcp_header_check_name(ngx_http_request_t *r, const char **message)
{
    ngx_int_t              rc;
    ngx_str_t              wanted, value;
    ngx_uint_t             found;
    ngx_mcp_ctx_t         *ctx;
    ngx_table_elt_t       *h;
    ngx_mcp_header_pos_t   pos;

    ctx = ngx_http_get_module_ctx(r, ngx_http_mcp_sse_module);

    if (!ngx_mcp_header_check_source(ctx->modern, &wanted)) {
        return NGX_OK;
    }

    ngx_memzero(&pos, sizeof(ngx_mcp_header_pos_t));
    found = 0;

    while ((h = ngx_mcp_header_find(&r->headers_in.headers,
                                    &ngx_mcp_header_check_name_header, &pos))
           != NULL)
    {
        if (h->value.len == 0) {
            continue;
        }

        rc = ngx_mcp_header_check_decode(r->pool, &h->value, &value);

        if (rc == NGX_ERROR) {
            return NGX_ERROR;
        }

        if (rc != NGX_OK) {
            *message = "Header mismatch: Mcp-Name is not valid Base64 or ASCII";
            return NGX_ABORT;
        }

        if (wanted.data == NULL || !ngx_mcp_header_check_same(&value, &wanted))
        {
            *message = "Header mismatch: Mcp-Name differs from the body";
            return NGX_ABORT;
        }

        found = 1;
    }

    /* a body without a name is for the backend to refuse */

    if (!found && wanted.len) {
        *message = "Header mismatch: Mcp-Name is missing";
        return NGX_DECLINED;
    }

    return NGX_OK;
}


/*
 * Returns whether the method has a name, and sets *value to it.
 */

static ngx_uint_t
ngx_mcp_header_check_source(ngx_mcp_modern_t *modern, ngx_str_t *value)
{
    if (ngx_mcp_str_is(&modern->method, "resources/read")) {
        *value = modern->meta.uri;
        return 1;
    }

    *value = modern->meta.name;

    return ngx_mcp_str_is(&modern->method, "tools/call")
           || ngx_mcp_str_is(&modern->method, "prompts/get");
}


/*
 * MCP 2026-07-28, Streamable HTTP, Value encoding: =?base64?...?= or ASCII.
 * Base64 must be what its bytes are encoded to.
 */

static ngx_int_t
ngx_mcp_header_check_decode(ngx_pool_t *pool, ngx_str_t *text,
    ngx_str_t *value)
{
    ngx_str_t  encoded, again;

    static ngx_str_t  prefix = ngx_string("=?base64?");
    static ngx_str_t  suffix = ngx_string("?=");

    if (text->len < prefix.len + suffix.len
        || ngx_memcmp(text->data, prefix.data, prefix.len) != 0
        || ngx_memcmp(text->data + text->len - suffix.len, suffix.data,
                      suffix.len)
           != 0)
    {
        *value = *text;

        return ngx_mcp_header_check_is_ascii(text) ? NGX_OK : NGX_DECLINED;
    }

    encoded.data = text->data + prefix.len;
    encoded.len = text->len - prefix.len - suffix.len;

    value->data = ngx_pnalloc(pool, ngx_base64_decoded_length(encoded.len));
    again.data = ngx_pnalloc(pool, ngx_base64_encoded_length(encoded.len));

    if (value->data == NULL || again.data == NULL) {
        return NGX_ERROR;
    }

    if (ngx_decode_base64(value, &encoded) != NGX_OK) {
        return NGX_DECLINED;
    }

    ngx_encode_base64(&again, value);

    return ngx_mcp_header_check_same(&again, &encoded) ? NGX_OK : NGX_DECLINED;
}


static ngx_uint_t
ngx_mcp_header_check_is_ascii(ngx_str_t *text)
{
    size_t  i;

    for (i = 0; i < text->len; i++) {

        if ((text->data[i] < ' ' && text->data[i] != '\t')
            || text->data[i] > '~')
        {
            return 0;
        }
    }

    return 1;
}


static ngx_uint_t
ngx_mcp_header_check_same(ngx_str_t *a, ngx_str_t *b)
{
    return a->len == b->len && ngx_memcmp(a->data, b->data, a->len) == 0;
}

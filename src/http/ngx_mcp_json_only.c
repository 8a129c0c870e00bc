
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * mcp_sse_json_only: the output filter of locations that pass documents of
 * Frappe on.  An answer that is not 200 with JSON is replaced: clients that
 * look for a document get a page of several hundred kilobytes, or a redirect
 * that leads nowhere, from a Frappe that has none.
 *
 * All memory is of the pool of the request.
 */

#include "ngx_mcp_json_only.h"
#include "ngx_mcp_ctx.h"
#include "ngx_mcp_jsonrpc.h"


static ngx_int_t ngx_mcp_json_only_header(ngx_http_request_t *r);
static ngx_uint_t ngx_mcp_json_only_passed(ngx_http_request_t *r);
static ngx_int_t ngx_mcp_json_only_replace(ngx_http_request_t *r,
    ngx_mcp_ctx_t *ctx, ngx_uint_t status);
static ngx_int_t ngx_mcp_json_only_body(ngx_http_request_t *r,
    ngx_chain_t *in);


static ngx_http_output_header_filter_pt  ngx_http_next_header_filter;
static ngx_http_output_body_filter_pt    ngx_http_next_body_filter;


void
ngx_mcp_json_only_init(void)
{
    ngx_http_next_header_filter = ngx_http_top_header_filter;
    ngx_http_top_header_filter = ngx_mcp_json_only_header;

    ngx_http_next_body_filter = ngx_http_top_body_filter;
    ngx_http_top_body_filter = ngx_mcp_json_only_body;
}


static ngx_int_t
ngx_mcp_json_only_header(ngx_http_request_t *r)
{
    ngx_uint_t           status;
    ngx_mcp_ctx_t       *ctx;
    ngx_mcp_loc_conf_t  *conf;

    conf = ngx_http_get_module_loc_conf(r, ngx_http_mcp_sse_module);

    if (!conf->json_only || ngx_mcp_json_only_passed(r)) {
        return ngx_http_next_header_filter(r);
    }

    status = r->headers_out.status;

    ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                  "mcp sse: Frappe answered %ui without JSON, there is no "
                  "document at \"%V\"", status, &r->uri);

    ctx = ngx_pcalloc(r->pool, sizeof(ngx_mcp_ctx_t));
    if (ctx == NULL) {
        return NGX_ERROR;
    }

    ngx_http_set_ctx(r, ctx, ngx_http_mcp_sse_module);

    /* Frappe may have the document when it works again */

    if (status < NGX_HTTP_INTERNAL_SERVER_ERROR) {
        status = NGX_HTTP_NOT_FOUND;

    } else if (status > 599) {

        /* no status code of HTTP (RFC 9110, 15) */

        status = NGX_HTTP_BAD_GATEWAY;
    }

    if (ngx_mcp_json_only_replace(r, ctx, status) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_next_header_filter(r);
}


/*
 * Returns whether an answer is passed on as it is: what nginx itself answers,
 * to OPTIONS for example, and documents.
 */

static ngx_uint_t
ngx_mcp_json_only_passed(ngx_http_request_t *r)
{
    static ngx_str_t  json = ngx_string("application/json");

    if (r != r->main || r->upstream == NULL) {
        return 1;
    }

    return r->headers_out.status == NGX_HTTP_OK
           && r->headers_out.content_type_len == json.len
           && ngx_strncasecmp(r->headers_out.content_type.data, json.data,
                              json.len)
              == 0;
}


static ngx_int_t
ngx_mcp_json_only_replace(ngx_http_request_t *r, ngx_mcp_ctx_t *ctx,
    ngx_uint_t status)
{
    u_char      *p;
    ngx_int_t    code;
    const char  *message;

    code = NGX_MCP_ERR_INVALID_REQUEST;
    message = "Not found";

    if (status != NGX_HTTP_NOT_FOUND) {
        code = NGX_MCP_ERR_UNAVAILABLE;
        message = "Backend unavailable";
    }

    p = ngx_pnalloc(r->pool, ngx_mcp_jsonrpc_error_size(NULL, message, NULL));
    if (p == NULL) {
        return NGX_ERROR;
    }

    ctx->replaced.data = p;
    ctx->replaced.len = ngx_mcp_jsonrpc_error(p, NULL, code, message, NULL)
                        - p;

    /*
     * An answer without a status line makes nginx answer the client in
     * HTTP/0.9, without headers.  http_major is 0 for HTTP/0.9 and HTTP/2.
     */

    if (r->http_major) {
        r->http_version = r->http_major * 1000 + r->http_minor;
    }

    /* removes Frappe's headers, Location for one */

    ngx_http_clean_header(r);

    r->headers_out.status = status;
    r->headers_out.content_length_n = (off_t) ctx->replaced.len;

    ngx_str_set(&r->headers_out.content_type, "application/json");
    r->headers_out.content_type_len = r->headers_out.content_type.len;
    r->headers_out.content_type_lowcase = NULL;

    return NGX_OK;
}


static ngx_int_t
ngx_mcp_json_only_body(ngx_http_request_t *r, ngx_chain_t *in)
{
    ngx_buf_t      *b;
    ngx_chain_t    *cl, out;
    ngx_mcp_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_mcp_sse_module);

    if (ctx == NULL || ctx->replaced.data == NULL) {
        return ngx_http_next_body_filter(r, in);
    }

    /* the body of Frappe's answer is read to its end and dropped */

    for (cl = in; cl; cl = cl->next) {
        cl->buf->pos = cl->buf->last;
        cl->buf->file_pos = cl->buf->file_last;
    }

    if (ctx->replaced.len == 0) {
        return ngx_http_next_body_filter(r, NULL);
    }

    b = ngx_calloc_buf(r->pool);
    if (b == NULL) {
        return NGX_ERROR;
    }

    b->pos = ctx->replaced.data;
    b->last = b->pos + ctx->replaced.len;
    b->memory = 1;
    b->last_buf = 1;
    b->last_in_chain = 1;

    ctx->replaced.len = 0;

    out.buf = b;
    out.next = NULL;

    return ngx_http_next_body_filter(r, &out);
}


/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Short answers and refusals to client requests.
 *
 * All values are in the pool of the request.
 */

#include "ngx_mcp_response.h"
#include "ngx_mcp_challenge.h"
#include "ngx_mcp_counters.h"
#include "ngx_mcp_header.h"
#include "ngx_mcp_json_text.h"
#include "ngx_mcp_modern_error.h"
#include "ngx_mcp_negotiate.h"
#include "ngx_mcp_origin.h"


typedef struct {
    ngx_uint_t    status;
    ngx_str_t     data;        /* of the error */
} ngx_mcp_response_reason_t;


static ngx_int_t ngx_mcp_response_error(ngx_http_request_t *r,
    ngx_uint_t status, ngx_int_t code, const char *message, ngx_str_t *data,
    ngx_str_t *body);
static ngx_uint_t ngx_mcp_response_is_modern(ngx_http_request_t *r);
static ngx_str_t *ngx_mcp_response_reason(ngx_uint_t status);
static ngx_int_t ngx_mcp_response_headers(ngx_http_request_t *r,
    ngx_uint_t status);
static ngx_int_t ngx_mcp_response_retry_after(ngx_http_request_t *r,
    ngx_uint_t status);


/* docs/PROTOCOL.md 15.13 */

static ngx_mcp_response_reason_t  ngx_mcp_response_reasons[] = {
    { NGX_HTTP_FORBIDDEN, ngx_string("{\"reason\":\"origin\"}") },
    { NGX_MCP_HTTP_NOT_ACCEPTABLE, ngx_string("{\"reason\":\"accept\"}") },
    { NGX_HTTP_REQUEST_ENTITY_TOO_LARGE,
      ngx_string("{\"reason\":\"too_large\"}") },
    { NGX_HTTP_UNSUPPORTED_MEDIA_TYPE,
      ngx_string("{\"reason\":\"media_type\"}") },
    { NGX_MCP_HTTP_FIELDS_TOO_LARGE,
      ngx_string("{\"reason\":\"headers_too_large\"}") },
    { 0, ngx_null_string }
};


ngx_int_t
ngx_mcp_respond(ngx_http_request_t *r, ngx_uint_t status, ngx_str_t *body)
{
    static ngx_str_t  json = ngx_string("application/json");

    return ngx_mcp_respond_as(r, status, &json, body);
}


ngx_int_t
ngx_mcp_respond_as(ngx_http_request_t *r, ngx_uint_t status, ngx_str_t *type,
    ngx_str_t *body)
{
    size_t        len;
    ngx_int_t     rc;
    ngx_buf_t    *b;
    ngx_chain_t   out;

    ngx_log_debug1(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "mcp response: %ui", status);

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    r->headers_out.status = status;
    r->headers_out.content_length_n = body ? (off_t) body->len : 0;

    if (body) {
        for (len = 0; len < type->len && type->data[len] != ';'; len++) {
            /* void */
        }

        r->headers_out.content_type = *type;
        r->headers_out.content_type_len = len;
        r->headers_out.content_type_lowcase = NULL;
    }

    if (ngx_mcp_origin_headers(r) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    b = ngx_calloc_buf(r->pool);
    if (b == NULL) {
        return NGX_ERROR;
    }

    if (body) {
        b->pos = body->data;
        b->last = body->data + body->len;
        b->memory = 1;
    }

    b->last_buf = (r == r->main) ? 1 : 0;
    b->last_in_chain = 1;

    out.buf = b;
    out.next = NULL;

    return ngx_http_output_filter(r, &out);
}


ngx_int_t
ngx_mcp_refuse(ngx_http_request_t *r, ngx_uint_t status, ngx_int_t code,
    const char *message)
{
    return ngx_mcp_refuse_data(r, status, code, message, NULL);
}


ngx_int_t
ngx_mcp_refuse_data(ngx_http_request_t *r, ngx_uint_t status, ngx_int_t code,
    const char *message, ngx_str_t *data)
{
    ngx_str_t       body;
    ngx_mcp_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_mcp_sse_module);

    ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                  "mcp sse: refused with %ui, \"%s\"%s%s", status, message,
                  ctx->reason ? ": " : "", ctx->reason ? ctx->reason : "");

    ngx_mcp_count_refused(status);

    ctx->vars.result = NGX_MCP_RESULT_REFUSED;

    if (status >= NGX_HTTP_INTERNAL_SERVER_ERROR
        && ngx_mcp_response_is_probe(r))
    {
        status = NGX_HTTP_OK;
    }

    if (ngx_mcp_response_error(r, status, code, message, data, &body) != NGX_OK
        || ngx_mcp_response_headers(r, status) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_mcp_respond(r, status, &body);
}


static ngx_int_t
ngx_mcp_response_error(ngx_http_request_t *r, ngx_uint_t status,
    ngx_int_t code, const char *message, ngx_str_t *data, ngx_str_t *body)
{
    u_char         *last;
    ngx_str_t      *id;
    ngx_uint_t      modern;
    ngx_mcp_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_mcp_sse_module);

    id = ctx->own_id ? &ctx->vars.id : NULL;
    modern = ngx_mcp_response_is_modern(r);

    if (modern && code == NGX_MCP_ERR_INVALID_REQUEST && data == NULL) {
        data = ngx_mcp_response_reason(status);
        code = data ? NGX_MCP_ERR_INTERNAL : code;
    }

    body->data = ngx_pnalloc(r->pool,
                             ngx_mcp_modern_error_size(id, message, data));
    if (body->data == NULL) {
        return NGX_ERROR;
    }

    last = modern
           ? ngx_mcp_modern_error(body->data, id, code, message, data)
           : ngx_mcp_jsonrpc_error(body->data, id, code, message, data);

    body->len = last - body->data;

    return NGX_OK;
}


/*
 * Before its body is read, the era of a request is that of its header.
 */

static ngx_uint_t
ngx_mcp_response_is_modern(ngx_http_request_t *r)
{
    ngx_mcp_ctx_t       *ctx;
    ngx_mcp_loc_conf_t  *conf;

    ctx = ngx_http_get_module_ctx(r, ngx_http_mcp_sse_module);

    if (ctx->modern) {
        return 1;
    }

    conf = ngx_http_get_module_loc_conf(r, ngx_http_mcp_sse_module);

    return ngx_mcp_str_is(&conf->handler, "mcp_sse_http")
           && ngx_mcp_negotiate_is_modern(r);
}


ngx_uint_t
ngx_mcp_response_is_probe(ngx_http_request_t *r)
{
    ngx_str_t            method;
    ngx_mcp_loc_conf_t  *conf;

    conf = ngx_http_get_module_loc_conf(r, ngx_http_mcp_sse_module);

    return r->method == NGX_HTTP_POST
           && ngx_mcp_str_is(&conf->handler, "mcp_sse_http")
           && ngx_mcp_header_value(&r->headers_in.headers, "mcp-method",
                                   &method)
              == NGX_OK
           && ngx_mcp_str_is(&method, "server/discover");
}


ngx_int_t
ngx_mcp_error_result(ngx_http_request_t *r, ngx_int_t rc)
{
    if (rc != NGX_HTTP_INTERNAL_SERVER_ERROR || r->header_sent) {
        return rc;
    }

    return ngx_mcp_refuse(r, rc, NGX_MCP_ERR_INTERNAL,
                          "Internal server error");
}


/*
 * Returns the data of a refusal whose code is -32603 in the modern era, and
 * -32600 in the older one; NULL: it has that in both.
 */

static ngx_str_t *
ngx_mcp_response_reason(ngx_uint_t status)
{
    ngx_mcp_response_reason_t  *reason;

    for (reason = ngx_mcp_response_reasons; reason->status; reason++) {

        if (reason->status == status) {
            return &reason->data;
        }
    }

    return NULL;
}


static ngx_int_t
ngx_mcp_response_headers(ngx_http_request_t *r, ngx_uint_t status)
{
    ngx_uint_t           refused;
    ngx_mcp_ctx_t       *ctx;
    ngx_mcp_loc_conf_t  *conf;

    ctx = ngx_http_get_module_ctx(r, ngx_http_mcp_sse_module);
    conf = ngx_http_get_module_loc_conf(r, ngx_http_mcp_sse_module);

    switch (status) {

    case NGX_HTTP_UNAUTHORIZED:

        /* with mcp_sse_principal a credential is not looked at */

        refused = ctx->auth.credential.value.len && conf->principal == NULL;

        return ngx_mcp_challenge(r, &ctx->auth.result.challenge, refused);

    case NGX_HTTP_NOT_ALLOWED:
        return ngx_mcp_header_set(r, "Allow", &ctx->methods);

    case NGX_HTTP_TOO_MANY_REQUESTS:
    case NGX_HTTP_SERVICE_UNAVAILABLE:
        return ngx_mcp_response_retry_after(r, status);
    }

    return NGX_OK;
}


/*
 * Frappe's own value, if the request is refused for what Frappe has answered to
 * the look-up of its user.
 */

static ngx_int_t
ngx_mcp_response_retry_after(ngx_http_request_t *r, ngx_uint_t status)
{
    ngx_str_t       value;
    ngx_mcp_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_mcp_sse_module);

    if (ctx->auth.result.status != status
        || ctx->auth.result.retry_after == 0)
    {
        return ngx_mcp_header_add(r, "Retry-After", "1");
    }

    value.data = ngx_pnalloc(r->pool, NGX_INT_T_LEN);
    if (value.data == NULL) {
        return NGX_ERROR;
    }

    value.len = ngx_sprintf(value.data, "%ui", ctx->auth.result.retry_after)
                - value.data;

    return ngx_mcp_header_set(r, "Retry-After", &value);
}

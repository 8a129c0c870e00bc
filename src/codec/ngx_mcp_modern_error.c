
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Writes the module's own errors for clients of the modern era.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_mcp_jsonrpc.h"
#include "ngx_mcp_modern_error.h"


typedef struct {
    ngx_int_t     code;
    const char   *reason;
} ngx_mcp_modern_error_t;


static const char *ngx_mcp_modern_error_reason(ngx_int_t code);
static ngx_uint_t ngx_mcp_modern_error_has_reason(ngx_str_t *data);


/* docs/PROTOCOL.md 15.12; the words of $mcp_sse_result, where it has one */

static ngx_mcp_modern_error_t  ngx_mcp_modern_errors[] = {
    { NGX_MCP_ERR_INTERNAL, "internal" },
    { NGX_MCP_ERR_UNAUTHORIZED, "refused" },
    { NGX_MCP_ERR_UNAVAILABLE, "unavailable" },
    { NGX_MCP_ERR_TOO_MANY, "too_many" },
    { NGX_MCP_ERR_TIMED_OUT, "timeout" },
    { NGX_MCP_ERR_TOO_LARGE, "too_large" },
    { NGX_MCP_ERR_CLOSED, "closed" },
    { 0, NULL }
};


u_char *
ngx_mcp_modern_error(u_char *p, ngx_str_t *id, ngx_int_t code,
    const char *message, ngx_str_t *data)
{
    const char  *reason;

    static ngx_str_t  null = ngx_string("null");

    reason = ngx_mcp_modern_error_reason(code);

    if (reason == NULL) {
        return ngx_mcp_jsonrpc_error(p, id, code, message, data);
    }

    if (ngx_mcp_modern_error_has_reason(data)) {
        return ngx_mcp_jsonrpc_error(p, id, NGX_MCP_ERR_INTERNAL, message,
                                     data);
    }

    p = ngx_sprintf(p, "{\"jsonrpc\":\"2.0\",\"id\":%V,\"error\":{\"code\":%i,"
                    "\"message\":\"%s\",\"data\":{\"reason\":\"%s\"",
                    id ? id : &null, (ngx_int_t) NGX_MCP_ERR_INTERNAL, message,
                    reason);

    if (data && data->len) {
        *p++ = ',';
        p = ngx_cpymem(p, data->data + 1, data->len - 1);

    } else {
        *p++ = '}';
    }

    *p++ = '}';
    *p++ = '}';

    return p;
}


size_t
ngx_mcp_modern_error_size(ngx_str_t *id, const char *message, ngx_str_t *data)
{
    return ngx_mcp_jsonrpc_error_size(id, message, data)
           + sizeof("{\"reason\":\"unavailable\",}") - 1;
}


static const char *
ngx_mcp_modern_error_reason(ngx_int_t code)
{
    ngx_mcp_modern_error_t  *error;

    for (error = ngx_mcp_modern_errors; error->reason; error++) {

        if (error->code == code) {
            break;
        }
    }

    return error->reason;
}


static ngx_uint_t
ngx_mcp_modern_error_has_reason(ngx_str_t *data)
{
    static ngx_str_t  reason = ngx_string("{\"reason\":");

    return data
           && data->len > reason.len
           && ngx_memcmp(data->data, reason.data, reason.len) == 0;
}

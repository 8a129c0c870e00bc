
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * The module's own errors in the modern era.
 *
 * The codes from -32000 to -32019 are closed to new use (MCP 2026-07-28,
 * basic, Error codes), and the module has its own among them: they become
 * -32603, and data.reason says which one it was.
 */

#ifndef _NGX_MCP_MODERN_ERROR_H_INCLUDED_
#define _NGX_MCP_MODERN_ERROR_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * As ngx_mcp_jsonrpc_error() and ngx_mcp_jsonrpc_error_size().  "data" is a raw
 * object, or empty or NULL; if it begins with a member "reason", that stays.
 */

u_char *ngx_mcp_modern_error(u_char *p, ngx_str_t *id, ngx_int_t code,
    const char *message, ngx_str_t *data);
size_t ngx_mcp_modern_error_size(ngx_str_t *id, const char *message,
    ngx_str_t *data);


#endif /* _NGX_MCP_MODERN_ERROR_H_INCLUDED_ */


/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * POST of the modern era at the endpoint of Streamable HTTP (MCP 2026-07-28).
 */

#ifndef _NGX_MCP_MODERN_H_INCLUDED_
#define _NGX_MCP_MODERN_H_INCLUDED_


#include "ngx_mcp_ctx.h"


/*
 * Makes r, whose version header or body is of the modern era, a request of that
 * era: creates ctx->modern and forgets its session id.  NGX_OK, or NGX_ERROR if
 * memory is short.
 */

ngx_int_t ngx_mcp_modern_create(ngx_http_request_t *r);

/*
 * Returns whether one of the messages is of the modern era.
 */

ngx_uint_t ngx_mcp_modern_among(ngx_array_t *messages);

/*
 * Checks and submits the message of a request with ctx->modern, whose
 * credential is good and whose body is scanned.  Returns the result for the
 * content handler.
 */

ngx_int_t ngx_mcp_modern_post(ngx_http_request_t *r, ngx_array_t *messages,
    ngx_uint_t batch);

/*
 * Returns the HTTP status of a JSON answer with modern->code.
 */

ngx_uint_t ngx_mcp_modern_status(ngx_mcp_modern_t *modern);


#endif /* _NGX_MCP_MODERN_H_INCLUDED_ */

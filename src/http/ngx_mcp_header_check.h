
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * The headers that repeat members of a request's body (MCP 2026-07-28,
 * Streamable HTTP, Request metadata).
 */

#ifndef _NGX_MCP_HEADER_CHECK_H_INCLUDED_
#define _NGX_MCP_HEADER_CHECK_H_INCLUDED_


#include "ngx_mcp_ctx.h"


/*
 * Compares MCP-Protocol-Version, Mcp-Method and Mcp-Name with the request in
 * ctx->modern.  If "lenient", the first is not compared, and the others may be
 * missing.
 *
 * Returns NGX_OK; NGX_DECLINED if one is missing or not alike, and sets
 * *message to a literal that says which; NGX_ERROR if memory is short.
 */

ngx_int_t ngx_mcp_header_check(ngx_http_request_t *r, ngx_uint_t lenient,
    const char **message);


#endif /* _NGX_MCP_HEADER_CHECK_H_INCLUDED_ */

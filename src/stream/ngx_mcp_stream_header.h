
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * The headers of an SSE response.
 */

#ifndef _NGX_MCP_STREAM_HEADER_H_INCLUDED_
#define _NGX_MCP_STREAM_HEADER_H_INCLUDED_


#include "ngx_mcp_ctx.h"


/*
 * Sends the headers of a stream.  Returns what ngx_http_send_header() returns.
 */

ngx_int_t ngx_mcp_stream_header(ngx_http_request_t *r);


#endif /* _NGX_MCP_STREAM_HEADER_H_INCLUDED_ */


/*
 * GET of the legacy transport: opens a stream.
 */

#ifndef _NGX_MCP_SSE_H_INCLUDED_
#define _NGX_MCP_SSE_H_INCLUDED_


#include "ngx_mcp.h"


/*
 * The content handler of mcp_sse_stream.
 */

ngx_int_t ngx_mcp_sse_handler(ngx_http_request_t *r);

/*
 * Opens the stream of an authorized request of Streamable HTTP whose session
 * id, "text", is good; or answers HEAD as it would.
 */

ngx_int_t ngx_mcp_sse_stream(ngx_http_request_t *r, ngx_str_t *text);


#endif /* _NGX_MCP_SSE_H_INCLUDED_ */

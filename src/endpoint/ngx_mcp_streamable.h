
/*
 * Streamable HTTP (MCP 2025-03-26 to 2025-11-25): one endpoint for messages,
 * a stream, and the end of a session.
 */

#ifndef _NGX_MCP_STREAMABLE_H_INCLUDED_
#define _NGX_MCP_STREAMABLE_H_INCLUDED_


#include "ngx_mcp.h"


/*
 * The content handler of mcp_sse_http.
 */

ngx_int_t ngx_mcp_streamable_handler(ngx_http_request_t *r);


#endif /* _NGX_MCP_STREAMABLE_H_INCLUDED_ */

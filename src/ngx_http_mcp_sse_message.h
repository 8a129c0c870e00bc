
/*
 * POST of the legacy transport: takes a message.
 */

#ifndef _NGX_HTTP_MCP_SSE_MESSAGE_H_INCLUDED_
#define _NGX_HTTP_MCP_SSE_MESSAGE_H_INCLUDED_


#include "ngx_http_mcp_sse.h"


/*
 * The content handler of mcp_sse_message.
 */

ngx_int_t ngx_http_mcp_sse_message_handler(ngx_http_request_t *r);


#endif /* _NGX_HTTP_MCP_SSE_MESSAGE_H_INCLUDED_ */


/*
 * POST of the legacy transport: takes a message.
 */

#ifndef _NGX_MCP_MESSAGE_H_INCLUDED_
#define _NGX_MCP_MESSAGE_H_INCLUDED_


#include "ngx_mcp.h"


/*
 * The content handler of mcp_sse_message.
 */

ngx_int_t ngx_mcp_message_handler(ngx_http_request_t *r);

/*
 * Whether Content-Type and Content-Encoding are those of a message: NGX_OK or
 * NGX_DECLINED.
 */

ngx_int_t ngx_mcp_message_type(ngx_http_request_t *r);

/*
 * Scans ctx->body, of which the reader of bodies said "status", see
 * ngx_mcp_jsonrpc_scan(), and notes for the log what the first
 * message is.  NGX_OK; NGX_DECLINED: the request was refused, or is to be, and
 * *rc is what it is finalized with.
 */

ngx_int_t ngx_mcp_message_scan(ngx_http_request_t *r, ngx_int_t status,
    ngx_array_t **messages, ngx_uint_t *batch, ngx_int_t *rc);


#endif /* _NGX_MCP_MESSAGE_H_INCLUDED_ */

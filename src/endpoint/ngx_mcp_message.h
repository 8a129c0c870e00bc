
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * POST of the legacy transport, and checks of messages for both transports.
 */

#ifndef _NGX_MCP_MESSAGE_H_INCLUDED_
#define _NGX_MCP_MESSAGE_H_INCLUDED_


#include "ngx_mcp_ctx.h"


/*
 * The content handler of mcp_sse_message.
 */

ngx_int_t ngx_mcp_message_handler(ngx_http_request_t *r);

/*
 * Checks Content-Type and Content-Encoding.  Returns NGX_OK or NGX_DECLINED.
 */

ngx_int_t ngx_mcp_message_type(ngx_http_request_t *r);

/*
 * Parses ctx->body, see ngx_mcp_jsonrpc_scan(), and sets the variables of the
 * first message.  "status" is the result of reading the body.  Returns NGX_OK;
 * or NGX_DECLINED, and the handler returns *rc: the request is refused.
 */

ngx_int_t ngx_mcp_message_scan(ngx_http_request_t *r, ngx_int_t status,
    ngx_array_t **messages, ngx_uint_t *batch, ngx_int_t *rc);


#endif /* _NGX_MCP_MESSAGE_H_INCLUDED_ */

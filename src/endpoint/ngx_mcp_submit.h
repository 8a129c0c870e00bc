
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Submits the messages of a Streamable HTTP POST to the dispatcher.
 */

#ifndef _NGX_MCP_SUBMIT_H_INCLUDED_
#define _NGX_MCP_SUBMIT_H_INCLUDED_


#include "ngx_mcp.h"


/*
 * Dispatches the messages (of ngx_mcp_jsonrpc_message_t) of r, which has
 * passed all checks, and answers r, now or later.  "batch" is set if the body
 * is an array.  Returns the result for the content handler.
 */

ngx_int_t ngx_mcp_submit(ngx_http_request_t *r, ngx_array_t *messages,
    ngx_uint_t batch);


#endif /* _NGX_MCP_SUBMIT_H_INCLUDED_ */


/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Submits the messages of a Streamable HTTP POST to the dispatcher.
 */

#ifndef _NGX_MCP_SUBMIT_H_INCLUDED_
#define _NGX_MCP_SUBMIT_H_INCLUDED_


#include "ngx_mcp_exchange.h"


/*
 * Dispatches the messages (of ngx_mcp_jsonrpc_message_t) of r, which has
 * passed all checks, and answers r, now or later.  "batch" is set if the body
 * is an array.  Returns the result for the content handler.
 */

ngx_int_t ngx_mcp_submit(ngx_http_request_t *r, ngx_array_t *messages,
    ngx_uint_t batch);

/*
 * Makes the session id of x, an initialize, with the claims of x->client; again
 * if these have changed and the id was not sent.  No worker has to know an id:
 * all verify its MAC.  Returns NGX_OK, or NGX_ERROR if memory is short.
 */

ngx_int_t ngx_mcp_submit_session_id(ngx_mcp_exchange_t *x);


#endif /* _NGX_MCP_SUBMIT_H_INCLUDED_ */


/*
 * What is done with the messages of a POST of Streamable HTTP.
 */

#ifndef _NGX_MCP_SUBMIT_H_INCLUDED_
#define _NGX_MCP_SUBMIT_H_INCLUDED_


#include "ngx_mcp.h"


/*
 * Runs the messages (of ngx_mcp_jsonrpc_message_t) of r, all of whose checks
 * were passed, and answers r.  Returns what r is finalized with.
 */

ngx_int_t ngx_mcp_submit(ngx_http_request_t *r, ngx_array_t *messages,
    ngx_uint_t batch);


#endif /* _NGX_MCP_SUBMIT_H_INCLUDED_ */

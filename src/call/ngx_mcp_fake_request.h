
/*
 * The stub request on which a call's subrequest runs.
 */

#ifndef _NGX_MCP_FAKE_REQUEST_H_INCLUDED_
#define _NGX_MCP_FAKE_REQUEST_H_INCLUDED_


#include "ngx_mcp_call.h"


/*
 * Makes the connection and the request of a call whose cscf is set.
 * "woken" is the request's write handler: it runs when the subrequest has
 * ended; "gone" its cleanup, with the call as data.  On NGX_ERROR what was
 * made is left for the call to free.
 */

ngx_int_t ngx_mcp_fake_request_create(ngx_mcp_call_t *call,
    ngx_http_event_handler_pt woken, ngx_http_cleanup_pt gone, ngx_log_t *log);

/*
 * Lets the stub seem to come from call->address.
 */

void ngx_mcp_fake_request_address(ngx_mcp_call_t *call);


#endif /* _NGX_MCP_FAKE_REQUEST_H_INCLUDED_ */

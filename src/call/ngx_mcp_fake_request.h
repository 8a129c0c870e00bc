
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * The fake request on which the subrequest of a call runs.
 */

#ifndef _NGX_MCP_FAKE_REQUEST_H_INCLUDED_
#define _NGX_MCP_FAKE_REQUEST_H_INCLUDED_


#include "ngx_mcp_call.h"


/*
 * Creates the connection and the request of a call whose cscf is set.
 * write_handler() runs when the subrequest has ended, cleanup() when nginx
 * gives the request up, or the call frees it, with the call as data.  nginx
 * never frees the request.  Returns NGX_OK, or NGX_ERROR if memory is short:
 * then the call frees what was created.
 */

ngx_int_t ngx_mcp_fake_request_create(ngx_mcp_call_t *call,
    ngx_http_event_handler_pt write_handler, ngx_http_cleanup_pt cleanup,
    ngx_log_t *log);

/*
 * Sets the client address of the fake request to call->address.
 */

void ngx_mcp_fake_request_address(ngx_mcp_call_t *call);


#endif /* _NGX_MCP_FAKE_REQUEST_H_INCLUDED_ */

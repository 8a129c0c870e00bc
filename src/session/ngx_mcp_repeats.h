
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Requests that are sent again while their id is in flight.
 */

#ifndef _NGX_MCP_REPEATS_H_INCLUDED_
#define _NGX_MCP_REPEATS_H_INCLUDED_


#include "ngx_mcp_task.h"


/*
 * Streamable HTTP, before the messages of r are dispatched: enters the ids of
 * the requests that are forwarded into the zone, and lists them in the sink,
 * whose owner frees the list by ngx_mcp_in_flight_free_all().  Notes that the
 * session is in use.  Does nothing without a session id.  Returns NGX_OK;
 * NGX_DECLINED: the zone is full; NGX_AGAIN: it is in recovery; NGX_ERROR:
 * memory is short.
 */

ngx_int_t ngx_mcp_repeats_enter(ngx_http_request_t *r, ngx_mcp_sink_t *sink,
    ngx_array_t *messages);

/*
 * Returns whether the id of the request is that of one in flight.  Such a
 * request is not run: the sink gets the answer of the first one if nobody else
 * waits for it, else an error; that of a legacy session gets nothing.
 */

ngx_uint_t ngx_mcp_repeats_check(ngx_mcp_session_t *s, ngx_mcp_sink_t *sink,
    ngx_mcp_jsonrpc_message_t *message);


#endif /* _NGX_MCP_REPEATS_H_INCLUDED_ */

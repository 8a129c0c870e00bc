
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * How streams end: what the log says, and what is sent last.
 *
 * "reason" is an ngx_mcp_close_reason_e.
 */

#ifndef _NGX_MCP_SESSION_END_H_INCLUDED_
#define _NGX_MCP_SESSION_END_H_INCLUDED_


#include "ngx_mcp_ctx.h"


/*
 * Whether the request of the stream has ended before the session.
 */

ngx_uint_t ngx_mcp_session_end_by_client(ngx_uint_t reason);

/*
 * The server ends the stream of a closed session, which it has: answers what is
 * in the inbox and all open requests with errors, and ends the response.
 */

void ngx_mcp_session_end_stream(ngx_mcp_session_t *s, ngx_uint_t reason);

/*
 * Logs and counts the end of a stream.
 */

void ngx_mcp_session_end_log(ngx_mcp_session_t *s, ngx_uint_t reason);


#endif /* _NGX_MCP_SESSION_END_H_INCLUDED_ */


/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * The client of a legacy session, as its initialize has told it.
 */

#ifndef _NGX_MCP_SESSION_CLIENT_H_INCLUDED_
#define _NGX_MCP_SESSION_CLIENT_H_INCLUDED_


#include "ngx_mcp_ctx.h"


/*
 * Reads the raw params of initialize.  If memory is short, the session keeps
 * what it knew.
 */

void ngx_mcp_session_client_told(ngx_mcp_session_t *s, ngx_str_t *params);

/*
 * The session has the id of an earlier one, whose stream was lost or replaced:
 * it gets what this worker remembers of that one, if anything.
 */

void ngx_mcp_session_client_again(ngx_mcp_session_t *s);


#endif /* _NGX_MCP_SESSION_CLIENT_H_INCLUDED_ */

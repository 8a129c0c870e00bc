
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * What sessions need of the auth room.
 */

#ifndef _NGX_MCP_AUTH_SESSION_H_INCLUDED_
#define _NGX_MCP_AUTH_SESSION_H_INCLUDED_


/*
 * In init_process: sets the functions that the session room calls, see
 * ngx_mcp_session_credential.h.
 */

void ngx_mcp_auth_session_init(void);


#endif /* _NGX_MCP_AUTH_SESSION_H_INCLUDED_ */

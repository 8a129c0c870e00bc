
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * The directive mcp_sse_backend_calls.
 */

#ifndef _NGX_MCP_BACKEND_CALLS_H_INCLUDED_
#define _NGX_MCP_BACKEND_CALLS_H_INCLUDED_


#include "ngx_mcp.h"


/*
 * Sets backend_calls and backend_calls_per_user.  Returns NGX_CONF_OK, or an
 * error after a message at level emerg.
 */

char *ngx_mcp_backend_calls(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);


#endif /* _NGX_MCP_BACKEND_CALLS_H_INCLUDED_ */


/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * The first commands of a connection: who it is, and whom it has reached.
 */

#ifndef _NGX_MCP_REDIS_GREET_H_INCLUDED_
#define _NGX_MCP_REDIS_GREET_H_INCLUDED_


#include "ngx_mcp_redis_conn.h"


/*
 * Sends the greeting on a connection that is connected.  When all of it is
 * answered, ngx_mcp_redis_conn_greeted() is called; what is wrong fails the
 * connection.  Returns NGX_OK, or NGX_ERROR without memory.
 */

ngx_int_t ngx_mcp_redis_greet(ngx_mcp_redis_conn_t *conn);


#endif /* _NGX_MCP_REDIS_GREET_H_INCLUDED_ */

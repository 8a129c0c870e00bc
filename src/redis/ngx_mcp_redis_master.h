
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Which master the command connection has: a hash of its run_id, which INFO
 * tells.  ngx_mcp_redis_master() is declared in ngx_mcp_redis.h.
 */

#ifndef _NGX_MCP_REDIS_MASTER_H_INCLUDED_
#define _NGX_MCP_REDIS_MASTER_H_INCLUDED_


#include "ngx_mcp_redis_conn.h"


/*
 * Asks on a connection that is ready.  The master is known before the reply to
 * any command that is sent later; unless INFO is permitted, it is 0.
 */

void ngx_mcp_redis_master_ask(ngx_mcp_redis_conn_t *conn);


#endif /* _NGX_MCP_REDIS_MASTER_H_INCLUDED_ */

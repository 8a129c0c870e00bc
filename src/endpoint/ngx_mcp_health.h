
/*
 * GET /health.
 */

#ifndef _NGX_MCP_HEALTH_H_INCLUDED_
#define _NGX_MCP_HEALTH_H_INCLUDED_


#include "ngx_mcp.h"


/*
 * The content handler of mcp_sse_health.
 */

ngx_int_t ngx_mcp_health_handler(ngx_http_request_t *r);


#endif /* _NGX_MCP_HEALTH_H_INCLUDED_ */

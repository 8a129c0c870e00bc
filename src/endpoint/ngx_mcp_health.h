
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * GET /health.
 */

#ifndef _NGX_MCP_HEALTH_H_INCLUDED_
#define _NGX_MCP_HEALTH_H_INCLUDED_


#include "ngx_mcp.h"


/*
 * The content handler of mcp_sse_health: the state of the instance as JSON,
 * and what is known of Frappe.  With ?ready=1, ?ready=strict or ?ready=backend
 * it is 503 while the instance should get no new clients: docs/PROTOCOL.md 9.4
 * and 9.23.
 */

ngx_int_t ngx_mcp_health_handler(ngx_http_request_t *r);


#endif /* _NGX_MCP_HEALTH_H_INCLUDED_ */

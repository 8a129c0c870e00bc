
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * server/discover for a backend of the older era (MCP 2026-07-28, Discovery).
 */

#ifndef _NGX_MCP_DISCOVER_H_INCLUDED_
#define _NGX_MCP_DISCOVER_H_INCLUDED_


#include "ngx_mcp_ctx.h"


/*
 * Answers server/discover for a backend of the older era, after
 * ngx_mcp_backend_era().  Returns the code that the content handler
 * returns.
 */

ngx_int_t ngx_mcp_discover(ngx_http_request_t *r);

/*
 * Frappe cannot be asked whose credential that is, and the header of r says
 * that it is server/discover: reads its id for ngx_mcp_request_denied().
 * Returns the code that the content handler returns.
 */

ngx_int_t ngx_mcp_discover_unavailable(ngx_http_request_t *r);


#endif /* _NGX_MCP_DISCOVER_H_INCLUDED_ */

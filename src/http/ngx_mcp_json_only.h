
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * mcp_sse_json_only: of what Frappe answers in a location, only 200 with JSON
 * is passed on.
 */

#ifndef _NGX_MCP_JSON_ONLY_H_INCLUDED_
#define _NGX_MCP_JSON_ONLY_H_INCLUDED_


#include "ngx_mcp.h"


/*
 * Installs the filter.  Runs once, in postconfiguration.
 */

void ngx_mcp_json_only_init(void);


#endif /* _NGX_MCP_JSON_ONLY_H_INCLUDED_ */

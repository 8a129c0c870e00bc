
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * The output filter that collects the response of a call.  It runs before
 * all filters that would change or write it, and passes nothing on.
 */

#ifndef _NGX_MCP_CALL_FILTER_H_INCLUDED_
#define _NGX_MCP_CALL_FILTER_H_INCLUDED_


#include "ngx_mcp_ctx.h"


/*
 * Installs the filter.  Runs in postconfiguration.
 */

void ngx_mcp_call_filter_init(void);


#endif /* _NGX_MCP_CALL_FILTER_H_INCLUDED_ */


/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * The output filter that collects the response of a call.  It runs before
 * all filters that would change or write it, and passes nothing on.
 */

#ifndef _NGX_MCP_CALL_FILTER_H_INCLUDED_
#define _NGX_MCP_CALL_FILTER_H_INCLUDED_


#include "ngx_mcp_call.h"


/*
 * Installs the filter.  Runs in postconfiguration.
 */

void ngx_mcp_call_filter_init(void);

/*
 * Gives nginx its own buffer back, before the answer of a call is freed whose
 * subrequest goes on: nginx may read into the answer.
 */

void ngx_mcp_call_filter_leave(ngx_mcp_call_t *call);


#endif /* _NGX_MCP_CALL_FILTER_H_INCLUDED_ */

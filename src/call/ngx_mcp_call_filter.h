
/*
 * The filter that collects the answer of a call.  It stands before all
 * filters that would write or change it, and swallows everything.
 */

#ifndef _NGX_MCP_CALL_FILTER_H_INCLUDED_
#define _NGX_MCP_CALL_FILTER_H_INCLUDED_


#include "ngx_mcp.h"


/*
 * In postconfiguration.
 */

void ngx_mcp_call_filter_init(void);


#endif /* _NGX_MCP_CALL_FILTER_H_INCLUDED_ */

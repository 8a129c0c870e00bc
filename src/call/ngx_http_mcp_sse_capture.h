
/*
 * The filter that collects the answer of a call.  It stands before all
 * filters that would write or change it, and swallows everything.
 */

#ifndef _NGX_HTTP_MCP_SSE_CAPTURE_H_INCLUDED_
#define _NGX_HTTP_MCP_SSE_CAPTURE_H_INCLUDED_


#include "ngx_http_mcp_sse.h"


/*
 * In postconfiguration.
 */

void ngx_http_mcp_sse_capture_init(void);


#endif /* _NGX_HTTP_MCP_SSE_CAPTURE_H_INCLUDED_ */

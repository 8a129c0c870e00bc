
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Calls that were answered while Frappe still runs them.
 */

#ifndef _NGX_MCP_CALL_LINGER_H_INCLUDED_
#define _NGX_MCP_CALL_LINGER_H_INCLUDED_


#include "ngx_mcp_call.h"


/*
 * A tool does not stop when its connection closes.  A call with a place that
 * has timed out or was cancelled lingers after its handler has run: its
 * connection stays open, and its place taken, until Frappe has answered, at
 * most for one more timeout.  Returns whether the call lingers; its event runs
 * again then, and calls ngx_mcp_call_linger_end().
 */

ngx_uint_t ngx_mcp_call_linger(ngx_mcp_call_t *call);
void ngx_mcp_call_linger_end(ngx_mcp_call_t *call);

/*
 * The worker stops: ends the calls that linger, by their events, and from now
 * on none does.
 */

void ngx_mcp_call_linger_stop(void);


#endif /* _NGX_MCP_CALL_LINGER_H_INCLUDED_ */

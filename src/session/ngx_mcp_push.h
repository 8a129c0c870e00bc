
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * What Frappe has published goes to the call, or to the sessions, that it is
 * for; what cannot is counted, and logged at most once in 10 seconds.
 */

#ifndef _NGX_MCP_PUSH_H_INCLUDED_
#define _NGX_MCP_PUSH_H_INCLUDED_


#include "ngx_mcp_task.h"
#include "ngx_mcp_pushed.h"


/*
 * In init_process, before the bus starts; does nothing without mcp_sse_events.
 */

ngx_int_t ngx_mcp_push_init(ngx_cycle_t *cycle);

/*
 * Drops a message: counts it as "which" (NGX_MCP_COUNT_EVENTS_...) and logs why
 * as "what", at level "error" if the backend is at fault, else "info", at most
 * once in 10 seconds in the instance.  "to" may be raw, or have no members.
 */

void ngx_mcp_push_drop(ngx_uint_t which, ngx_mcp_pushed_address_t *to,
    const char *what);


#endif /* _NGX_MCP_PUSH_H_INCLUDED_ */

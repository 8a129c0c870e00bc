
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * That lists of tools, prompts or resources have changed is told to a session
 * once a second at most.
 */

#ifndef _NGX_MCP_LIST_CHANGED_H_INCLUDED_
#define _NGX_MCP_LIST_CHANGED_H_INCLUDED_


#include "ngx_mcp_push_event.h"
#include "ngx_mcp_receivers.h"


/*
 * A list has changed; "method" is one of NGX_MCP_PUSHED_TOOLS, ..._PROMPTS,
 * ..._RESOURCES.  The session is told later, from a timer.
 */

void ngx_mcp_list_changed(ngx_mcp_receiver_t *r, ngx_uint_t method);

/*
 * The session is told no more.
 */

void ngx_mcp_list_changed_stop(ngx_mcp_receiver_t *r);


#endif /* _NGX_MCP_LIST_CHANGED_H_INCLUDED_ */

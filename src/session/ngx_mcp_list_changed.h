
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
 * The bit of a kind, one of NGX_MCP_PUSHED_TOOLS, ..._PROMPTS, ..._RESOURCES.
 */

#define ngx_mcp_list_changed_bit(method)                                      \
    ((ngx_uint_t) 1 << ((method) - NGX_MCP_PUSHED_TOOLS))


/*
 * Lists have changed, "bits" says which.  The session is told later, from a
 * timer.  If its stream was lost, they are noted in the zone for the stream
 * that takes it over.
 */

void ngx_mcp_list_changed(ngx_mcp_receiver_t *r, ngx_uint_t bits);

/*
 * The session is told at once what it was not told yet: its stream ends.
 */

void ngx_mcp_list_changed_now(ngx_mcp_receiver_t *r);


#endif /* _NGX_MCP_LIST_CHANGED_H_INCLUDED_ */

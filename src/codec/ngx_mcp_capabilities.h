
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Capabilities of a server that the module adds to those of the backend with
 * mcp_sse_events, in answers to initialize and server/discover (MCP
 * 2025-11-25, Lifecycle; MCP 2026-07-28, server/discover).
 */

#ifndef _NGX_MCP_CAPABILITIES_H_INCLUDED_
#define _NGX_MCP_CAPABILITIES_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* bytes that ngx_mcp_capabilities_add() adds at most */

#define NGX_MCP_CAPABILITIES_MAX_ADDED                                        \
    (sizeof("\"logging\":{},") + 3 * sizeof("\"listChanged\":true,")          \
     + sizeof("\"subscribe\":true,"))


/*
 * Copies "answer", a JSON-RPC response, to dst->data, which has room for
 * answer->len + NGX_MCP_CAPABILITIES_MAX_ADDED bytes, and sets dst->len.  In
 * result.capabilities of the copy
 *
 *     tools, prompts, resources    have "listChanged":true, and resources
 *                                  "subscribe":true, where they are objects;
 *                                  what the backend has told there is replaced
 *     logging                      is {}, where the backend has told none
 *
 * Other bytes stay as they are.  Returns NGX_OK; NGX_DECLINED if there is
 * nothing to add: the answer is an error, all is there, or an object that would
 * be changed repeats a member.
 */

ngx_int_t ngx_mcp_capabilities_add(ngx_str_t *answer, ngx_str_t *dst);


#endif /* _NGX_MCP_CAPABILITIES_H_INCLUDED_ */

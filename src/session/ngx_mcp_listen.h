
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * What a stream of subscriptions/listen gets (MCP 2026-07-28, Subscriptions).
 */

#ifndef _NGX_MCP_LISTEN_H_INCLUDED_
#define _NGX_MCP_LISTEN_H_INCLUDED_


#include "ngx_mcp_ctx.h"
#include "ngx_mcp_pushed.h"


/*
 * Sets s->filter to what "filter" asks for, if it asks for anything; NULL does
 * not.  It belongs to the session, which frees it by ngx_free().  Returns
 * NGX_OK, or NGX_ERROR if memory is short.
 */

ngx_int_t ngx_mcp_listen_create(ngx_mcp_session_t *s,
    ngx_mcp_listen_filter_t *filter);

/*
 * Returns whether such a stream gets notifications of that kind, an
 * ngx_mcp_pushed_method_e: of updates, of some resource.
 */

ngx_uint_t ngx_mcp_listen_receives(ngx_mcp_session_t *s, ngx_uint_t method);

/*
 * Returns NGX_OK if the stream gets updates of the resource with that digest,
 * and how long ago the backend has read it, or NGX_MAX_UINT32_VALUE if it has
 * not; else NGX_DECLINED.
 */

ngx_int_t ngx_mcp_listen_find(ngx_mcp_session_t *s, u_char *uri,
    ngx_msec_t *age);

/*
 * The backend has read that resource.
 */

void ngx_mcp_listen_read(ngx_mcp_session_t *s, u_char *uri);


#endif /* _NGX_MCP_LISTEN_H_INCLUDED_ */

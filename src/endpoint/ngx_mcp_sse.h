
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * GET /mcp/sse: opens the stream of a session.  GET /mcp and
 * subscriptions/listen use it, too.
 */

#ifndef _NGX_MCP_SSE_H_INCLUDED_
#define _NGX_MCP_SSE_H_INCLUDED_


#include "ngx_mcp_ctx.h"


/*
 * The content handler of mcp_sse_stream.
 */

ngx_int_t ngx_mcp_sse_handler(ngx_http_request_t *r);

/*
 * GET of Streamable HTTP: opens the stream of an authorized request whose
 * session id, ctx->sid and ctx->sid_text, is valid.  Answers HEAD without a
 * stream.  Returns the result for the content handler.
 */

ngx_int_t ngx_mcp_sse_stream(ngx_http_request_t *r);

/*
 * Opens the stream of subscriptions/listen (MCP 2026-07-28, Subscriptions) on
 * the POST r, whose request is in ctx->modern.  Returns the result for the
 * content handler.
 */

ngx_int_t ngx_mcp_sse_listen(ngx_http_request_t *r);


#endif /* _NGX_MCP_SSE_H_INCLUDED_ */


/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Delivers the message of a POST, which stays pending while other instances
 * are asked or the stream of its session may come back.
 */

#ifndef _NGX_MCP_PENDING_H_INCLUDED_
#define _NGX_MCP_PENDING_H_INCLUDED_


#include "ngx_mcp.h"


/*
 * Delivers ctx->envelope, sets ctx->outcome and returns what answer() returns;
 * or returns NGX_DONE, and answer() runs later, see ngx_mcp_suspend().  Only
 * when the server stops, answer() runs with an outcome that is not final:
 * STREAM_LOST, RETRY, PENDING or SENT.
 *
 * If the outcome is ACCEPTED, ctx->envelope may be NULL: the owner of the
 * session has it then.  Otherwise the envelope still belongs to the request.
 */

ngx_int_t ngx_mcp_pending_deliver(ngx_http_request_t *r,
    ngx_mcp_resume_pt answer);

/*
 * Ends the delivery, if it is pending.
 */

void ngx_mcp_pending_cancel(ngx_mcp_ctx_t *ctx);


#endif /* _NGX_MCP_PENDING_H_INCLUDED_ */

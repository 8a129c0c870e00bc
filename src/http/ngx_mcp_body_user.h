
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * How much memory the unfinished request bodies of each user take.
 */

#ifndef _NGX_MCP_BODY_USER_H_INCLUDED_
#define _NGX_MCP_BODY_USER_H_INCLUDED_


#include "ngx_mcp_body.h"


/*
 * The body of r is not complete and takes "size" bytes: counts them for its
 * user instead of what was counted before.  Returns NGX_OK; NGX_BUSY with
 * ctx->reason set, if the unfinished bodies of the user would take more than
 * 8 times the limit of a body; NGX_ERROR if memory is short.
 */

ngx_int_t ngx_mcp_body_user_count(ngx_http_request_t *r, size_t size);

/*
 * The body is no longer unfinished.  The cleanup of its request does the same.
 */

void ngx_mcp_body_user_done(ngx_mcp_body_t *body);


#endif /* _NGX_MCP_BODY_USER_H_INCLUDED_ */

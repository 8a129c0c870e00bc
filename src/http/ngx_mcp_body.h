
/*
 * Reads the body of a POST into memory, bounded by our own limit.
 */

#ifndef _NGX_MCP_BODY_H_INCLUDED_
#define _NGX_MCP_BODY_H_INCLUDED_


#include "ngx_mcp.h"


/*
 * Runs when ctx->body is complete (status 0), more than the limit was sent
 * (NGX_HTTP_REQUEST_ENTITY_TOO_LARGE), or its chunks are malformed
 * (NGX_HTTP_BAD_REQUEST).  May run before body_read() has
 * returned, and returns what the request is finalized with.
 */

typedef ngx_int_t (*ngx_mcp_body_pt)(ngx_http_request_t *r, ngx_int_t status);

/*
 * Returns what the content handler is to return, or the request is to be
 * finalized with.
 */

ngx_int_t ngx_mcp_body_read(ngx_http_request_t *r, size_t max,
    ngx_mcp_body_pt done);


#endif /* _NGX_MCP_BODY_H_INCLUDED_ */

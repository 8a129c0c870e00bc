
/*
 * What a request of Streamable HTTP says of itself in headers: the version
 * of the protocol, what answers it takes.
 */

#ifndef _NGX_MCP_NEGOTIATE_H_INCLUDED_
#define _NGX_MCP_NEGOTIATE_H_INCLUDED_


#include "ngx_mcp.h"


/*
 * Checks MCP-Protocol-Version and sets ctx->batches.  NGX_OK, also if there
 * is none; NGX_DECLINED: not a version that is served.
 */

ngx_int_t ngx_mcp_negotiate_version(ngx_http_request_t *r);

/*
 * The newest version that may be the answer to an initialize that offers
 * this one, or none if it is empty: of another, the next request would be
 * refused.
 */

ngx_str_t ngx_mcp_negotiate_limit(ngx_str_t *offered);

/*
 * Sets ctx->accept_json and ctx->accept_stream by Accept.
 */

void ngx_mcp_negotiate_accept(ngx_http_request_t *r);


#endif /* _NGX_MCP_NEGOTIATE_H_INCLUDED_ */

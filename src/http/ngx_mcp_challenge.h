
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * WWW-Authenticate.
 */

#ifndef _NGX_MCP_CHALLENGE_H_INCLUDED_
#define _NGX_MCP_CHALLENGE_H_INCLUDED_


#include "ngx_mcp_ctx.h"


/*
 * Adds the header to the response: "given", the challenge of Frappe, which
 * must be valid as long as the request, or, if that is empty, Bearer with a
 * realm (RFC 6750, 3).  At an endpoint of Streamable HTTP a Bearer challenge
 * names the metadata of the protected resource (RFC 9728) by an absolute URL.
 * Returns NGX_OK, or NGX_ERROR if memory is short.
 */

ngx_int_t ngx_mcp_challenge(ngx_http_request_t *r, ngx_str_t *given);


#endif /* _NGX_MCP_CHALLENGE_H_INCLUDED_ */

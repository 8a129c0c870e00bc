
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
 * realm (RFC 6750, 3).
 *
 * A Bearer challenge names the metadata of the protected resource (RFC 9728,
 * 5.1) by an absolute URL at an endpoint that clients are given the URL of
 * (ctx->resource), instead of those that Frappe names; at other endpoints it
 * names none.  If "refused" is set, a credential was sent and is not good: the
 * challenge says error="invalid_token" (RFC 6750, 3.1), unless Frappe's has an
 * error.
 *
 * Returns NGX_OK, or NGX_ERROR if memory is short.
 */

ngx_int_t ngx_mcp_challenge(ngx_http_request_t *r, ngx_str_t *given,
    ngx_uint_t refused);


#endif /* _NGX_MCP_CHALLENGE_H_INCLUDED_ */


/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Which client has sent a request, as it says itself: $mcp_sse_client,
 * $mcp_sse_version, its capabilities.
 */

#ifndef _NGX_MCP_IDENTITY_H_INCLUDED_
#define _NGX_MCP_IDENTITY_H_INCLUDED_


#include "ngx_mcp_client.h"
#include "ngx_mcp_ctx.h"


/*
 * Reads the raw params of initialize into *client.  The version of the protocol
 * is the one that it offers, or the newest with initialize instead of an
 * unknown one.  *newest, if that is not NULL, is set to the newest one that the
 * answer may have; it is static.  Returns NGX_OK, or NGX_ERROR if memory is
 * short.
 */

ngx_int_t ngx_mcp_identity_read(ngx_pool_t *pool, ngx_str_t *params,
    ngx_mcp_client_t *client, ngx_str_t *newest);

/*
 * Sets what the context of r tells of the client from the claims of a verified
 * session id, which are copied; its version header goes before.  Returns
 * NGX_OK, or NGX_ERROR if memory is short.
 */

ngx_int_t ngx_mcp_identity_claims(ngx_http_request_t *r, ngx_str_t *claims);

/*
 * Sets it from the _meta of r, a request of the modern era.  Returns NGX_OK, or
 * NGX_ERROR if memory is short.
 */

ngx_int_t ngx_mcp_identity_modern(ngx_http_request_t *r);


#endif /* _NGX_MCP_IDENTITY_H_INCLUDED_ */


/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * The metadata of the endpoints as OAuth 2.0 protected resources (RFC 9728).
 */

#ifndef _NGX_MCP_RESOURCE_METADATA_H_INCLUDED_
#define _NGX_MCP_RESOURCE_METADATA_H_INCLUDED_


#include "ngx_mcp.h"


/*
 * The content handler of mcp_sse_resource_metadata: the metadata of the
 * resource whose path follows "/.well-known/oauth-protected-resource" in the
 * URI, for any client; 404 for another URI.
 */

ngx_int_t ngx_mcp_resource_metadata_handler(ngx_http_request_t *r);


#endif /* _NGX_MCP_RESOURCE_METADATA_H_INCLUDED_ */


/*
 * WWW-Authenticate.
 */

#ifndef _NGX_MCP_CHALLENGE_H_INCLUDED_
#define _NGX_MCP_CHALLENGE_H_INCLUDED_


#include "ngx_mcp.h"


/*
 * Adds the header to the response: "given", the backend's, which must live
 * as long as the request, or one of our own if that is empty.  On an endpoint
 * of Streamable HTTP it names the metadata of the protected resource
 * (RFC 9728) by an absolute URL.  NGX_OK or NGX_ERROR.
 */

ngx_int_t ngx_mcp_challenge(ngx_http_request_t *r, ngx_str_t *given);


#endif /* _NGX_MCP_CHALLENGE_H_INCLUDED_ */


/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Warnings of "nginx -t" for mcp_sse_call, mcp_sse_user and
 * mcp_sse_message_uri that do not lead to a fitting location.
 */

#ifndef _NGX_MCP_CHECK_URI_H_INCLUDED_
#define _NGX_MCP_CHECK_URI_H_INCLUDED_


#include "ngx_mcp.h"


/*
 * Checks the URIs of the endpoint "conf" and logs warnings, each once for a
 * server.  May be called while configurations are merged only: "cf" has the
 * server then, and its locations are still a plain list.
 *
 * Nothing is refused, since a rewrite may change a URI.  A URI that a location
 * with a regular expression may match causes no warning.
 */

void ngx_mcp_check_uri(ngx_conf_t *cf, ngx_mcp_loc_conf_t *conf);


#endif /* _NGX_MCP_CHECK_URI_H_INCLUDED_ */


/*
 * Whether the URIs that an endpoint names lead to the locations it needs.
 */

#ifndef _NGX_MCP_CHECK_URI_H_INCLUDED_
#define _NGX_MCP_CHECK_URI_H_INCLUDED_


#include "ngx_mcp.h"


/*
 * Warns of those of the endpoint "conf" that do not, each once in a server.
 * For the time of merging only, when cf says which server it is and its
 * locations are still a plain list.  A rewrite or a location with a regular
 * expression may be what such a URI means, so that nothing is refused.
 */

void ngx_mcp_check_uri(ngx_conf_t *cf, ngx_mcp_loc_conf_t *conf);


#endif /* _NGX_MCP_CHECK_URI_H_INCLUDED_ */

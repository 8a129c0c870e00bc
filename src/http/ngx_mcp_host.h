
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * The names of hosts by which a server knows itself.
 */

#ifndef _NGX_MCP_HOST_H_INCLUDED_
#define _NGX_MCP_HOST_H_INCLUDED_


#include "ngx_mcp_ctx.h"


/*
 * While configurations merge, at the end: sets conf->hosts to the names of the
 * current server, which nginx itself does not keep, and the host of
 * mcp_sse_public_url, in the pool of the cycle.  Returns NGX_OK, or NGX_ERROR
 * if memory is short.
 */

ngx_int_t ngx_mcp_host_names(ngx_conf_t *cf, ngx_mcp_loc_conf_t *conf);

/*
 * Returns NGX_OK if nobody but the operator can have made "host" lead to this
 * server: it is one of conf->hosts, an IP address or "localhost".  Else
 * returns NGX_DECLINED and sets ctx->reason; NGX_ERROR if memory is short.
 */

ngx_int_t ngx_mcp_host_known(ngx_http_request_t *r, ngx_str_t *host);


#endif /* _NGX_MCP_HOST_H_INCLUDED_ */

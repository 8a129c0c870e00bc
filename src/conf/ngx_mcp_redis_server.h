
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * The servers that the URL of mcp_sse_redis names, and their addresses.
 */

#ifndef _NGX_MCP_REDIS_SERVER_H_INCLUDED_
#define _NGX_MCP_REDIS_SERVER_H_INCLUDED_


#include "ngx_mcp.h"


/*
 * Adds the server "HOST[:PORT]", or the one of a unix socket, to rcf->servers.
 * Names of hosts get no addresses yet.  Returns NULL, or the text of an error.
 */

const char *ngx_mcp_redis_server_add(ngx_conf_t *cf, ngx_mcp_redis_conf_t *rcf,
    ngx_str_t *text, in_port_t default_port);
const char *ngx_mcp_redis_server_add_unix(ngx_conf_t *cf,
    ngx_mcp_redis_conf_t *rcf, ngx_str_t *path);

/*
 * In postconfiguration, when the resolver of the http level is known: sets
 * rcf->resolver, which is also for names that sentinels or nodes of a cluster
 * tell, or finds the addresses of all servers.  Returns NGX_OK, or NGX_ERROR
 * after a message that names the directive.
 */

ngx_int_t ngx_mcp_redis_server_resolve(ngx_conf_t *cf,
    ngx_mcp_redis_conf_t *rcf, const char *directive);


#endif /* _NGX_MCP_REDIS_SERVER_H_INCLUDED_ */

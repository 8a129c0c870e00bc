
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * The directive mcp_sse_redis.
 */

#ifndef _NGX_MCP_REDIS_URL_H_INCLUDED_
#define _NGX_MCP_REDIS_URL_H_INCLUDED_


#include "ngx_mcp.h"


/*
 * Setter of "mcp_sse_redis URL [prefix=TEXT] [timeout=TIME]
 * [connect_timeout=TIME]".
 */

char *ngx_mcp_redis_url(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/*
 * In postconfiguration, when the resolver of the http level is known: finds
 * the addresses of the host, or leaves them to the resolver.  Returns NGX_OK,
 * also without the directive, or NGX_ERROR after a message.
 */

ngx_int_t ngx_mcp_redis_url_check(ngx_conf_t *cf, ngx_mcp_main_conf_t *mcf);


#endif /* _NGX_MCP_REDIS_URL_H_INCLUDED_ */

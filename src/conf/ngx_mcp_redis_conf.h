
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * The directive mcp_sse_redis: its parameters, and what fits together; those of
 * mcp_sse_events.
 */

#ifndef _NGX_MCP_REDIS_CONF_H_INCLUDED_
#define _NGX_MCP_REDIS_CONF_H_INCLUDED_


#include "ngx_mcp.h"


/*
 * Setter of "mcp_sse_redis URL [PARAMETER...]".
 */

char *ngx_mcp_redis_conf(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/*
 * Reads the arguments of such a directive, cf->args, into rcf, which is zeroed:
 * with "prefix=TEXT", or with "channel=NAME" if "events" is set, which becomes
 * rcf->prefix.  Returns NGX_OK, or NGX_ERROR after a message.
 */

ngx_int_t ngx_mcp_redis_conf_read(ngx_conf_t *cf, ngx_mcp_redis_conf_t *rcf,
    ngx_uint_t events);

/*
 * In postconfiguration, when the resolver of the http level is known: finds
 * the addresses of the servers, or leaves them to the resolver, and makes the
 * context for TLS.  Returns NGX_OK, also without the directive, or NGX_ERROR
 * after a message.
 */

ngx_int_t ngx_mcp_redis_conf_check(ngx_conf_t *cf, ngx_mcp_main_conf_t *mcf);


#endif /* _NGX_MCP_REDIS_CONF_H_INCLUDED_ */


/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * The directive mcp_sse_events: the Redis that Frappe publishes to.
 */

#ifndef _NGX_MCP_EVENTS_CONF_H_INCLUDED_
#define _NGX_MCP_EVENTS_CONF_H_INCLUDED_


#include "ngx_mcp.h"


/*
 * Setter of "mcp_sse_events URL [PARAMETER...]".
 */

char *ngx_mcp_events_conf(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/*
 * In postconfiguration, after ngx_mcp_redis_conf_check(), which sets defaults
 * of mcp_sse_redis_ssl_*: as that function does it for mcp_sse_redis.
 */

ngx_int_t ngx_mcp_events_conf_check(ngx_conf_t *cf, ngx_mcp_main_conf_t *mcf);


#endif /* _NGX_MCP_EVENTS_CONF_H_INCLUDED_ */

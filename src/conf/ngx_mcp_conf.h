
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Setters of directives whose values nginx has no setter for.
 *
 * All return NGX_CONF_OK, or an error after a message at level emerg, as the
 * setters of nginx do.
 */

#ifndef _NGX_MCP_CONF_H_INCLUDED_
#define _NGX_MCP_CONF_H_INCLUDED_


#include "ngx_mcp.h"


/* words of mcp_sse_ping_result and mcp_sse_header_check */

extern ngx_conf_enum_t  ngx_mcp_conf_ping_results[];
extern ngx_conf_enum_t  ngx_mcp_conf_header_checks[];


/*
 * A URI that begins with "/".  If cmd->post is not NULL, the query is split
 * off into the ngx_str_t behind the one at cmd->offset.
 */

char *ngx_mcp_conf_uri(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/*
 * A time in milliseconds other than 0; also "off", which is NGX_MCP_OFF, if
 * cmd->post is not NULL.
 */

char *ngx_mcp_conf_time(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/*
 * A size in bytes, or a time in seconds, other than 0.
 */

char *ngx_mcp_conf_size(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_mcp_conf_sec(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/*
 * Each sets the directive after which it is named.
 */

char *ngx_mcp_conf_zone(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_mcp_conf_key(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_mcp_conf_api_secret(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_mcp_conf_server_url(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_mcp_conf_origin(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_mcp_conf_public_url(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_mcp_conf_local(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_mcp_conf_keepalive(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_mcp_conf_pass_header(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);


#endif /* _NGX_MCP_CONF_H_INCLUDED_ */

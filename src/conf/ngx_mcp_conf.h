
/*
 * Setters of directives whose values nginx has no setter for.
 */

#ifndef _NGX_MCP_CONF_H_INCLUDED_
#define _NGX_MCP_CONF_H_INCLUDED_


#include "ngx_mcp.h"


/* the post of mcp_sse_..._uri directives: where the query goes */

char *ngx_mcp_conf_uri(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/* a time that must not be 0; "off" too where cmd->post is not NULL */

char *ngx_mcp_conf_time(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/* a size, or a time in seconds, that must not be 0 */

char *ngx_mcp_conf_size(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_mcp_conf_sec(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/* each for the one directive it is named after */

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

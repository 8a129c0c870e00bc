
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Defaults and inheritance of directives; validation of a location as a whole.
 */

#ifndef _NGX_MCP_CONF_MERGE_H_INCLUDED_
#define _NGX_MCP_CONF_MERGE_H_INCLUDED_


#include "ngx_mcp.h"


/*
 * Members of ngx_http_module_t.
 */

void *ngx_mcp_create_main_conf(ngx_conf_t *cf);
char *ngx_mcp_init_main_conf(ngx_conf_t *cf, void *conf);
void *ngx_mcp_create_loc_conf(ngx_conf_t *cf);
char *ngx_mcp_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child);

/*
 * Sets a directive that makes a location an endpoint; cmd->post is its
 * ngx_mcp_endpoint_t.
 */

char *ngx_mcp_set_endpoint(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);


#endif /* _NGX_MCP_CONF_MERGE_H_INCLUDED_ */

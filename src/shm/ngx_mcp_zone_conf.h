
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Shared memory zone: how it is made.  Size, layout and keys, at the start and
 * at a reload.
 */

#ifndef _NGX_MCP_ZONE_CONF_H_INCLUDED_
#define _NGX_MCP_ZONE_CONF_H_INCLUDED_


#include "ngx_mcp_zone.h"


/*
 * Adds the zone of mcf->zone_name to the configuration, in postconfiguration.
 * A reload keeps the content of a zone of the same name and size; with another
 * size, it keeps the keys only.  Returns NGX_OK, or NGX_ERROR after logging.
 */

ngx_int_t ngx_mcp_zone_conf_add(ngx_conf_t *cf, ngx_mcp_main_conf_t *mcf);

/*
 * Checks, when the http block has been read, whether a reload is possible.
 * While "master_process" is off, nginx does not call init_process again, and it
 * unmaps a zone that the new configuration does not have while this process
 * still uses it.  In postconfiguration it is too late: the filters that run
 * are set there, and nginx does not set them back after an error.  Returns
 * NGX_OK, or NGX_ERROR after logging.
 */

ngx_int_t ngx_mcp_zone_conf_check(ngx_conf_t *cf, ngx_mcp_main_conf_t *mcf);


#endif /* _NGX_MCP_ZONE_CONF_H_INCLUDED_ */

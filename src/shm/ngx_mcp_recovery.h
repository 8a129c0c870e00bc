
/*
 * Makes a zone anew in which a worker has died.
 */

#ifndef _NGX_MCP_RECOVERY_H_INCLUDED_
#define _NGX_MCP_RECOVERY_H_INCLUDED_


#include "ngx_mcp_workers.h"


/*
 * In init_process, before the zone is entered.
 */

void ngx_http_mcp_sse_repair_init(ngx_http_mcp_sse_bus_owner_t *owner);

/*
 * Under the mutex: the phase in which a new worker begins.
 */

ngx_uint_t ngx_http_mcp_sse_repair_join(ngx_http_mcp_sse_zone_t *zone);


#endif /* _NGX_MCP_RECOVERY_H_INCLUDED_ */

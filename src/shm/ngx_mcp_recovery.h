
/*
 * Makes a zone anew in which a worker has died.
 */

#ifndef _NGX_MCP_RECOVERY_H_INCLUDED_
#define _NGX_MCP_RECOVERY_H_INCLUDED_


#include "ngx_mcp_workers.h"


/*
 * In init_process, before the zone is entered.
 */

void ngx_mcp_recovery_init(ngx_mcp_bus_owner_t *owner);

/*
 * Under the mutex: the phase in which a new worker begins.
 */

ngx_uint_t ngx_mcp_recovery_join_locked(ngx_mcp_zone_t *zone);


#endif /* _NGX_MCP_RECOVERY_H_INCLUDED_ */


/*
 * Makes a zone anew in which a worker has died.
 */

#ifndef _NGX_MCP_RECOVERY_H_INCLUDED_
#define _NGX_MCP_RECOVERY_H_INCLUDED_


#include "ngx_mcp_zone.h"


/*
 * In init_process, before the zone is entered.
 */

void ngx_mcp_recovery_init(void);

/*
 * For zone_lock(), each time that the zone is entered and is not READY.
 * "dead" is the pid of a worker that died while it held the mutex, or 0.
 */

void ngx_mcp_recovery_locked(ngx_mcp_zone_t *zone, ngx_pid_t dead);

/*
 * The state in which a new worker begins.
 */

ngx_uint_t ngx_mcp_recovery_join_locked(ngx_mcp_zone_t *zone);


#endif /* _NGX_MCP_RECOVERY_H_INCLUDED_ */


/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Recovery of the zone after a worker died while it held the mutex.
 */

#ifndef _NGX_MCP_RECOVERY_H_INCLUDED_
#define _NGX_MCP_RECOVERY_H_INCLUDED_


#include "ngx_mcp_zone.h"


/*
 * Called in init_process, before the first ngx_mcp_zone_lock().
 */

void ngx_mcp_recovery_init(void);

/*
 * Called by ngx_mcp_zone_lock() whenever the zone is not READY.  "dead" is the
 * pid of a worker that died while it held the mutex, or 0.
 */

void ngx_mcp_recovery_locked(ngx_mcp_zone_t *zone, ngx_pid_t dead);

/*
 * Returns the phase in which a new worker begins, and starts the timer of
 * recovery in this worker if the zone is not READY.
 */

ngx_uint_t ngx_mcp_recovery_join_locked(ngx_mcp_zone_t *zone);


#endif /* _NGX_MCP_RECOVERY_H_INCLUDED_ */

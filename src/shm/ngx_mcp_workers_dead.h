
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Dead workers: how they are found, and the ids of those that were.
 */

#ifndef _NGX_MCP_WORKERS_DEAD_H_INCLUDED_
#define _NGX_MCP_WORKERS_DEAD_H_INCLUDED_


#include "ngx_mcp_zone.h"


/*
 * Returns the id of a worker of this instance that this worker has found dead,
 * or NULL; ngx_mcp_workers_dead_forget() removes that id.  At most 16 ids are
 * kept.
 */

u_char *ngx_mcp_workers_dead_id(void);
void ngx_mcp_workers_dead_forget(void);

/*
 * Frees the record of a dead worker, its session records and its entries.
 * Does nothing if there is no such worker, or if it is this one.
 */

void ngx_mcp_workers_dead_locked(ngx_mcp_zone_t *zone, u_char *id);

/*
 * Frees the record of a worker that had the process slot of this one, in
 * init_process.  It is dead: the master gives a slot away only after it has
 * reaped the process.
 */

void ngx_mcp_workers_dead_predecessor_locked(ngx_mcp_zone_t *zone);

/*
 * Probes the next workers in the list and frees the records of dead ones.
 */

void ngx_mcp_workers_dead_probe(ngx_mcp_zone_t *zone);

/*
 * Returns whether the process with that pid, which has held the mutex of the
 * zone for a while, is dead.  Called without the mutex: nobody but the holder
 * changes the record of the holder.
 */

ngx_uint_t ngx_mcp_workers_dead_holder(ngx_mcp_zone_t *zone, ngx_pid_t pid);


#endif /* _NGX_MCP_WORKERS_DEAD_H_INCLUDED_ */

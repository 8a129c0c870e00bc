
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * How many look-ups run in all workers together.
 */

#ifndef _NGX_MCP_LOOKUPS_H_INCLUDED_
#define _NGX_MCP_LOOKUPS_H_INCLUDED_


#include "ngx_mcp_zone.h"


/*
 * Returns whether this worker may start one more look-up, and counts it: all
 * workers together run at most "max".  While others wait, each has its share
 * of "max", and they take turns.  ngx_mcp_lookups_release() gives the place
 * back.
 */

ngx_uint_t ngx_mcp_lookups_take(ngx_uint_t max);
void ngx_mcp_lookups_release(void);

/*
 * Tells the other workers how many look-ups of this worker wait for a place.
 * Nobody is woken when a place gets free: a worker that waits tries again.
 */

void ngx_mcp_lookups_wait(ngx_uint_t n);


#endif /* _NGX_MCP_LOOKUPS_H_INCLUDED_ */

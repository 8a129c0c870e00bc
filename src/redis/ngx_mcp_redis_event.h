
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * hiredis adapter for nginx events; for hiredis 0.14 and 1.x.
 */

#ifndef _NGX_MCP_REDIS_EVENT_H_INCLUDED_
#define _NGX_MCP_REDIS_EVENT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <hiredis/hiredis.h>
#include <hiredis/async.h>


/*
 * Attaches a new context to the events of nginx.  hiredis closes the descriptor
 * itself; the nginx connection is freed when hiredis has no more use for it.
 * Returns NGX_OK, or NGX_ERROR: then the caller frees "ac".
 */

ngx_int_t ngx_mcp_redis_event_attach(redisAsyncContext *ac, ngx_log_t *log);

/*
 * Returns the number of bytes that are not written yet.
 */

size_t ngx_mcp_redis_event_queued(redisAsyncContext *ac);

/*
 * Writes what can be written without blocking: before a worker exits, and
 * where hiredis would write and allocate.
 */

void ngx_mcp_redis_event_flush(redisAsyncContext *ac);

/*
 * Gives a connection up whose replies cannot be matched with their commands any
 * more: hiredis reads and writes no more, and frees it at its next event.  No
 * handler runs before this returns.
 */

void ngx_mcp_redis_event_no_memory(redisAsyncContext *ac);


#endif /* _NGX_MCP_REDIS_EVENT_H_INCLUDED_ */

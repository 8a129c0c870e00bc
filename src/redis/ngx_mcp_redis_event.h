
/*
 * hiredis, 0.14 and 1.x, on nginx's events.
 */

#ifndef _NGX_MCP_REDIS_EVENT_H_INCLUDED_
#define _NGX_MCP_REDIS_EVENT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <hiredis/hiredis.h>
#include <hiredis/async.h>


/*
 * Attaches a new context to nginx's events.  hiredis closes the descriptor
 * itself; the nginx connection goes back when hiredis is through with it.
 * NGX_OK, or NGX_ERROR, and then the caller frees ac.
 */

ngx_int_t ngx_mcp_redis_event_attach(redisAsyncContext *ac, ngx_log_t *log);

/*
 * Bytes that wait to be written.
 */

size_t ngx_mcp_redis_event_queued(redisAsyncContext *ac);

/*
 * Writes what can be written at once: for the last words of a worker that
 * exits.
 */

void ngx_mcp_redis_event_flush(redisAsyncContext *ac);


#endif /* _NGX_MCP_REDIS_EVENT_H_INCLUDED_ */

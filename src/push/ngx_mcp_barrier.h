
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * A barrier: when it comes back, what Frappe has published before has arrived.
 *
 * Redis and HTTP are two ways, and the answer to a call can overtake what was
 * published during the call.  The worker publishes a barrier to itself; its
 * message comes after all that was published before.  Those that wait in one
 * turn of the event loop share one barrier.
 */

#ifndef _NGX_MCP_BARRIER_H_INCLUDED_
#define _NGX_MCP_BARRIER_H_INCLUDED_


#include "ngx_mcp_events.h"


#define NGX_MCP_BARRIER_TIMEOUT_MS  50


/* embedded in its owner, who zeroes it and sets handler and data */

typedef struct {
    ngx_queue_t         queue;         /* of those that wait */
    uint64_t            number;        /* the first one that is good for it; 0:
                                          does not wait */
    ngx_msec_t          started;
    void              (*handler)(void *data);
    void               *data;
} ngx_mcp_barrier_t;


/*
 * Waits: "handler" runs once, when the barrier is back, or after
 * NGX_MCP_BARRIER_TIMEOUT_MS, or when the Redis is lost; never before this
 * returns.  Returns NGX_OK, or NGX_DECLINED if that Redis is not up: then the
 * caller goes on at once, and "handler" does not run.
 */

ngx_int_t ngx_mcp_barrier_wait(ngx_mcp_barrier_t *barrier);

/*
 * "handler" will not run.  May be called if it does not wait.
 */

void ngx_mcp_barrier_cancel(ngx_mcp_barrier_t *barrier);

/*
 * For ngx_mcp_events.c: start; publish a barrier, and return its number, or 0
 * if the Redis is not ready; one has come back, returns its number, or 0 if it
 * is none of this worker; the Redis is lost, none comes back.
 */

void ngx_mcp_barrier_init(void);
uint64_t ngx_mcp_barrier_send(void);
uint64_t ngx_mcp_barrier_back(ngx_str_t *bytes);
void ngx_mcp_barrier_lost(void);


#endif /* _NGX_MCP_BARRIER_H_INCLUDED_ */

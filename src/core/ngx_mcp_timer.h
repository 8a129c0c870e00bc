
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Timers of a worker.
 *
 * All deadlines, heartbeats and sweeps of the module are entries of a tree
 * that a single nginx timer serves.  That timer is not cancelable while it is
 * held: a worker that shuts down stays as long as it has streams, calls or
 * suspended requests, and exits then.
 */

#ifndef _NGX_MCP_TIMER_H_INCLUDED_
#define _NGX_MCP_TIMER_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>


typedef void (*ngx_mcp_timer_pt)(void *data);


/*
 * An entry, embedded in its owner.  The owner zeroes it, sets handler and
 * data, and calls ngx_mcp_timer_del() before it frees it.  The handler runs
 * once for each ngx_mcp_timer_set().  The entry is no longer set when the
 * handler runs; the handler may set it again or free the owner.
 */

typedef struct {
    ngx_rbtree_node_t            node;
    ngx_mcp_timer_pt             handler;
    void                        *data;
    unsigned                     set:1;
} ngx_mcp_timer_t;


/*
 * In init_process: initializes the timers of this worker.  exiting() runs
 * once, from the nginx timer, after the worker has begun to shut down.
 */

void ngx_mcp_timer_init(ngx_cycle_t *cycle, void (*exiting)(void));

/*
 * Sets an entry to expire in "msec" milliseconds, at most 20 ms late; one that
 * is set already is moved.  The handler never runs before this returns.
 */

void ngx_mcp_timer_set(ngx_mcp_timer_t *timer, ngx_msec_t msec);

/*
 * Lets an entry that is set expire "msec" milliseconds later, or earlier if
 * that is negative; does nothing if it is not set.
 */

void ngx_mcp_timer_defer(ngx_mcp_timer_t *timer, ngx_msec_int_t msec);

/*
 * Removes an entry; does nothing if it is not set.
 */

void ngx_mcp_timer_del(ngx_mcp_timer_t *timer);

/*
 * Returns "msec", a number of milliseconds, less an eighth of it at most, and
 * less the 20 ms by which an entry may be late: what is set at the same moment
 * does not expire at the same moment, and nothing later than "msec".  "random"
 * is any number.  If an eighth is 20 ms or less, it is taken off as it is.
 */

ngx_msec_t ngx_mcp_timer_spread(ngx_msec_t msec, ngx_uint_t random);

/*
 * Keep a worker that shuts down alive: it exits when each hold has had its
 * release.
 */

void ngx_mcp_timer_hold(void);
void ngx_mcp_timer_release(void);


#endif /* _NGX_MCP_TIMER_H_INCLUDED_ */

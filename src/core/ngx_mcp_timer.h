
/*
 * The one timer of a worker.  A leaf.
 *
 * All deadlines, heartbeats and sweeps of the module are entries of a tree
 * that a single nginx timer serves.  That timer is not cancelable while
 * somebody holds the tick, so that a worker that shuts down stays as long as
 * it has streams, calls or held requests, and not a moment longer.
 */

#ifndef _NGX_MCP_TIMER_H_INCLUDED_
#define _NGX_MCP_TIMER_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>


typedef void (*ngx_mcp_timer_pt)(void *data);


/*
 * An entry.  Embedded in its owner, who zeroes it, sets handler and data,
 * and must call tick_del() before it goes away.  The handler runs once per
 * tick_set(); the entry is not set any more when it runs, which may set it
 * again or free its owner.
 */

typedef struct {
    ngx_rbtree_node_t            node;
    ngx_mcp_timer_pt             handler;
    void                        *data;
    unsigned                     set:1;
} ngx_mcp_timer_t;


/*
 * Starts the tick of this process.  "exiting" runs once, from the tick, when
 * the worker has begun to shut down.
 */

void ngx_mcp_timer_init(ngx_cycle_t *cycle, void (*exiting)(void));

/*
 * (Re)arms an entry for "msec" from now, on time within 20 ms.  Never calls
 * the handler before it has returned.
 */

void ngx_mcp_timer_set(ngx_mcp_timer_t *timer, ngx_msec_t msec);

/*
 * Disarms an entry, whether it is set or not.
 */

void ngx_mcp_timer_del(ngx_mcp_timer_t *timer);

/*
 * Keeps the worker alive until as many releases as holds.
 */

void ngx_mcp_timer_hold(void);
void ngx_mcp_timer_release(void);


#endif /* _NGX_MCP_TIMER_H_INCLUDED_ */

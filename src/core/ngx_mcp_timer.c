
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Timers: a tree of the module's own, served by one nginx timer, which keeps
 * a worker that shuts down alive while it is held.
 *
 * nginx's own timers do not fit.  A worker that shuts down exits when each
 * timer that is left is cancelable, and that flag belongs to an event.
 * Whether the worker must stay, however, depends on its streams, calls and
 * suspended requests, and not on any one deadline.  Besides,
 * ngx_event_no_timers_left() walks the tree up to the first timer that is not
 * cancelable in each iteration of the loop of an exiting worker: it would walk
 * over thousands of heartbeats each time.
 *
 * An entry is owned by the struct that embeds it; the tree only links it.
 */

#include "ngx_mcp_timer.h"


/*
 * The limits of the nginx timer.  A held worker polls ngx_exiting, since nginx
 * has no hook for the beginning of a shutdown; entries that expire within the
 * shorter time are served together.
 */

#define NGX_MCP_TIMER_MAX_MS  500
#define NGX_MCP_TIMER_MIN_MS  20


static void ngx_mcp_timer_handler(ngx_event_t *ev);
static void ngx_mcp_timer_arm(void);


static ngx_event_t        ngx_mcp_timer_event;
static ngx_connection_t   ngx_mcp_timer_connection;
static ngx_rbtree_t       ngx_mcp_timer_tree;
static ngx_rbtree_node_t  ngx_mcp_timer_sentinel;
static ngx_uint_t         ngx_mcp_timer_nholds;
static ngx_uint_t         ngx_mcp_timer_exit_seen;
static void              (*ngx_mcp_timer_exiting)(void);


void
ngx_mcp_timer_init(ngx_cycle_t *cycle, void (*exiting)(void))
{
    ngx_rbtree_init(&ngx_mcp_timer_tree,
                    &ngx_mcp_timer_sentinel,
                    ngx_rbtree_insert_timer_value);

    ngx_mcp_timer_exiting = exiting;

    /* nginx's debug log of timers prints the fd */
    ngx_mcp_timer_connection.fd = (ngx_socket_t) -1;

    ngx_mcp_timer_event.handler = ngx_mcp_timer_handler;
    ngx_mcp_timer_event.data = &ngx_mcp_timer_connection;
    ngx_mcp_timer_event.log = cycle->log;
    ngx_mcp_timer_event.cancelable = 1;
}


void
ngx_mcp_timer_set(ngx_mcp_timer_t *timer, ngx_msec_t msec)
{
    ngx_mcp_timer_del(timer);

    /* an entry set by its own handler must not run in the same pass */

    timer->node.key = ngx_current_msec + (msec ? msec : 1);
    timer->set = 1;

    ngx_rbtree_insert(&ngx_mcp_timer_tree, &timer->node);

    ngx_mcp_timer_arm();
}


void
ngx_mcp_timer_defer(ngx_mcp_timer_t *timer, ngx_msec_int_t msec)
{
    if (timer->set) {
        msec += (ngx_msec_int_t) (timer->node.key - ngx_current_msec);

        ngx_mcp_timer_set(timer, (ngx_msec_t) ngx_max(msec, 0));
    }
}


void
ngx_mcp_timer_del(ngx_mcp_timer_t *timer)
{
    if (timer->set) {
        ngx_rbtree_delete(&ngx_mcp_timer_tree, &timer->node);
        timer->set = 0;
    }
}


ngx_msec_t
ngx_mcp_timer_spread(ngx_msec_t msec, ngx_uint_t random)
{
    ngx_msec_t  most;

    most = msec / 8;

    if (most <= NGX_MCP_TIMER_MIN_MS) {
        return msec - most;
    }

    return msec - NGX_MCP_TIMER_MIN_MS
           - random % (most - NGX_MCP_TIMER_MIN_MS + 1);
}


void
ngx_mcp_timer_hold(void)
{
    ngx_mcp_timer_nholds++;
    ngx_mcp_timer_event.cancelable = 0;

    ngx_mcp_timer_arm();
}


void
ngx_mcp_timer_release(void)
{
    if (--ngx_mcp_timer_nholds == 0) {
        ngx_mcp_timer_event.cancelable = 1;
    }
}


static void
ngx_mcp_timer_handler(ngx_event_t *ev)
{
    ngx_rbtree_node_t  *node;
    ngx_mcp_timer_t    *timer;

    if (ngx_exiting && !ngx_mcp_timer_exit_seen) {
        ngx_mcp_timer_exit_seen = 1;

        ngx_log_debug0(NGX_LOG_DEBUG_CORE, ev->log, 0,
                       "mcp worker is shutting down");

        ngx_mcp_timer_exiting();
    }

    while (ngx_mcp_timer_tree.root != ngx_mcp_timer_tree.sentinel) {
        node = ngx_rbtree_min(ngx_mcp_timer_tree.root,
                              ngx_mcp_timer_tree.sentinel);

        if ((ngx_msec_int_t) (node->key - ngx_current_msec) > 0) {
            break;
        }

        timer = (ngx_mcp_timer_t *)
                    ((u_char *) node - offsetof(ngx_mcp_timer_t, node));

        ngx_mcp_timer_del(timer);

        timer->handler(timer->data);
    }

    ngx_mcp_timer_arm();
}


static void
ngx_mcp_timer_arm(void)
{
    ngx_event_t        *ev;
    ngx_msec_int_t      delay;
    ngx_rbtree_node_t  *node;

    ev = &ngx_mcp_timer_event;

    if (ngx_mcp_timer_tree.root == ngx_mcp_timer_tree.sentinel)
    {
        if (ngx_mcp_timer_nholds == 0) {
            return;
        }

        delay = NGX_MCP_TIMER_MAX_MS;

    } else {
        node = ngx_rbtree_min(ngx_mcp_timer_tree.root,
                              ngx_mcp_timer_tree.sentinel);

        delay = (ngx_msec_int_t) (node->key - ngx_current_msec);
        delay = ngx_max(delay, NGX_MCP_TIMER_MIN_MS);

        if (ngx_mcp_timer_nholds) {
            delay = ngx_min(delay, NGX_MCP_TIMER_MAX_MS);
        }
    }

    if (ev->timer_set) {

        if ((ngx_msec_int_t) (ev->timer.key - (ngx_current_msec + delay)) <= 0)
        {
            return;
        }

        /* ngx_add_timer() keeps a timer that is less than 300 ms later */

        ngx_del_timer(ev);
    }

    ngx_add_timer(ev, delay);
}


/*
 * Entries belong to their owners; the tree only links them.
 */

#include "ngx_mcp_timer.h"


/* how often a held worker looks whether it is to shut down */

#define NGX_HTTP_MCP_SSE_TICK_MAX  500
#define NGX_HTTP_MCP_SSE_TICK_MIN  20


static void ngx_http_mcp_sse_tick_handler(ngx_event_t *ev);
static void ngx_http_mcp_sse_tick_arm(void);


static ngx_event_t         ngx_http_mcp_sse_tick;
static ngx_connection_t    ngx_http_mcp_sse_tick_dummy;
static ngx_rbtree_t        ngx_http_mcp_sse_tick_tree;
static ngx_rbtree_node_t   ngx_http_mcp_sse_tick_sentinel;
static ngx_uint_t          ngx_http_mcp_sse_tick_holds;
static ngx_uint_t          ngx_http_mcp_sse_tick_noted;
static void              (*ngx_http_mcp_sse_tick_exiting)(void);


void
ngx_http_mcp_sse_tick_init(ngx_cycle_t *cycle, void (*exiting)(void))
{
    ngx_rbtree_init(&ngx_http_mcp_sse_tick_tree,
                    &ngx_http_mcp_sse_tick_sentinel,
                    ngx_rbtree_insert_timer_value);

    ngx_http_mcp_sse_tick_exiting = exiting;

    /* the fd is what the debug log of timers prints */
    ngx_http_mcp_sse_tick_dummy.fd = (ngx_socket_t) -1;

    ngx_http_mcp_sse_tick.handler = ngx_http_mcp_sse_tick_handler;
    ngx_http_mcp_sse_tick.data = &ngx_http_mcp_sse_tick_dummy;
    ngx_http_mcp_sse_tick.log = cycle->log;
    ngx_http_mcp_sse_tick.cancelable = 1;
}


void
ngx_http_mcp_sse_tick_set(ngx_http_mcp_sse_timer_t *timer, ngx_msec_t msec)
{
    ngx_http_mcp_sse_tick_del(timer);

    /* one set by its own handler must not run in the same tick */

    timer->node.key = ngx_current_msec + (msec ? msec : 1);
    timer->set = 1;

    ngx_rbtree_insert(&ngx_http_mcp_sse_tick_tree, &timer->node);

    ngx_http_mcp_sse_tick_arm();
}


void
ngx_http_mcp_sse_tick_del(ngx_http_mcp_sse_timer_t *timer)
{
    if (timer->set) {
        ngx_rbtree_delete(&ngx_http_mcp_sse_tick_tree, &timer->node);
        timer->set = 0;
    }
}


void
ngx_http_mcp_sse_tick_hold(void)
{
    ngx_http_mcp_sse_tick_holds++;
    ngx_http_mcp_sse_tick.cancelable = 0;

    ngx_http_mcp_sse_tick_arm();
}


void
ngx_http_mcp_sse_tick_release(void)
{
    if (--ngx_http_mcp_sse_tick_holds == 0) {
        ngx_http_mcp_sse_tick.cancelable = 1;
    }
}


static void
ngx_http_mcp_sse_tick_handler(ngx_event_t *ev)
{
    ngx_rbtree_node_t         *node;
    ngx_http_mcp_sse_timer_t  *timer;

    if (ngx_exiting && !ngx_http_mcp_sse_tick_noted) {
        ngx_http_mcp_sse_tick_noted = 1;
        ngx_http_mcp_sse_tick_exiting();
    }

    while (ngx_http_mcp_sse_tick_tree.root
           != ngx_http_mcp_sse_tick_tree.sentinel)
    {
        node = ngx_rbtree_min(ngx_http_mcp_sse_tick_tree.root,
                              ngx_http_mcp_sse_tick_tree.sentinel);

        if ((ngx_msec_int_t) (node->key - ngx_current_msec) > 0) {
            break;
        }

        timer = (ngx_http_mcp_sse_timer_t *)
                    ((u_char *) node
                     - offsetof(ngx_http_mcp_sse_timer_t, node));

        ngx_http_mcp_sse_tick_del(timer);

        timer->handler(timer->data);
    }

    ngx_http_mcp_sse_tick_arm();
}


static void
ngx_http_mcp_sse_tick_arm(void)
{
    ngx_event_t        *ev;
    ngx_msec_int_t      delay;
    ngx_rbtree_node_t  *node;

    ev = &ngx_http_mcp_sse_tick;

    if (ngx_http_mcp_sse_tick_tree.root == ngx_http_mcp_sse_tick_tree.sentinel)
    {
        if (ngx_http_mcp_sse_tick_holds == 0) {
            return;
        }

        delay = NGX_HTTP_MCP_SSE_TICK_MAX;

    } else {
        node = ngx_rbtree_min(ngx_http_mcp_sse_tick_tree.root,
                              ngx_http_mcp_sse_tick_tree.sentinel);

        delay = (ngx_msec_int_t) (node->key - ngx_current_msec);
        delay = ngx_max(delay, NGX_HTTP_MCP_SSE_TICK_MIN);

        if (ngx_http_mcp_sse_tick_holds) {
            delay = ngx_min(delay, NGX_HTTP_MCP_SSE_TICK_MAX);
        }
    }

    if (ev->timer_set) {

        if ((ngx_msec_int_t) (ev->timer.key - (ngx_current_msec + delay)) <= 0)
        {
            return;
        }

        /* ngx_add_timer() would keep one that is only a little later */

        ngx_del_timer(ev);
    }

    ngx_add_timer(ev, delay);
}

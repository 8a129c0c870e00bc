
/*
 * Entries belong to their owners; the tree only links them.
 */

#include "ngx_mcp_timer.h"


/* how often a held worker looks whether it is to shut down */

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

    /* the fd is what the debug log of timers prints */
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

    /* one set by its own handler must not run in the same tick */

    timer->node.key = ngx_current_msec + (msec ? msec : 1);
    timer->set = 1;

    ngx_rbtree_insert(&ngx_mcp_timer_tree, &timer->node);

    ngx_mcp_timer_arm();
}


void
ngx_mcp_timer_del(ngx_mcp_timer_t *timer)
{
    if (timer->set) {
        ngx_rbtree_delete(&ngx_mcp_timer_tree, &timer->node);
        timer->set = 0;
    }
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

        /* ngx_add_timer() would keep one that is only a little later */

        ngx_del_timer(ev);
    }

    ngx_add_timer(ev, delay);
}

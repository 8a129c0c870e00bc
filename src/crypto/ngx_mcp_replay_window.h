
/*
 * The numbers of one producer that were seen here, so that nothing it has
 * sent runs twice.  A leaf.
 *
 * Every number is decided once; asked again, the window gives the same
 * verdict.  A number is forgotten when it has expired, and the floor rises to
 * it: nothing at or below the floor is taken any more.
 */

#ifndef _NGX_MCP_REPLAY_WINDOW_H_INCLUDED_
#define _NGX_MCP_REPLAY_WINDOW_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


typedef struct {
    ngx_rbtree_t         seen;
    ngx_rbtree_node_t    sentinel;
    ngx_queue_t          order;        /* as they came in */
    uint64_t             floor;
} ngx_mcp_replay_window_t;


typedef struct {
    ngx_rbtree_node_t    node;         /* key: number */
    ngx_queue_t          queue;        /* in window->order */
    int64_t              expires;
    ngx_int_t            verdict;      /* the caller's */
} ngx_mcp_replay_window_entry_t;


/*
 * Nothing was seen.
 */

void ngx_mcp_replay_window_init(ngx_mcp_replay_window_t *window);

/*
 * Enters a number that expires at "expires", in the clock of
 * window_expire().  NGX_OK: it is new, and the caller sets the verdict of
 * *seen before it enters another; NGX_DONE: *seen is what was decided before;
 * NGX_DECLINED: too old to know; NGX_ERROR: no memory.  *seen belongs to the
 * window.
 */

ngx_int_t ngx_mcp_replay_window_enter(ngx_mcp_replay_window_t *window,
    uint64_t number, int64_t expires, ngx_mcp_replay_window_entry_t **seen,
    ngx_log_t *log);

/*
 * Forgets what has expired.
 */

void ngx_mcp_replay_window_expire(ngx_mcp_replay_window_t *window,
    int64_t now);


#endif /* _NGX_MCP_REPLAY_WINDOW_H_INCLUDED_ */

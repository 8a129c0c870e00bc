
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Anti-replay window of a sender (RFC 4303, 3.4.3): no message of a sender
 * runs twice.
 *
 * A number is decided once; a repeated one gets the same acknowledgement.  An
 * expired number is removed, and the floor, the lower edge of the window,
 * rises to it: numbers at or below the floor are refused.  Times are those of
 * this process, since the clock that a sender names may be replaced.
 */

#ifndef _NGX_MCP_REPLAY_WINDOW_H_INCLUDED_
#define _NGX_MCP_REPLAY_WINDOW_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


typedef struct {
    ngx_rbtree_t         seen;
    ngx_rbtree_node_t    sentinel;
    ngx_queue_t          order;        /* of arrival */
    uint64_t             floor;        /* lower edge: these are refused */
} ngx_mcp_replay_window_t;


typedef struct {
    ngx_rbtree_node_t    node;         /* key: number */
    ngx_queue_t          queue;        /* in window->order */
    ngx_msec_t           expires;      /* of ngx_current_msec */
    ngx_uint_t           ack;          /* set by the caller; 0: none */
} ngx_mcp_replay_window_entry_t;


/*
 * Initializes a window in which no number was seen.
 */

void ngx_mcp_replay_window_init(ngx_mcp_replay_window_t *window);

/*
 * Enters a number that expires at "expires" (as ngx_current_msec).  Returns
 * NGX_OK if it is new: the caller sets (*seen)->ack before it enters another;
 * NGX_DONE if it was seen: *seen has what was decided; NGX_DECLINED if it is
 * below the window and unknown; NGX_ERROR if memory is short.  *seen is owned
 * by the window.
 */

ngx_int_t ngx_mcp_replay_window_enter(ngx_mcp_replay_window_t *window,
    uint64_t number, ngx_msec_t expires, ngx_mcp_replay_window_entry_t **seen,
    ngx_log_t *log);

/*
 * Returns what was decided of a number, owned by the window; NULL if it is not
 * known.
 */

ngx_mcp_replay_window_entry_t *ngx_mcp_replay_window_find(
    ngx_mcp_replay_window_t *window, uint64_t number);

/*
 * Removes the entries that have expired at "now" (as ngx_current_msec), in the
 * order of their arrival; removes all.
 */

void ngx_mcp_replay_window_expire(ngx_mcp_replay_window_t *window,
    ngx_msec_t now);
void ngx_mcp_replay_window_clear(ngx_mcp_replay_window_t *window);


#endif /* _NGX_MCP_REPLAY_WINDOW_H_INCLUDED_ */

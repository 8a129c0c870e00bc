
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * The sessions of this worker that have a stream, by their site and user, as
 * Frappe names them.
 */

#ifndef _NGX_MCP_RECEIVERS_H_INCLUDED_
#define _NGX_MCP_RECEIVERS_H_INCLUDED_


#include "ngx_mcp_siphash.h"
#include "ngx_mcp.h"


/* those of one site; freed with the last of them */

typedef struct {
    ngx_rbtree_node_t         node;
    u_char                    hash[NGX_MCP_SIPHASH_LEN];
    ngx_str_t                 name;        /* behind this struct */
    ngx_queue_t               receivers;   /* the oldest first */
    ngx_rbtree_t              users;       /* the same, by their users */
    ngx_rbtree_node_t         sentinel;
} ngx_mcp_receivers_site_t;


/* s->receiver: owned by its session */

struct ngx_mcp_receiver_s {
    ngx_rbtree_node_t         node;        /* in site->users */
    u_char                    hash[NGX_MCP_SIPHASH_LEN];
    ngx_queue_t               queue;       /* in site->receivers */
    ngx_mcp_receivers_site_t *site;
    ngx_mcp_session_t        *session;

    /* see session/ngx_mcp_list_changed.c */

    ngx_mcp_timer_t           timer;       /* set if "changed" */
    ngx_msec_t                told;        /* the last time; 0: never */
    ngx_uint_t                changed;     /* bits: kinds not told yet */
};


/*
 * In init_process.  Returns NGX_OK, or NGX_ERROR: there are no random bytes.
 */

ngx_int_t ngx_mcp_receivers_init(void);

/*
 * Enters a session by its events_site and user and sets s->receiver.  Returns
 * NGX_OK, or NGX_ERROR if memory is short.
 */

ngx_int_t ngx_mcp_receivers_enter(ngx_mcp_session_t *s);

/*
 * Removes and frees s->receiver, whose timer is not set.
 */

void ngx_mcp_receivers_leave(ngx_mcp_session_t *s);

/*
 * Return the oldest receiver of that site and user, or of all users if "user"
 * is NULL; the next one of the same site, and of the same user if "by_user" is
 * set; or NULL.
 */

ngx_mcp_receiver_t *ngx_mcp_receivers_find(ngx_str_t *site, ngx_str_t *user);
ngx_mcp_receiver_t *ngx_mcp_receivers_next(ngx_mcp_receiver_t *r,
    ngx_uint_t by_user);


#endif /* _NGX_MCP_RECEIVERS_H_INCLUDED_ */


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


/*
 * s->receiver: owned by its session.  When the stream of that is lost it stays
 * for mcp_sse_grace, without a session, and its timer frees it.
 */

struct ngx_mcp_receiver_s {
    ngx_rbtree_node_t         node;        /* in site->users */
    u_char                    hash[NGX_MCP_SIPHASH_LEN];
    ngx_queue_t               queue;       /* in site->receivers */
    ngx_mcp_receivers_site_t *site;
    ngx_mcp_session_t        *session;     /* NULL: its stream was lost */
    ngx_str_t                 user;        /* behind this struct */

    /* see session/ngx_mcp_list_changed.c */

    ngx_mcp_timer_t           timer;       /* set if "changed", or if lost */
    ngx_uint_t                changed;     /* bits: kinds not told yet */
    ngx_msec_t                told;        /* the last time; 0: never */

    /* if its stream was lost */

    ngx_uint_t                tombstone;   /* its number */
    u_char                    key[NGX_MCP_DIGEST_LEN];
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
 * Removes and frees a receiver, whose timer is not set.
 */

void ngx_mcp_receivers_leave(ngx_mcp_receiver_t *r);

/*
 * Return the oldest receiver of that site and user, or of all users if "user"
 * is NULL; the next one of the same site, and of the same user if "by_user" is
 * set; or NULL.
 */

ngx_mcp_receiver_t *ngx_mcp_receivers_find(ngx_str_t *site, ngx_str_t *user);
ngx_mcp_receiver_t *ngx_mcp_receivers_next(ngx_mcp_receiver_t *r,
    ngx_uint_t by_user);


#endif /* _NGX_MCP_RECEIVERS_H_INCLUDED_ */

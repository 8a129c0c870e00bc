
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Records of what sessions have asked for, in the zone, and which of them go
 * when there is no room.  For ngx_mcp_subscriptions.c.
 */

#ifndef _NGX_MCP_SUBSCRIPTIONS_RECORD_H_INCLUDED_
#define _NGX_MCP_SUBSCRIPTIONS_RECORD_H_INCLUDED_


#include "ngx_mcp_subscriptions.h"


/* the records of a user; freed with the last of them */

typedef struct {
    ngx_rbtree_node_t              node;    /* in root->subscriptions_users */
    u_char                         key[NGX_MCP_DIGEST_LEN];
    ngx_queue_t                    records; /* used last first */
    size_t                         size;    /* bytes of these */
} ngx_mcp_subscriptions_user_t;


typedef struct {
    ngx_rbtree_node_t              node;    /* in root->subscriptions */
    u_char                         key[NGX_MCP_DIGEST_LEN];
    ngx_rbtree_node_t              end;     /* in root->subscriptions_ends */
    ngx_msec_t                     until;   /* kept until then at least */
    ngx_queue_t                    queue;   /* in root->subscriptions_used */
    ngx_queue_t                    siblings; /* in user->records */
    ngx_mcp_subscriptions_user_t  *user;
    ngx_uint_t                     level;   /* UNKNOWN: not set */
    ngx_mcp_subscriptions_uri_t   *uris;    /* or NULL */
    ngx_uint_t                     nuris;
    ngx_uint_t                     room;    /* for URIs */
} ngx_mcp_subscriptions_t;


/*
 * Return the record of the session, or NULL; the same, or a new one that says
 * nothing, or NULL if there is no room.
 */

ngx_mcp_subscriptions_t *ngx_mcp_subscriptions_record_find_locked(
    ngx_mcp_zone_t *zone, u_char *key);
ngx_mcp_subscriptions_t *ngx_mcp_subscriptions_record_make_locked(
    ngx_mcp_zone_t *zone, u_char *key, u_char *user, time_t expires);

/*
 * Makes room for "size" more bytes of the record: others go.  Returns NGX_OK or
 * NGX_BUSY.
 */

ngx_int_t ngx_mcp_subscriptions_record_room_locked(ngx_mcp_zone_t *zone,
    ngx_mcp_subscriptions_t *record, size_t size);

/*
 * The record has "size" more bytes.
 */

void ngx_mcp_subscriptions_record_count_locked(ngx_mcp_zone_t *zone,
    ngx_mcp_subscriptions_t *record, ssize_t size);

/*
 * The record is used: it goes last when there is no room.
 */

void ngx_mcp_subscriptions_record_used_locked(ngx_mcp_zone_t *zone,
    ngx_mcp_subscriptions_t *record);

/*
 * Frees a record, and that of its user with the last of his.
 */

void ngx_mcp_subscriptions_record_free_locked(ngx_mcp_zone_t *zone,
    ngx_mcp_subscriptions_t *record);


#endif /* _NGX_MCP_SUBSCRIPTIONS_RECORD_H_INCLUDED_ */


/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * What clients of the older era have asked of sessions, in the zone: the level
 * of log messages, and the resources whose updates they want, as digests of
 * their URIs.
 */

#ifndef _NGX_MCP_SUBSCRIPTIONS_H_INCLUDED_
#define _NGX_MCP_SUBSCRIPTIONS_H_INCLUDED_


#include "ngx_mcp_zone.h"
#include "ngx_mcp_log_level.h"


#define NGX_MCP_SUBSCRIPTIONS_MAX  100   /* URIs of a session */


/* 20 bytes: those of a session fit into 2048, a size of the slab allocator */

typedef struct {
    u_char      digest[NGX_MCP_DIGEST_LEN];
    uint32_t    checked;         /* the backend has read it; in seconds of
                                    ngx_current_msec */
} ngx_mcp_subscriptions_uri_t;


/* all that a session has asked for */

typedef struct {
    ngx_uint_t                   level;   /* ngx_mcp_log_level_e; UNKNOWN: not
                                             asked */
    ngx_uint_t                   nuris;
    ngx_mcp_subscriptions_uri_t  uris[NGX_MCP_SUBSCRIPTIONS_MAX];
} ngx_mcp_subscriptions_all_t;


/*
 * "key" is that of a session, "user" the digest of ngx_mcp_session_user(),
 * "uri" the first NGX_MCP_DIGEST_LEN bytes of SHA-256 of the decoded URI;
 * "expires" in unix seconds: the end of the session id.
 *
 * The first two return NGX_OK, or NGX_BUSY: the session has
 * NGX_MCP_SUBSCRIPTIONS_MAX URIs, or there is no room.  All records take at
 * most 1/16 of the zone, those of a user at most 1/8 of that; for a new one
 * those go that were not used for the longest time, of the same user or of all,
 * unless their sessions have a stream.  A URI that is added again was checked
 * again.
 */

ngx_int_t ngx_mcp_subscriptions_level(u_char *key, u_char *user,
    time_t expires, ngx_uint_t level);
ngx_int_t ngx_mcp_subscriptions_add(u_char *key, u_char *user, time_t expires,
    u_char *uri);
void ngx_mcp_subscriptions_remove(u_char *key, u_char *uri);

/*
 * The record becomes what "all" says, as far as there is room, or goes if that
 * is nothing; copies it to "all", and returns NGX_OK, or NGX_DECLINED if there
 * is no record.
 */

void ngx_mcp_subscriptions_put(u_char *key, u_char *user, time_t expires,
    ngx_mcp_subscriptions_all_t *all);
ngx_int_t ngx_mcp_subscriptions_get(u_char *key,
    ngx_mcp_subscriptions_all_t *all);

/* the session has ended */

void ngx_mcp_subscriptions_forget(u_char *key);

/*
 * Removes records of sessions that have expired.
 */

void ngx_mcp_subscriptions_expire_locked(ngx_mcp_zone_t *zone);

/*
 * Return whether there is a record; whether a message of that level
 * (ngx_mcp_log_level_e) is wanted, by default each.
 */

ngx_uint_t ngx_mcp_subscriptions_known(u_char *key);
ngx_uint_t ngx_mcp_subscriptions_wants(u_char *key, ngx_uint_t level);

/*
 * Returns NGX_OK if the session has subscribed to the URI, and how long ago it
 * was checked; NGX_DECLINED if it has not; NGX_BUSY: and has no room for it.
 */

ngx_int_t ngx_mcp_subscriptions_find(u_char *key, u_char *uri,
    ngx_msec_t *age);


#endif /* _NGX_MCP_SUBSCRIPTIONS_H_INCLUDED_ */

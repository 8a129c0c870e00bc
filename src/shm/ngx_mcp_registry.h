
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Session registry in shared memory: owners, limits per user.
 */

#ifndef _NGX_MCP_REGISTRY_H_INCLUDED_
#define _NGX_MCP_REGISTRY_H_INCLUDED_


#include "ngx_mcp_zone.h"


/*
 * "max" for a session that recovery registers again: its user's limit was
 * checked when the session was opened.
 */

#define NGX_MCP_REGISTRY_REENTER  ((ngx_uint_t) -1)


/*
 * Registers a session of this worker and sets s->record.  A legacy session of
 * the same id is replaced, its tombstone is removed.  Of the streams of a
 * session of Streamable HTTP the oldest is replaced if there are too many.  A
 * legacy session without s->sink.asks inherits that of the earlier one.  If
 * the user with the key "user"
 * (NGX_MCP_DIGEST_LEN bytes) has "max" sessions, one that may be ended is
 * evicted.  Returns
 *
 *     NGX_OK        registered; s->record is NULL if the zone is DIRTY, and
 *                   recovery registers the session
 *     NGX_BUSY      the user has too many sessions
 *     NGX_DECLINED  the zone is full
 *     NGX_ABORT     with NGX_MCP_REGISTRY_REENTER: the id has a newer session
 */

ngx_int_t ngx_mcp_registry_enter(ngx_mcp_session_t *s, u_char *user,
    ngx_uint_t max);

/*
 * Notes s->sink.asks in the record of the session, for the next one of its id.
 */

void ngx_mcp_registry_asks(ngx_mcp_session_t *s);

/*
 * Checks whether the user may have one more session.  Returns NGX_OK or
 * NGX_BUSY.
 */

ngx_int_t ngx_mcp_registry_limit(u_char *user, ngx_uint_t max);

/*
 * Returns whether the record of a session of this worker is the only one with
 * its key.
 */

ngx_uint_t ngx_mcp_registry_is_alone(ngx_mcp_session_t *s);

/*
 * Notes that "n" messages for the session with that key, if it is open, came by
 * another way than its inbox: a session in use is not evicted.
 */

void ngx_mcp_registry_active(u_char *key, ngx_uint_t n);
void ngx_mcp_registry_active_locked(ngx_mcp_zone_t *zone, u_char *key,
    ngx_uint_t n);

/*
 * Returns whether a legacy session with that key is open and its credential has
 * that digest: the newest one that ngx_mcp_registry_renew() got, or the one
 * that it was opened with.
 */

ngx_uint_t ngx_mcp_registry_is_credential(u_char *key, u_char *credential);

/*
 * The open session with that key, and each of its streams, takes over a good
 * credential of its user, unless it has it or had it just before: requests may
 * overtake each other.  The value is copied; a full zone changes nothing.
 */

void ngx_mcp_registry_renew(u_char *key, ngx_mcp_credential_t *cred);

/*
 * Returns NGX_OK and the credential that a session of this worker is to take
 * over, whose value the caller frees with ngx_free(); NGX_DECLINED if there is
 * none.
 */

ngx_int_t ngx_mcp_registry_renewed(ngx_mcp_session_t *s,
    ngx_mcp_credential_t *cred);

/*
 * Return the record with that key, of several streams the first one, or NULL;
 * the next stream of the session, or NULL.  Unlink and free a record, whose
 * inbox must be empty; let a session count for its user no longer, who is freed
 * if it has no other session.
 */

ngx_mcp_session_record_t *ngx_mcp_registry_find_locked(ngx_mcp_zone_t *zone,
    u_char *key);
ngx_mcp_session_record_t *ngx_mcp_registry_next_locked(ngx_mcp_zone_t *zone,
    ngx_mcp_session_record_t *record);
void ngx_mcp_registry_free_locked(ngx_mcp_zone_t *zone,
    ngx_mcp_session_record_t *record);
void ngx_mcp_registry_unlink_user_locked(ngx_mcp_zone_t *zone,
    ngx_mcp_session_record_t *record);


#endif /* _NGX_MCP_REGISTRY_H_INCLUDED_ */

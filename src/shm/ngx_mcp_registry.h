
/*
 * Sessions in the zone: who owns them, how many a user has, what is left of
 * a lost one.
 */

#ifndef _NGX_MCP_REGISTRY_H_INCLUDED_
#define _NGX_MCP_REGISTRY_H_INCLUDED_


#include "ngx_mcp_zone.h"


/* "max" of a session that was in a damaged zone: it has its place */

#define NGX_MCP_REGISTRY_REENTER  ((ngx_uint_t) -1)


/*
 * Enters a session, which replaces one of the same id and takes over its
 * tombstone.  If the user has "max" sessions already, one that may be ended
 * is.  NGX_OK; NGX_BUSY: too many sessions; NGX_DECLINED: zone full.  A zone
 * that is damaged takes it later: NGX_OK, and no record yet.  One that was in
 * such a zone does not replace a newer one: NGX_ABORT.
 */

ngx_int_t ngx_mcp_registry_enter(ngx_mcp_session_t *s, u_char *user,
    ngx_uint_t max);

/*
 * Whether a user may have one more session: NGX_OK or NGX_BUSY.
 */

ngx_int_t ngx_mcp_registry_limit(u_char *user, ngx_uint_t max);

/*
 * Takes a session out.  What is still in its inbox goes to owner->receive()
 * before the function returns; afterwards nobody can append.  If "grace" is
 * not 0, a tombstone stays for that time.
 */

void ngx_mcp_registry_leave(ngx_mcp_session_t *s, ngx_msec_t grace);

/*
 * Messages for the session with that key, if it is open, came by another way
 * than its inbox: it is in use.
 */

void ngx_mcp_registry_active(u_char *key, ngx_uint_t n);

/*
 * Whether a session with that key is open, and was opened with that
 * credential.
 */

ngx_uint_t ngx_mcp_registry_opened_with(u_char *key, u_char *credential);

/*
 * Under the mutex: the record with that key, or NULL; frees tombs whose time
 * is over; frees a record, whose inbox must be empty, wherever it stands.
 */

ngx_mcp_session_record_t *ngx_mcp_registry_find_locked(ngx_mcp_zone_t *zone,
    u_char *key);
void ngx_mcp_registry_expire_locked(ngx_mcp_zone_t *zone);
void ngx_mcp_registry_free_locked(ngx_mcp_zone_t *zone,
    ngx_mcp_session_record_t *record);


#endif /* _NGX_MCP_REGISTRY_H_INCLUDED_ */


/*
 * The inboxes of sessions, in the zone.
 */

#ifndef _NGX_MCP_INBOX_H_INCLUDED_
#define _NGX_MCP_INBOX_H_INCLUDED_


#include "ngx_mcp_zone.h"


/*
 * Puts a copy of the envelope into the inbox of the session with that key
 * and wakes its owner.
 *
 * NGX_OK: the owner was alive and has it; NGX_AGAIN: its stream was lost and
 * may come back; NGX_DECLINED: no such session; NGX_BUSY: inbox full;
 * NGX_ERROR: zone full.
 */

ngx_int_t ngx_mcp_inbox_deliver(u_char *key, ngx_mcp_envelope_t *env,
    ngx_log_t *log);

/*
 * The same capacity rules for a message that needs no copy, since its owner
 * is this worker: NGX_OK or NGX_BUSY.
 */

ngx_int_t ngx_mcp_inbox_accept(ngx_mcp_session_t *s, ngx_mcp_envelope_t *env);

/*
 * A message of an accepted envelope was started, or needs no start.
 */

void ngx_mcp_inbox_started(ngx_mcp_session_t *s, ngx_mcp_envelope_t *env);

/*
 * Under the mutex: moves a session's inbox to this worker's taken list.
 * Then, without it: hands what is taken to the session, which may be NULL,
 * and frees it; NGX_ERROR if memory was short and something is lost, so that
 * the session must end.
 */

void ngx_mcp_inbox_take_locked(ngx_mcp_session_record_t *record);
ngx_int_t ngx_mcp_inbox_hand_over(ngx_mcp_zone_t *zone, ngx_mcp_session_t *s);

/*
 * Under the mutex: the same, at once, for a session whose record is in a
 * damaged zone, and is not changed; NGX_ERROR if something is lost.
 */

ngx_int_t ngx_mcp_inbox_rescue_locked(ngx_mcp_zone_t *zone,
    ngx_mcp_session_t *s);

/*
 * Under the mutex: frees a list of entries.
 */

void ngx_mcp_inbox_free_locked(ngx_mcp_zone_t *zone, ngx_queue_t *entries);


#endif /* _NGX_MCP_INBOX_H_INCLUDED_ */

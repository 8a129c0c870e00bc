
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * The inboxes of sessions in shared memory: messages on their way to the owner
 * of a session.
 */

#ifndef _NGX_MCP_INBOX_H_INCLUDED_
#define _NGX_MCP_INBOX_H_INCLUDED_


#include "ngx_mcp_zone.h"


/*
 * Puts a copy of the envelope into the inbox of the session with that key
 * (NGX_MCP_DIGEST_LEN bytes) and wakes the owner.  The caller keeps the
 * envelope.  Returns
 *
 *     ACCEPTED     the owner is alive and gets the message
 *     STREAM_LOST  the stream of the session was lost and may come back, or
 *                  the zone is not READY
 *     NO_SESSION   no such session
 *     INBOX_FULL   the inbox is full
 *     ZONE_FULL    the zone is full
 */

ngx_mcp_delivery_e ngx_mcp_inbox_deliver(u_char *key, ngx_mcp_envelope_t *env,
    ngx_log_t *log);

/*
 * Counts a message for a session of this worker, which needs no copy.  The
 * limits of the inbox apply.  Returns ACCEPTED or INBOX_FULL.  "s" has a
 * record.
 */

ngx_mcp_delivery_e ngx_mcp_inbox_accept(ngx_mcp_session_t *s,
    ngx_mcp_envelope_t *env);

/*
 * Notes that a message of an accepted envelope was started, or needs no start:
 * it does not count for the limits of the inbox any more.
 */

void ngx_mcp_inbox_started(ngx_mcp_session_t *s, ngx_mcp_envelope_t *env);

/*
 * The messages of a session without a record that were not started become those
 * of another session of this worker.
 */

void ngx_mcp_inbox_move(ngx_mcp_session_t *from, ngx_mcp_session_t *to);

/*
 * Take an inbox in two steps.  ngx_mcp_inbox_take_locked() moves all entries of
 * an inbox to the list "taken" of this worker.  ngx_mcp_inbox_hand_over() gives
 * a copy of each to the session, by ngx_mcp_sessions_receive(), and frees the
 * entries; with "s" NULL it frees them only.  A message
 * for which there is no memory is answered, see ngx_mcp_inbox_lost().  Returns
 * NGX_OK, or NGX_ERROR if there was no memory for that: the session must end.
 */

void ngx_mcp_inbox_take_locked(ngx_mcp_session_record_t *record);
ngx_int_t ngx_mcp_inbox_hand_over(ngx_mcp_zone_t *zone, ngx_mcp_session_t *s);

/*
 * The same in one step, for recovery: gives a copy of each entry to the session
 * and changes nothing in the old pool.  Returns NGX_OK, or NGX_ERROR if a
 * message is lost.
 */

ngx_int_t ngx_mcp_inbox_rescue_locked(ngx_mcp_zone_t *zone,
    ngx_mcp_session_t *s);

/*
 * Frees all entries of a list.
 */

void ngx_mcp_inbox_free_locked(ngx_mcp_zone_t *zone, ngx_queue_t *entries);


#endif /* _NGX_MCP_INBOX_H_INCLUDED_ */

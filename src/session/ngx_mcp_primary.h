
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Which of several GET streams of a session of Streamable HTTP is the primary
 * one, that gets what Frappe publishes: MCP 2025-11-25, Transports: "send each
 * message on only one of the connected streams".
 *
 * The role belongs to a worker: the one whose claim came last on the channel
 * "<channel>:primary", which all workers of all instances have subscribed to.
 * Redis passes on claims and messages in one order, so that exactly one worker
 * has the role when a message comes, and no other one.  In that worker the
 * newest stream of the session is the primary one; it changes there without a
 * claim.
 *
 * When a second stream opens at another worker, it claims the role.  Until its
 * claim comes back from Redis, the first stream is the primary one: it sends
 * what was published before the claim, and loses the role when the claim
 * arrives; the second one has the role from the same place in that order on.
 * So nothing is lost or sent twice, however late one of them reads.  A message
 * may wait for its turn while claims arrive: messages have numbers, and a
 * stream remembers for which of them it has had the role.
 *
 * The claim is sent before the stream opens, so that it comes before what is
 * published because of the stream.  Without mcp_sse_redis a stream that has the
 * only record of its session in the zone has the role without waiting.
 *
 * When the last stream of the session at that worker ends, the worker releases
 * the role, and all others that have a stream claim it.  What is published
 * until then is lost, as what is on the way to a stream that ends.  It does so
 * only if it knows of others, by the zone or because it has heard them: the end
 * of a stream costs nothing in most cases, nor do 10,000 at a reload.
 *
 * If the worker has died, nothing is released.  So a worker without the role
 * asks a second after a claim and then every 30 seconds, and claims the role if
 * nobody answers for 4 seconds.  The role is not taken from a stream that lives
 * for one whose client has gone without a word.  Only sessions with streams at
 * two workers cost anything: two small messages in 30 seconds.
 *
 * A worker that has lost Redis has no role until it is up again and its claims,
 * 200 in 10 ms, have come back: others may have claimed meanwhile.
 */

#ifndef _NGX_MCP_PRIMARY_H_INCLUDED_
#define _NGX_MCP_PRIMARY_H_INCLUDED_


#include "ngx_mcp_session.h"


/*
 * A session is registered and its stream will open; has closed, or did not
 * open.  Both do nothing without mcp_sse_events and for another stream than a
 * GET; the second may be called without the first, and twice.  The first
 * returns NGX_OK, or NGX_ERROR if memory is short.
 */

ngx_int_t ngx_mcp_primary_enter(ngx_mcp_session_t *s);
void ngx_mcp_primary_leave(ngx_mcp_session_t *s);

/*
 * A message for sessions has come: returns its number.
 */

ngx_uint_t ngx_mcp_primary_message(void);

/*
 * Returns whether the stream of the session sends the message with that number:
 * it was primary when the message came, or is no GET stream.
 */

ngx_uint_t ngx_mcp_primary_sends(ngx_mcp_session_t *s, ngx_uint_t number);

/* handlers of ngx_mcp_events_user_t */

void ngx_mcp_primary_up(void);
void ngx_mcp_primary_lost(void);
void ngx_mcp_primary_claimed(ngx_str_t *bytes);


#endif /* _NGX_MCP_PRIMARY_H_INCLUDED_ */


/*
 * A message for a session of another instance: finds its owner, sends it the
 * message, and waits for the owner's verdict.
 */

#ifndef _NGX_MCP_REMOTE_SEND_H_INCLUDED_
#define _NGX_MCP_REMOTE_SEND_H_INCLUDED_


#include "ngx_mcp_redis.h"


/* what an owner says; the numbers are on the wire */

#define NGX_MCP_ACK_ACCEPTED     1
#define NGX_MCP_ACK_FULL         2
#define NGX_MCP_ACK_UNKNOWN      3
#define NGX_MCP_ACK_STREAM_LOST  4   /* its stream may come back */
#define NGX_MCP_ACK_WAITING      5   /* accepted; say that you know */

/* of a verdict's body: job, number, verdict */

#define NGX_MCP_ACK_LEN  17

/* of a message's body before the envelope: job, expiry, key, messages */

#define NGX_MCP_REMOTE_SEND_HEAD_LEN  (3 * 8 + NGX_MCP_DIGEST_LEN)

/* an owner and a producer may differ by that much in the time of Redis, ms */

#define NGX_MCP_REMOTE_SEND_GUARD_MS  250


/*
 * Sends it off.  NGX_DONE: d->handler runs later, once, unless
 * delivery_forget() is called, with
 *
 *     NGX_OK        the owner has it
 *     NGX_BUSY      the owner has no room for it
 *     NGX_DECLINED  there is no such session
 *     NGX_AGAIN     not now, and it was not run: try again; d->maybe_alive,
 *                   unless the session has no stream at the moment
 *     NGX_ABORT     no answer until d->deadline; d->maybe_executed, if it may
 *                   have been run
 *
 * or NGX_AGAIN or NGX_ABORT at once, when Redis is lost since a moment or
 * for long; NGX_ERROR if memory is short.  The envelope is the caller's and
 * is not needed after the handler.
 */

ngx_int_t ngx_mcp_remote_send_start(ngx_mcp_remote_send_t *d);

/*
 * Whoever wanted to know is gone.
 */

void ngx_mcp_remote_send_cancel(ngx_mcp_remote_send_t *d);

/*
 * A verdict has come.
 */

void ngx_mcp_remote_send_ack(ngx_mcp_packet_received_t *received);


#endif /* _NGX_MCP_REMOTE_SEND_H_INCLUDED_ */

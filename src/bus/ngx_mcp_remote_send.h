
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Sends a message to the instance that has its session and waits for the
 * acknowledgement.
 */

#ifndef _NGX_MCP_REMOTE_SEND_H_INCLUDED_
#define _NGX_MCP_REMOTE_SEND_H_INCLUDED_


#include "ngx_mcp_redis.h"


/*
 * The body of NGX_MCP_PACKET_MESSAGE: number of the attempt 8, expiry 8 (time
 * of Redis, milliseconds), master whose time that is 8, key of the session,
 * number of messages 8, envelope.
 */

#define NGX_MCP_REMOTE_HEAD_LEN  (4 * 8 + NGX_MCP_DIGEST_LEN)

/*
 * The body of NGX_MCP_PACKET_ACK: number of the attempt 8, number of the
 * packet 8, acknowledgement 1.
 */

#define NGX_MCP_ACK_LEN  17

/* acknowledgements; the values are on the wire */

#define NGX_MCP_ACK_ACCEPTED     1
#define NGX_MCP_ACK_FULL         2
#define NGX_MCP_ACK_UNKNOWN      3
#define NGX_MCP_ACK_STREAM_LOST  4
#define NGX_MCP_ACK_WAITING      5   /* accepted; the sender confirms this */

/* tolerated difference between the clocks of two instances */

#define NGX_MCP_REMOTE_GUARD_MS  250


typedef void (*ngx_mcp_remote_send_pt)(void *data, ngx_mcp_delivery_e rc);


/*
 * Starts an attempt to deliver the envelope to the session with that key
 * (NGX_MCP_DIGEST_LEN bytes) in another instance.
 *
 * Returns PENDING and sets *attempt; later handler runs once, unless the
 * attempt is cancelled before.  *attempt is invalid when handler runs.  The
 * key and the envelope are the caller's and must stay until then.  The handler
 * gets
 *
 *     ACCEPTED, INBOX_FULL   from the owner of the session
 *     NO_SESSION             no instance has it
 *     STREAM_LOST, RETRY     not executed, may be tried again
 *     UNREACHABLE            no worker has received it by the deadline
 *     UNACKNOWLEDGED         it was sent and not acknowledged
 *     ERROR                  no memory
 *
 * "question" is the number of the question to Redis that another attempt for
 * the same session has asked, or 0; if it is not answered yet, its answer is
 * that of this one, too, and messages are sent in the order of their attempts.
 * *question is set to the number of the one that was asked or joined.
 *
 * Or returns an outcome at once, and handler does not run: NO_SESSION without
 * mcp_sse_redis, RETRY or, after some time, UNREACHABLE while Redis is lost,
 * ERROR without memory.
 */

ngx_mcp_delivery_e ngx_mcp_remote_send(ngx_mcp_remote_send_t **attempt,
    u_char *key, ngx_mcp_envelope_t *env, ngx_msec_t deadline,
    ngx_mcp_remote_send_pt handler, void *data, ngx_uint_t *question);

/*
 * Ends an attempt without running its handler.  Returns PENDING, or SENT if
 * the message may have been executed.
 */

ngx_mcp_delivery_e ngx_mcp_remote_send_cancel(ngx_mcp_remote_send_t *attempt);

/*
 * Handles an acknowledgement.
 */

void ngx_mcp_remote_send_acked(ngx_mcp_packet_received_t *received);

/*
 * The acknowledgement (NGX_MCP_ACK_*) of a delivery with that outcome.
 */

ngx_uint_t ngx_mcp_remote_send_ack(ngx_mcp_delivery_e rc);


#endif /* _NGX_MCP_REMOTE_SEND_H_INCLUDED_ */

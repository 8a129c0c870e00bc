
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Sealed packets between the workers of all instances.
 *
 * A packet is
 *
 *     version 1 | type 1 | key 4 | sender 16 | receiver 16 | number 8
 *     | body, AES-256-GCM | tag 16
 *
 * with sizes in bytes.  "key" identifies the line of mcp_sse_key that sealed
 * it.  Sender and receiver are ids of workers.  The tag covers everything
 * before the body as well.
 *
 * The encryption key is derived from that line and the id of the sender, which
 * is random and new in each process.  The number is the sender's counter and
 * the nonce.  The receiver is authenticated, so that a packet for one worker
 * cannot be replayed to another.  In an announcement the receiver is zero.
 */

#ifndef _NGX_MCP_PACKET_H_INCLUDED_
#define _NGX_MCP_PACKET_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_mcp_cipher.h"
#include "ngx_mcp_replay_window.h"


#define NGX_MCP_PACKET_ID_LEN      16     /* bytes: 128 random bits */
#define NGX_MCP_PACKET_HEADER_LEN  46     /* bytes before the body */


/* types of packets; the numbers are on the wire */

#define NGX_MCP_PACKET_PROBE         0   /* to the sender itself, not sealed */
#define NGX_MCP_PACKET_MESSAGE       1
#define NGX_MCP_PACKET_ACK           2
#define NGX_MCP_PACKET_REPLACED      3
#define NGX_MCP_PACKET_ANNOUNCE      4   /* to all workers */
#define NGX_MCP_PACKET_ACK_RECEIVED  5   /* confirms an ACK */


/* a worker that has sent an authentic packet; owned by ngx_mcp_packet.c */

typedef struct {
    ngx_rbtree_node_t            node;
    ngx_queue_t                  queue;    /* most recent first */
    u_char                       id[NGX_MCP_PACKET_ID_LEN];
    u_char                       key_id[4];
    u_char                       key[NGX_MCP_CIPHER_KEY_LEN];
    ngx_mcp_replay_window_t      window;
    ngx_mcp_replay_window_t      announce_window; /* which expire sooner */
} ngx_mcp_packet_sender_t;


/* a packet to send, one block of memory; the caller frees it */

typedef struct {
    uint64_t                     number;   /* set when it is sealed */
    size_t                       size;     /* of data */
    u_char                      *body;     /* in data; the caller fills it */
    u_char                       data[1];
} ngx_mcp_packet_t;


/* a packet that was received; points into the caller's bytes */

typedef struct {
    ngx_uint_t                   type;
    uint64_t                     number;
    ngx_str_t                    body;
    ngx_mcp_packet_sender_t     *sender;
} ngx_mcp_packet_received_t;


/*
 * In init_process: takes the id of this worker, "self", and the lines of
 * mcp_sse_key, "secrets" (of ngx_str_t); the first seals, all open.  Both must
 * stay valid for the life of the process.  Returns NGX_OK, or NGX_ERROR if
 * memory is short or OpenSSL fails.
 */

ngx_int_t ngx_mcp_packet_init(u_char *self, ngx_array_t *secrets,
    ngx_log_t *log);

/*
 * Allocates a packet with room for "len" bytes of body.  The caller frees it
 * by ngx_free().  Returns NULL if memory is short.
 */

ngx_mcp_packet_t *ngx_mcp_packet_alloc(size_t len, ngx_log_t *log);

/*
 * Gives a packet the next number and seals it in place.  May be called once
 * only for a packet.  The receiver of an announcement is NULL.  Returns NGX_OK
 * or NGX_ERROR.
 */

ngx_int_t ngx_mcp_packet_seal(ngx_mcp_packet_t *packet, ngx_uint_t type,
    u_char *receiver);

/*
 * Writes a probe, NGX_MCP_PACKET_HEADER_LEN bytes, to "data".
 */

void ngx_mcp_packet_probe(u_char *data);

/*
 * Opens a packet in place and fills "received".  Returns NGX_OK; NGX_DONE for
 * a probe, which has no body; NGX_DECLINED if the packet was not sealed with a
 * key of mcp_sse_key, by the sender that it names, for this worker; NGX_ERROR
 * if memory is short or OpenSSL fails; NGX_ABORT if it is no packet of this
 * version.
 *
 * Does not check whether the number was seen: the caller enters it into a
 * window of received->sender.
 */

ngx_int_t ngx_mcp_packet_open(ngx_mcp_packet_received_t *received,
    ngx_str_t *data, ngx_log_t *log);

/*
 * Removes the numbers that have expired at "now" (as ngx_current_msec) from the
 * windows of all senders.
 */

void ngx_mcp_packet_expire(ngx_msec_t now);

/*
 * Write and read a number of 8 bytes, big-endian, in a body.  The first
 * returns the position behind it.
 */

u_char *ngx_mcp_packet_put(u_char *p, uint64_t n);
uint64_t ngx_mcp_packet_get(u_char *p);


#endif /* _NGX_MCP_PACKET_H_INCLUDED_ */

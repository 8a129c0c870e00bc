
/*
 * What travels between the workers of all instances, sealed.  A leaf.
 *
 * A packet is
 *
 *     version 1 | type 1 | key 4 | sender 16 | receiver 16 | number 8
 *     | body, AES-256-GCM | tag 16
 *
 * where "key" tells which line of mcp_sse_key was taken, sender and receiver
 * are the ids of workers, and what stands before the body is covered by the
 * tag.  The encrypting key is derived from that line and the sender's id,
 * which is drawn anew in each process; the number is the sender's counter and
 * the nonce.  Since the receiver is part of it, a packet that was meant for
 * one worker can never be given to another; that of news is all zero.
 */

#ifndef _NGX_MCP_PACKET_H_INCLUDED_
#define _NGX_MCP_PACKET_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_mcp_cipher.h"
#include "ngx_mcp_replay_window.h"


#define NGX_MCP_PACKET_ID_LEN      16
#define NGX_MCP_PACKET_HEADER_LEN  46


/* of a packet; the numbers are on the wire */

#define NGX_MCP_PACKET_PROBE         0   /* to oneself, not sealed */
#define NGX_MCP_PACKET_MESSAGE       1
#define NGX_MCP_PACKET_ACK           2
#define NGX_MCP_PACKET_REPLACED      3
#define NGX_MCP_PACKET_ANNOUNCE      4   /* to all */
#define NGX_MCP_PACKET_ACK_RECEIVED  5   /* of a verdict */


/* another worker that has sent something; kept for the life of the process */

typedef struct {
    ngx_rbtree_node_t            node;
    ngx_queue_t                  queue;    /* the one heard last first */
    u_char                       id[NGX_MCP_PACKET_ID_LEN];
    u_char                       key_id[4];
    u_char                       key[NGX_MCP_CIPHER_KEY_LEN];
    ngx_mcp_replay_window_t      window;
    ngx_mcp_replay_window_t      announce_window; /* these expire sooner */
} ngx_mcp_packet_sender_t;


/* one to be sent: a block of its own, the caller's to free */

typedef struct {
    uint64_t                     number;   /* set by packet_seal() */
    size_t                       size;     /* of data */
    u_char                      *body;     /* in data: the caller fills it */
    u_char                       data[1];
} ngx_mcp_packet_t;


/* one that has come: points into the bytes it was read from */

typedef struct {
    ngx_uint_t                   type;
    uint64_t                     number;
    ngx_str_t                    body;
    ngx_mcp_packet_sender_t     *sender;
} ngx_mcp_packet_received_t;


/*
 * In init_process: "self" is this worker's id, "secrets" (of ngx_str_t) the
 * keys, the first of which seals; both must stay.  NGX_OK or NGX_ERROR.
 */

ngx_int_t ngx_mcp_packet_init(u_char *self, ngx_array_t *secrets,
    ngx_log_t *log);

/*
 * A packet with room for "len" bytes of body; ngx_free() it.  NULL if memory
 * is short.
 */

ngx_mcp_packet_t *ngx_mcp_packet_alloc(size_t len, ngx_log_t *log);

/*
 * Gives it the next number and seals it, once.  The receiver of news is
 * NULL.  NGX_OK or NGX_ERROR.
 */

ngx_int_t ngx_mcp_packet_seal(ngx_mcp_packet_t *packet, ngx_uint_t type,
    u_char *receiver);

/*
 * Writes the NGX_MCP_PACKET_HEADER_LEN bytes of a hello.
 */

void ngx_mcp_packet_probe(u_char *data);

/*
 * Opens what has come, in place.  NGX_OK; NGX_DONE: a hello, which says
 * nothing; NGX_DECLINED: not sealed with one of our keys, by its sender, for
 * us; NGX_ERROR: no memory; NGX_ABORT: not a packet of this version.
 */

ngx_int_t ngx_mcp_packet_open(ngx_mcp_packet_received_t *received,
    ngx_str_t *data, ngx_log_t *log);

/*
 * Lets the windows of all senders forget what has expired.
 */

void ngx_mcp_packet_expire(int64_t now);

/*
 * Numbers of a body, big-endian: write one, returns where the next goes;
 * read one.
 */

u_char *ngx_mcp_packet_put(u_char *p, uint64_t n);
uint64_t ngx_mcp_packet_get(u_char *p);


#endif /* _NGX_MCP_PACKET_H_INCLUDED_ */


/*
 * The owner's side of a message that another instance has sent.
 */

#ifndef _NGX_MCP_REMOTE_RECV_H_INCLUDED_
#define _NGX_MCP_REMOTE_RECV_H_INCLUDED_


#include "ngx_mcp_remote_send.h"


/*
 * What the bus does for it: "deliver" is as ngx_mcp_bus_deliver(),
 * "local" finds a session of this worker by its key.
 */

typedef struct {
    ngx_int_t                   (*deliver)(u_char *key,
                                    ngx_mcp_envelope_t *env,
                                    ngx_log_t *log);
    ngx_mcp_session_t          *(*local)(u_char *key);
} ngx_mcp_remote_recv_bus_t;


/*
 * Takes a message and answers its sender.  One that was answered before gets
 * the same answer, and is not looked at again; one that has expired gets
 * none.
 */

void ngx_mcp_remote_recv(ngx_mcp_packet_received_t *received,
    ngx_mcp_remote_recv_bus_t *bus);

/*
 * The sender knows that its message was accepted.
 */

void ngx_mcp_remote_recv_confirmed(ngx_mcp_packet_received_t *received);

/*
 * Forgets messages whose senders have not said so in time.
 */

void ngx_mcp_remote_recv_expire(int64_t now);


#endif /* _NGX_MCP_REMOTE_RECV_H_INCLUDED_ */


/*
 * The owner's side of a message that another instance has sent.
 */

#ifndef _NGX_MCP_REMOTE_RECV_H_INCLUDED_
#define _NGX_MCP_REMOTE_RECV_H_INCLUDED_


#include "ngx_mcp_remote_send.h"


/*
 * Takes a message and answers its sender.  One that was answered before gets
 * the same answer, and is not looked at again; one that has expired gets
 * none.
 */

void ngx_mcp_remote_recv(ngx_mcp_packet_received_t *received);

/*
 * The sender knows that its message was accepted.
 */

void ngx_mcp_remote_recv_confirmed(ngx_mcp_packet_received_t *received);

/*
 * Forgets messages whose senders have not said so in time.
 */

void ngx_mcp_remote_recv_expire(int64_t now);


#endif /* _NGX_MCP_REMOTE_RECV_H_INCLUDED_ */

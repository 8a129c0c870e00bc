
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Receives messages of other instances for sessions of this one.
 */

#ifndef _NGX_MCP_REMOTE_RECV_H_INCLUDED_
#define _NGX_MCP_REMOTE_RECV_H_INCLUDED_


#include "ngx_mcp_remote_send.h"


/*
 * Delivers a message and acknowledges it.  A message that was received before
 * is acknowledged as before and not delivered again.  An expired one is
 * ignored.
 */

void ngx_mcp_remote_recv(ngx_mcp_packet_received_t *received);

/*
 * The sender confirms that it has received the acknowledgement.
 */

void ngx_mcp_remote_recv_confirmed(ngx_mcp_packet_received_t *received);

/*
 * Forgets the messages that were not confirmed before their expiry; "now" is
 * the time of Redis, milliseconds.
 */

void ngx_mcp_remote_recv_expire(int64_t now);


#endif /* _NGX_MCP_REMOTE_RECV_H_INCLUDED_ */

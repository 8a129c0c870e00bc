
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
 * is acknowledged as before and not delivered again.  One that names another
 * master is acknowledged as STREAM_LOST.  An expired one is ignored.
 */

void ngx_mcp_remote_recv(ngx_mcp_packet_received_t *received);

/*
 * The sender confirms that it has received the acknowledgement.
 */

void ngx_mcp_remote_recv_confirmed(ngx_mcp_packet_received_t *received);

/*
 * Forgets the messages that were not confirmed before their expiry.
 */

void ngx_mcp_remote_recv_expire(void);

/*
 * Whether the master that a packet names is known not to be that of this
 * worker, so that its times mean nothing here.
 */

ngx_uint_t ngx_mcp_remote_recv_is_other(uint64_t master);


#endif /* _NGX_MCP_REMOTE_RECV_H_INCLUDED_ */

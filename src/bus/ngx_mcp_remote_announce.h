
/*
 * Announcements between instances, and the session ids that were ended
 * before their time: what one instance knows of, all are to know.
 *
 *     <prefix>all            the channel of all workers
 *     <prefix>ended          a sorted set: digests of ended ids, by the time
 *                            (unix seconds) at which they end by themselves
 */

#ifndef _NGX_MCP_REMOTE_ANNOUNCE_H_INCLUDED_
#define _NGX_MCP_REMOTE_ANNOUNCE_H_INCLUDED_


#include "ngx_mcp_announce.h"
#include "ngx_mcp_redis.h"
#include "ngx_mcp_revocation.h"


/*
 * Tells the workers of the other instances what news_tell() tells those of
 * this one; "end" is that of an ended id, else 0.  Nothing is told while Redis
 * is not up: ended ids are when it is up again.
 */

void ngx_mcp_remote_announce(ngx_uint_t kind, u_char *key, time_t end,
    u_char *data, size_t len);

/*
 * An announcement of another instance has come.
 */

void ngx_mcp_remote_announce_receive(ngx_mcp_packet_received_t *received);

/*
 * Redis has come up, or has lost its data: exchanges the ended ids.
 */

void ngx_mcp_remote_announce_sync(void);


#endif /* _NGX_MCP_REMOTE_ANNOUNCE_H_INCLUDED_ */


/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Announcements between instances, and the list of ended session ids that they
 * share.
 *
 *     <prefix>all            the channel of all workers
 *     <prefix>ended          a sorted set: digests of ended ids, each with that
 *                            of its user, and the time (unix seconds) at which
 *                            they expire by themselves
 */

#ifndef _NGX_MCP_REMOTE_ANNOUNCE_H_INCLUDED_
#define _NGX_MCP_REMOTE_ANNOUNCE_H_INCLUDED_


#include "ngx_mcp_announce.h"
#include "ngx_mcp_redis.h"
#include "ngx_mcp_revocation.h"


/*
 * Tells the workers of other instances what ngx_mcp_announce() tells those of
 * this one.  "end" is the time of an ended id, and "data" the key of its user,
 * see ngx_mcp_revocation_add(); otherwise "end" is 0.  Nothing is sent while
 * Redis is lost; ended ids follow when it is back.
 */

void ngx_mcp_remote_announce(ngx_uint_t kind, u_char *key, time_t end,
    u_char *data, size_t len);

/*
 * Handles an announcement of another instance.
 */

void ngx_mcp_remote_announce_receive(ngx_mcp_packet_received_t *received);

/*
 * Writes the ended ids of this instance to Redis and reads those of others.
 */

void ngx_mcp_remote_announce_sync(void);


#endif /* _NGX_MCP_REMOTE_ANNOUNCE_H_INCLUDED_ */


/*
 * This worker's own key in Redis, and what it tells: the key is gone when
 * Redis has lost its data.
 *
 *     <prefix>k:<worker>     "1", 15 seconds, touched every second
 */

#ifndef _NGX_MCP_WORKER_LEASE_H_INCLUDED_
#define _NGX_MCP_WORKER_LEASE_H_INCLUDED_


#include "ngx_mcp_redis.h"
#include "ngx_mcp_workers.h"


/*
 * Tells Redis that there is this worker; that has been done; one second has
 * passed.
 */

void ngx_mcp_worker_lease_join(void);
void ngx_mcp_worker_lease_up(void);
void ngx_mcp_worker_lease_every_second(void);

/*
 * This worker exits: deletes its key.
 */

void ngx_mcp_worker_lease_exit(void);

/*
 * Somebody has seen that Redis has lost its data.  Whether it has lost them,
 * or may have, so recently that a session it does not know may be alive.
 */

void ngx_mcp_worker_lease_lost(void);
ngx_uint_t ngx_mcp_worker_lease_maybe_lost(void);

/*
 * Whether a command has failed: no reply, or an error, which is logged.  But
 * for a Redis out of memory the connection is given up.
 */

ngx_uint_t ngx_mcp_worker_lease_failed(redisAsyncContext *ac,
    redisReply *reply);

/*
 * The same as the handler of a reply that nobody waits for.
 */

void ngx_mcp_worker_lease_ignore(redisAsyncContext *ac, void *reply,
    void *data);


#endif /* _NGX_MCP_WORKER_LEASE_H_INCLUDED_ */

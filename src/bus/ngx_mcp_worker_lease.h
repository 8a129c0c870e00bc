
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * The lease of this worker in Redis: a key that shows other workers that it is
 * alive, and this one that Redis still has its data.
 *
 *     <prefix>k:<worker>     "1", expires after 15 seconds, renewed each second
 */

#ifndef _NGX_MCP_WORKER_LEASE_H_INCLUDED_
#define _NGX_MCP_WORKER_LEASE_H_INCLUDED_


#include "ngx_mcp_redis.h"
#include "ngx_mcp_workers.h"


/*
 * For the bus: creates the lease on a new connection, and calls
 * ngx_mcp_redis_joined() then; Redis has come up; one second has passed; the
 * worker exits, which deletes the lease.
 */

void ngx_mcp_worker_lease_join(void);
void ngx_mcp_worker_lease_up(void);
void ngx_mcp_worker_lease_every_second(void);
void ngx_mcp_worker_lease_exit(void);

/*
 * The caller has found the lease missing, so Redis has lost its data: writes
 * all again.
 */

void ngx_mcp_worker_lease_lost(void);

/*
 * Whether Redis has lost its data, or may have, so recently that a session
 * that it does not have may be alive.
 */

ngx_uint_t ngx_mcp_worker_lease_maybe_lost(void);

/*
 * Whether a command has failed.  An error is logged; unless Redis is only out
 * of memory, the connection is closed.
 */

ngx_uint_t ngx_mcp_worker_lease_failed(redisReply *reply);

/*
 * The same as the handler of a command whose reply is not used.
 */

void ngx_mcp_worker_lease_ignore(ngx_mcp_redis_conn_t *conn, redisReply *reply,
    void *data);


#endif /* _NGX_MCP_WORKER_LEASE_H_INCLUDED_ */


/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Replies on a connection: each goes to the handler that waits for it, or to
 * the subscription.
 */

#ifndef _NGX_MCP_REDIS_REPLY_H_INCLUDED_
#define _NGX_MCP_REDIS_REPLY_H_INCLUDED_


#include "ngx_mcp_redis_conn.h"


/* a command that waits for its reply; from ngx_alloc(), of its connection */

typedef struct {
    ngx_queue_t                  queue;
    ngx_mcp_redis_reply_pt       handler;
    void                        *data;
    ngx_uint_t                   channels;   /* to be confirmed; 0: it is no
                                                subscription */
} ngx_mcp_redis_waiting_t;


/*
 * Bytes have come on the io of a connection.  Runs the handlers of all replies
 * in them, and what they have closed ends between two of them.
 */

void ngx_mcp_redis_reply_received(ngx_mcp_redis_io_t *io, u_char *bytes,
    size_t len);

/*
 * Frees the first command that waits, there is one, and runs its handler with
 * the reply.
 */

void ngx_mcp_redis_reply_to_first(ngx_mcp_redis_conn_t *conn,
    redisReply *reply);


#endif /* _NGX_MCP_REDIS_REPLY_H_INCLUDED_ */

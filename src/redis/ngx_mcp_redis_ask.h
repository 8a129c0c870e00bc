
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Asks the servers of the configuration, sentinels or nodes of a cluster, in
 * turn: one connection at a time.
 */

#ifndef _NGX_MCP_REDIS_ASK_H_INCLUDED_
#define _NGX_MCP_REDIS_ASK_H_INCLUDED_


#include "ngx_mcp_redis_conn.h"
#include "ngx_mcp_redis_node.h"
#include "ngx_mcp_redis_resolve.h"


typedef struct ngx_mcp_redis_ask_s  ngx_mcp_redis_ask_t;


struct ngx_mcp_redis_ask_s {

    /*
     * Set by the user, who zeroes the rest: conf, name, kind and message() of
     * the connection, too.
     */

    ngx_mcp_redis_conn_t         conn;       /* its data is this */

    /*
     * A server takes commands.  The user asks it, and calls
     * ngx_mcp_redis_conn_fail() if its answer is no good: then the next one is
     * connected.
     */

    void                       (*ready)(ngx_mcp_redis_ask_t *ask);

    /*
     * None is left in this round, or the connection to the one that was taken
     * has ended; ask->reason says why.
     */

    void                       (*failed)(ngx_mcp_redis_ask_t *ask);

    void                        *data;       /* of the user */

    /* set before failed() runs, with a NUL */

    u_char                       reason[NGX_MCP_REDIS_MAX_REASON_LEN];

    /* private */

    ngx_mcp_redis_resolve_t      resolve;
    ngx_uint_t                   server;     /* its place in conf->servers */
    ngx_uint_t                   left;       /* to ask in this round */
    ngx_uint_t                   rounds;     /* which of several addresses */
    unsigned                     begun:1;
};


/*
 * Begins a round, in which each server is connected once, until one is taken:
 * first that after the one that was connected last, so that a server is asked
 * again only when all others have been.  Each worker begins with another one.
 * The connection of the round before is closed.  No handler runs before this
 * returns.
 */

void ngx_mcp_redis_ask(ngx_mcp_redis_ask_t *ask);

/*
 * The answer of the server that is connected is good: the round is over.
 */

void ngx_mcp_redis_ask_take(ngx_mcp_redis_ask_t *ask);

/*
 * Closes the connection, if there is one.  No handler runs afterwards.
 */

void ngx_mcp_redis_ask_close(ngx_mcp_redis_ask_t *ask);

/*
 * Returns the server that is connected.
 */

ngx_mcp_redis_server_t *ngx_mcp_redis_ask_server(ngx_mcp_redis_ask_t *ask);


#endif /* _NGX_MCP_REDIS_ASK_H_INCLUDED_ */

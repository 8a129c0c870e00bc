
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Where the master is, as sentinels tell it; and when there is another one.
 */

#ifndef _NGX_MCP_REDIS_SENTINEL_H_INCLUDED_
#define _NGX_MCP_REDIS_SENTINEL_H_INCLUDED_


#include "ngx_mcp_redis_ask.h"


typedef struct ngx_mcp_redis_sentinel_s  ngx_mcp_redis_sentinel_t;

typedef void (*ngx_mcp_redis_sentinel_pt)(ngx_mcp_redis_sentinel_t *sentinel);


struct ngx_mcp_redis_sentinel_s {

    /* set by the user, who zeroes the rest */

    ngx_mcp_redis_conf_t        *conf;

    /* the master is sentinel->node; or nobody tells, ask.reason says why */

    ngx_mcp_redis_sentinel_pt    told;
    ngx_mcp_redis_sentinel_pt    failed;

    /* later: the master is no longer where it was, but at sentinel->node */

    ngx_mcp_redis_sentinel_pt    moved;

    void                        *data;       /* of the user */

    /* set before told() and moved() run */

    ngx_mcp_redis_node_t         node;

    /* private */

    ngx_mcp_redis_ask_t          ask;
    ngx_mcp_redis_node_t         answer;     /* of the one that is asked */
    ngx_mcp_redis_node_t         other;      /* of one that differs; port 0:
                                                none does */
    ngx_mcp_timer_t              timer;
    unsigned                     asking:1;   /* the user waits */
};


/*
 * Asks the sentinels in turn where the master is: first another than the one
 * that was asked last, since that one may have been wrong.  told() or failed()
 * runs once, never before this returns.  From then on a connection to a
 * sentinel is kept for moved(), and opened again if it is lost.
 */

void ngx_mcp_redis_sentinel_ask(ngx_mcp_redis_sentinel_t *sentinel);

/*
 * Closes what is open.  No handler runs afterwards.
 */

void ngx_mcp_redis_sentinel_close(ngx_mcp_redis_sentinel_t *sentinel);


#endif /* _NGX_MCP_REDIS_SENTINEL_H_INCLUDED_ */

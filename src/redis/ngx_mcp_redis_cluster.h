
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Which node of a cluster has the slot of this instance's keys, as its nodes
 * tell it.
 */

#ifndef _NGX_MCP_REDIS_CLUSTER_H_INCLUDED_
#define _NGX_MCP_REDIS_CLUSTER_H_INCLUDED_


#include "ngx_mcp_redis_ask.h"


typedef struct ngx_mcp_redis_cluster_s  ngx_mcp_redis_cluster_t;

typedef void (*ngx_mcp_redis_cluster_pt)(ngx_mcp_redis_cluster_t *cluster);


struct ngx_mcp_redis_cluster_s {

    /* set by the user, who zeroes the rest */

    ngx_mcp_redis_conf_t        *conf;

    /* it is cluster->node; or nobody tells, ask.reason says why */

    ngx_mcp_redis_cluster_pt     told;
    ngx_mcp_redis_cluster_pt     failed;

    void                        *data;       /* of the user */

    /* set before told() runs */

    ngx_mcp_redis_node_t         node;

    /* private */

    ngx_mcp_redis_ask_t          ask;
};


/*
 * Asks the nodes of the configuration in turn which one has the slot, first
 * another than the one that was asked last.  told() or failed() runs once,
 * never before this returns; then no connection is open.
 */

void ngx_mcp_redis_cluster_ask(ngx_mcp_redis_cluster_t *cluster);

/*
 * Closes what is open.  No handler runs afterwards.
 */

void ngx_mcp_redis_cluster_close(ngx_mcp_redis_cluster_t *cluster);


#endif /* _NGX_MCP_REDIS_CLUSTER_H_INCLUDED_ */

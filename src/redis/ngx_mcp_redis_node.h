
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Host and port of a server, as replies and messages of Redis name it.
 */

#ifndef _NGX_MCP_REDIS_NODE_H_INCLUDED_
#define _NGX_MCP_REDIS_NODE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <hiredis/hiredis.h>


/* of a name or of the text of an address */

#define NGX_MCP_REDIS_MAX_HOST_LEN  255


/*
 * "host" has letters, digits and ".", "-", "_", ":" only, so that it may be
 * logged; an IPv6 address has no brackets.  It is empty if a node of a cluster
 * does not tell it: then it is the host by which that node was reached.
 */

typedef struct {
    size_t                       len;        /* of the host */
    in_port_t                    port;
    u_char                       host[NGX_MCP_REDIS_MAX_HOST_LEN + 1];
                                             /* with a NUL */
} ngx_mcp_redis_node_t;


/*
 * The functions return NGX_OK, or NGX_ERROR if it is no such reply, and
 *
 * - ngx_mcp_redis_node_master(), for the reply to SENTINEL
 *   get-master-addr-by-name, NGX_DECLINED if the sentinel does not know the
 *   master;
 *
 * - ngx_mcp_redis_node_switch(), for a message of the channel +switch-master,
 *   NGX_DECLINED if it is about another master than that with the name;
 *
 * - ngx_mcp_redis_node_slot(), for the reply to CLUSTER SLOTS, NGX_DECLINED if
 *   no node has the slot;
 *
 * - ngx_mcp_redis_node_moved(), for an error reply, NGX_DECLINED if it is
 *   another error than MOVED.
 */

ngx_int_t ngx_mcp_redis_node_master(ngx_mcp_redis_node_t *node,
    redisReply *reply);
ngx_int_t ngx_mcp_redis_node_switch(ngx_mcp_redis_node_t *node,
    ngx_str_t *message, ngx_str_t *name);
ngx_int_t ngx_mcp_redis_node_slot(ngx_mcp_redis_node_t *node,
    redisReply *reply, ngx_uint_t slot);
ngx_int_t ngx_mcp_redis_node_moved(ngx_mcp_redis_node_t *node,
    redisReply *reply);

/*
 * Returns whether two have the same host and port.
 */

ngx_uint_t ngx_mcp_redis_node_same(ngx_mcp_redis_node_t *a,
    ngx_mcp_redis_node_t *b);


#endif /* _NGX_MCP_REDIS_NODE_H_INCLUDED_ */

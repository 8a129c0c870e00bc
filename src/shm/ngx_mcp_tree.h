
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Trees of nodes that are found by a digest, in the zone and in workers.
 */

#ifndef _NGX_MCP_TREE_H_INCLUDED_
#define _NGX_MCP_TREE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * Find a node by its digest of NGX_MCP_DIGEST_LEN bytes, which stands at
 * "offset" from the node, or return NULL; return the next node with the digest
 * of "node", or NULL; insert a node and set its key.  Nodes with the same
 * digest are found in the order in which they were inserted.  Trees are
 * initialized with ngx_rbtree_insert_value(); those of the zone are used under
 * its mutex.
 */

ngx_rbtree_node_t *ngx_mcp_tree_find(ngx_rbtree_t *tree, u_char *digest,
    size_t offset);
ngx_rbtree_node_t *ngx_mcp_tree_next(ngx_rbtree_t *tree,
    ngx_rbtree_node_t *node, size_t offset);
void ngx_mcp_tree_insert(ngx_rbtree_t *tree, ngx_rbtree_node_t *node,
    u_char *digest);


#endif /* _NGX_MCP_TREE_H_INCLUDED_ */

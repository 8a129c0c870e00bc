
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Trees of nodes that are found by a digest, in the zone and in workers.
 *
 * The key of a node is the first word of its digest, which is random.  A tree
 * owns nothing.
 */

#include "ngx_mcp_tree.h"
#include "ngx_mcp_session_id.h"


static ngx_rbtree_node_t *ngx_mcp_tree_same(ngx_rbtree_t *tree,
    ngx_rbtree_node_t *node, u_char *digest, size_t offset);


ngx_rbtree_node_t *
ngx_mcp_tree_find(ngx_rbtree_t *tree, u_char *digest, size_t offset)
{
    ngx_rbtree_key_t    key;
    ngx_rbtree_node_t  *node, *first;

    ngx_memcpy(&key, digest, sizeof(ngx_rbtree_key_t));

    node = tree->root;
    first = NULL;

    while (node != tree->sentinel) {

        if (node->key < key) {
            node = node->right;
            continue;
        }

        first = node;
        node = node->left;
    }

    return ngx_mcp_tree_same(tree, first, digest, offset);
}


ngx_rbtree_node_t *
ngx_mcp_tree_next(ngx_rbtree_t *tree, ngx_rbtree_node_t *node, size_t offset)
{
    return ngx_mcp_tree_same(tree, ngx_rbtree_next(tree, node),
                             (u_char *) node + offset, offset);
}


/*
 * Nodes with the same digest are neighbours, but for others with the same first
 * word.
 */

static ngx_rbtree_node_t *
ngx_mcp_tree_same(ngx_rbtree_t *tree, ngx_rbtree_node_t *node, u_char *digest,
    size_t offset)
{
    ngx_rbtree_key_t  key;

    ngx_memcpy(&key, digest, sizeof(ngx_rbtree_key_t));

    while (node && node->key == key) {

        if (ngx_memcmp((u_char *) node + offset, digest, NGX_MCP_DIGEST_LEN)
            == 0)
        {
            return node;
        }

        node = ngx_rbtree_next(tree, node);
    }

    return NULL;
}


void
ngx_mcp_tree_insert(ngx_rbtree_t *tree, ngx_rbtree_node_t *node,
    u_char *digest)
{
    ngx_memcpy(&node->key, digest, sizeof(ngx_rbtree_key_t));

    ngx_rbtree_insert(tree, node);
}

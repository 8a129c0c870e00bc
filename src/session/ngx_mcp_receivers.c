
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * The sessions of this worker that have a stream, by their site and user.
 *
 * There are few sites, and many users of each.  The key of the hashes is
 * random, so that no user can choose a name with the hash of another one.
 */

#include "ngx_mcp_receivers.h"
#include "ngx_mcp_digest.h"
#include "ngx_mcp_tree.h"


/* a hash is what ngx_mcp_tree.h calls a digest */

#if (NGX_MCP_SIPHASH_LEN != NGX_MCP_DIGEST_LEN)
#error a hash must have the length of a digest
#endif


static ngx_mcp_receivers_site_t *ngx_mcp_receivers_site(ngx_str_t *name,
    u_char *hash);
static ngx_mcp_receivers_site_t *ngx_mcp_receivers_add_site(ngx_str_t *name,
    u_char *hash);
static ngx_mcp_receiver_t *ngx_mcp_receivers_of(ngx_rbtree_node_t *node,
    ngx_str_t *user);


static ngx_rbtree_t       ngx_mcp_receivers_sites;
static ngx_rbtree_node_t  ngx_mcp_receivers_sentinel;
static u_char             ngx_mcp_receivers_key[NGX_MCP_SIPHASH_LEN];


ngx_int_t
ngx_mcp_receivers_init(void)
{
    ngx_rbtree_init(&ngx_mcp_receivers_sites, &ngx_mcp_receivers_sentinel,
                    ngx_rbtree_insert_value);

    return ngx_mcp_random(ngx_mcp_receivers_key, NGX_MCP_SIPHASH_LEN);
}


ngx_int_t
ngx_mcp_receivers_enter(ngx_mcp_session_t *s)
{
    u_char                     hash[NGX_MCP_SIPHASH_LEN];
    ngx_mcp_receiver_t        *r;
    ngx_mcp_receivers_site_t  *site;

    r = ngx_calloc(sizeof(ngx_mcp_receiver_t) + s->user.len, ngx_cycle->log);
    if (r == NULL) {
        return NGX_ERROR;
    }

    site = ngx_mcp_receivers_site(&s->events_site, hash);

    if (site == NULL) {
        site = ngx_mcp_receivers_add_site(&s->events_site, hash);
    }

    if (site == NULL) {
        ngx_free(r);
        return NGX_ERROR;
    }

    r->site = site;
    r->session = s;

    r->user.len = s->user.len;
    r->user.data = (u_char *) (r + 1);
    ngx_memcpy(r->user.data, s->user.data, s->user.len);

    ngx_mcp_siphash(r->hash, ngx_mcp_receivers_key, &s->user);

    ngx_mcp_tree_insert(&site->users, &r->node, r->hash);
    ngx_queue_insert_tail(&site->receivers, &r->queue);

    s->receiver = r;

    return NGX_OK;
}


/*
 * Returns the site with that name, or NULL, and its hash.
 */

static ngx_mcp_receivers_site_t *
ngx_mcp_receivers_site(ngx_str_t *name, u_char *hash)
{
    ngx_rbtree_node_t         *node;
    ngx_mcp_receivers_site_t  *site;

    ngx_mcp_siphash(hash, ngx_mcp_receivers_key, name);

    node = ngx_mcp_tree_find(&ngx_mcp_receivers_sites, hash,
                             offsetof(ngx_mcp_receivers_site_t, hash));
    if (node == NULL) {
        return NULL;
    }

    site = ngx_rbtree_data(node, ngx_mcp_receivers_site_t, node);

    return (site->name.len == name->len
            && ngx_memcmp(site->name.data, name->data, name->len) == 0)
           ? site : NULL;
}


static ngx_mcp_receivers_site_t *
ngx_mcp_receivers_add_site(ngx_str_t *name, u_char *hash)
{
    ngx_mcp_receivers_site_t  *site;

    site = ngx_calloc(sizeof(ngx_mcp_receivers_site_t) + name->len,
                      ngx_cycle->log);
    if (site == NULL) {
        return NULL;
    }

    site->name.len = name->len;
    site->name.data = (u_char *) (site + 1);
    ngx_memcpy(site->name.data, name->data, name->len);

    ngx_memcpy(site->hash, hash, NGX_MCP_SIPHASH_LEN);

    ngx_queue_init(&site->receivers);
    ngx_rbtree_init(&site->users, &site->sentinel, ngx_rbtree_insert_value);

    ngx_mcp_tree_insert(&ngx_mcp_receivers_sites, &site->node, site->hash);

    return site;
}


void
ngx_mcp_receivers_leave(ngx_mcp_receiver_t *r)
{
    ngx_mcp_receivers_site_t  *site;

    site = r->site;

    ngx_rbtree_delete(&site->users, &r->node);
    ngx_queue_remove(&r->queue);
    ngx_free(r);

    if (ngx_queue_empty(&site->receivers)) {
        ngx_rbtree_delete(&ngx_mcp_receivers_sites, &site->node);
        ngx_free(site);
    }
}


ngx_mcp_receiver_t *
ngx_mcp_receivers_find(ngx_str_t *name, ngx_str_t *user)
{
    u_char                     hash[NGX_MCP_SIPHASH_LEN];
    ngx_mcp_receivers_site_t  *site;

    site = ngx_mcp_receivers_site(name, hash);

    if (site == NULL) {
        return NULL;
    }

    if (user == NULL) {
        return ngx_queue_data(ngx_queue_head(&site->receivers),
                              ngx_mcp_receiver_t, queue);
    }

    ngx_mcp_siphash(hash, ngx_mcp_receivers_key, user);

    return ngx_mcp_receivers_of(
               ngx_mcp_tree_find(&site->users, hash,
                                 offsetof(ngx_mcp_receiver_t, hash)),
               user);
}


ngx_mcp_receiver_t *
ngx_mcp_receivers_next(ngx_mcp_receiver_t *r, ngx_uint_t by_user)
{
    if (by_user) {
        return ngx_mcp_receivers_of(
                   ngx_mcp_tree_next(&r->site->users, &r->node,
                                     offsetof(ngx_mcp_receiver_t, hash)),
                   &r->user);
    }

    if (&r->queue == ngx_queue_last(&r->site->receivers)) {
        return NULL;
    }

    return ngx_queue_data(ngx_queue_next(&r->queue), ngx_mcp_receiver_t,
                          queue);
}


/*
 * Returns the receiver of a node, which may be NULL, if it is of that user.
 */

static ngx_mcp_receiver_t *
ngx_mcp_receivers_of(ngx_rbtree_node_t *node, ngx_str_t *user)
{
    ngx_mcp_receiver_t  *r;

    if (node == NULL) {
        return NULL;
    }

    r = ngx_rbtree_data(node, ngx_mcp_receiver_t, node);

    return (r->user.len == user->len
            && ngx_memcmp(r->user.data, user->data, user->len) == 0)
           ? r : NULL;
}

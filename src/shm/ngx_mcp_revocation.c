
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Revocation list: ids of sessions that were ended before they expired, in
 * shared memory.
 *
 * Entries are owned by the zone.  They stay until they expire, whichever
 * worker has added them, or until the list is full and they are the oldest of
 * the user who has the most.
 */

#include "ngx_mcp_revocation.h"


#define NGX_MCP_REVOCATION_LOG_INTERVAL  10    /* seconds */


/* the ended ids of a user; freed with the last of them */

typedef struct {
    ngx_rbtree_node_t           node;      /* in root->revoked_users */
    u_char                      key[NGX_MCP_DIGEST_LEN];
    ngx_rbtree_node_t           share;     /* in root->revoked_shares; the key
                                              is the number of entries */
    ngx_queue_t                 entries;   /* oldest first */
} ngx_mcp_revocation_user_t;


/* 128 bytes, a size of the slab allocator */

typedef struct {
    ngx_rbtree_node_t           node;      /* in root->revoked */
    u_char                      key[NGX_MCP_DIGEST_LEN];
    ngx_rbtree_node_t           end;       /* in root->revoked_ends */
    ngx_msec_t                  until;     /* kept until then at least */
    ngx_queue_t                 queue;     /* in user->entries */
    ngx_mcp_revocation_user_t  *user;
} ngx_mcp_revocation_t;


/* an entry that was copied out of the zone */

typedef struct {
    u_char                      key[NGX_MCP_DIGEST_LEN];
    u_char                      user[NGX_MCP_DIGEST_LEN];
    time_t                      end;
} ngx_mcp_revocation_copy_t;


static ngx_mcp_revocation_t *ngx_mcp_revocation_alloc_locked(
    ngx_mcp_zone_t *zone, u_char *user, ngx_uint_t *forgotten);
static ngx_uint_t ngx_mcp_revocation_has_room(ngx_mcp_zone_t *zone);
static ngx_mcp_revocation_user_t *ngx_mcp_revocation_user_locked(
    ngx_mcp_zone_t *zone, u_char *key);
static ngx_uint_t ngx_mcp_revocation_forget_locked(ngx_mcp_zone_t *zone,
    u_char *user);
static void ngx_mcp_revocation_share_locked(ngx_mcp_zone_t *zone,
    ngx_mcp_revocation_user_t *user, ngx_int_t n);
static ngx_mcp_revocation_t *ngx_mcp_revocation_first_locked(
    ngx_mcp_zone_t *zone);
static void ngx_mcp_revocation_free_locked(ngx_mcp_zone_t *zone,
    ngx_mcp_revocation_t *item);


ngx_int_t
ngx_mcp_revocation_add(u_char *key, u_char *user, time_t end)
{
    time_t                 left;
    ngx_uint_t             forgotten;
    ngx_mcp_zone_t        *zone;
    ngx_mcp_revocation_t  *item;

    zone = ngx_mcp_zone();

    forgotten = 0;

    ngx_mcp_zone_lock(zone);

    if (ngx_mcp_tree_find(&zone->root->revoked, key,
                          offsetof(ngx_mcp_revocation_t, key)))
    {
        ngx_mcp_zone_unlock(zone);
        return NGX_DECLINED;
    }

    item = ngx_mcp_revocation_alloc_locked(zone, user, &forgotten);

    if (item) {
        ngx_memcpy(item->key, key, NGX_MCP_DIGEST_LEN);
        ngx_mcp_tree_insert(&zone->root->revoked, &item->node, key);

        item->end.key = (ngx_rbtree_key_t) end;
        ngx_rbtree_insert(&zone->root->revoked_ends, &item->end);

        left = end - ngx_time();
        item->until = ngx_current_msec + 1000 * (ngx_msec_t) ngx_max(left, 0);

        zone->root->nrevoked++;
    }

    ngx_mcp_zone_unlock(zone);

    if (item == NULL) {
        ngx_mcp_zone_nomem(zone, ngx_cycle->log);
    }

    if (forgotten
        && ngx_mcp_zone_log_once(&zone->root->revoked_logged_at,
                                 NGX_MCP_REVOCATION_LOG_INTERVAL))
    {
        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "mcp sse: too many ended sessions for mcp_sse_zone "
                      "\"%V\", the oldest of the users who have the most are "
                      "forgotten and their ids can be used again; set a larger "
                      "size in \"mcp_sse_zone\"",
                      &zone->conf->zone_name);
    }

    return item ? NGX_OK : NGX_ERROR;
}


/*
 * Allocates an entry of the user, or returns NULL.  Entries that are removed
 * for it are counted in "forgotten".
 */

static ngx_mcp_revocation_t *
ngx_mcp_revocation_alloc_locked(ngx_mcp_zone_t *zone, u_char *user,
    ngx_uint_t *forgotten)
{
    ngx_mcp_revocation_t       *item;
    ngx_mcp_revocation_user_t  *owner;

    for ( ;; ) {

        if (ngx_mcp_revocation_has_room(zone)) {

            item = ngx_mcp_zone_calloc_locked(zone,
                                              sizeof(ngx_mcp_revocation_t));

            owner = item ? ngx_mcp_revocation_user_locked(zone, user) : NULL;

            if (owner) {
                item->user = owner;
                ngx_queue_insert_tail(&owner->entries, &item->queue);
                ngx_mcp_revocation_share_locked(zone, owner, 1);

                return item;
            }

            if (item) {
                ngx_mcp_zone_free_locked(zone, item);
            }
        }

        if (zone->root->nrevoked == 0) {
            return NULL;
        }

        *forgotten += ngx_mcp_revocation_forget_locked(zone, user);
    }
}


static ngx_uint_t
ngx_mcp_revocation_has_room(ngx_mcp_zone_t *zone)
{
    size_t  size;

    /* the slab allocator uses at most twice the size for each */

    size = 2 * sizeof(ngx_mcp_revocation_t) * (zone->root->nrevoked + 1)
           + 2 * sizeof(ngx_mcp_revocation_user_t)
             * (zone->root->nrevoked_users + 1);

    return size <= zone->size / 8;
}


/*
 * Finds or creates the user with that key.  A new one has no entry yet.
 */

static ngx_mcp_revocation_user_t *
ngx_mcp_revocation_user_locked(ngx_mcp_zone_t *zone, u_char *key)
{
    ngx_rbtree_node_t          *node;
    ngx_mcp_revocation_user_t  *user;

    node = ngx_mcp_tree_find(&zone->root->revoked_users, key,
                             offsetof(ngx_mcp_revocation_user_t, key));

    if (node) {
        return ngx_rbtree_data(node, ngx_mcp_revocation_user_t, node);
    }

    user = ngx_mcp_zone_calloc_locked(zone, sizeof(ngx_mcp_revocation_user_t));
    if (user == NULL) {
        return NULL;
    }

    ngx_memcpy(user->key, key, NGX_MCP_DIGEST_LEN);
    ngx_queue_init(&user->entries);

    ngx_mcp_tree_insert(&zone->root->revoked_users, &user->node, user->key);
    ngx_rbtree_insert(&zone->root->revoked_shares, &user->share);

    zone->root->nrevoked_users++;

    return user;
}


/*
 * Makes room for an entry of the user with the key "adds": removes the oldest
 * entry of the user who has the most, and of the adding one if nobody has more.
 * So the entries of one user cannot displace those of another who has fewer.
 * Returns the number of removed entries.
 */

static ngx_uint_t
ngx_mcp_revocation_forget_locked(ngx_mcp_zone_t *zone, u_char *adds)
{
    u_char                     *p;
    ngx_queue_t                *q;
    ngx_rbtree_node_t          *node;
    ngx_mcp_revocation_user_t  *most, *user;

    for (node = zone->root->revoked_shares.root;
         node->right != zone->root->revoked_shares.sentinel;
         node = node->right)
    {
        /* void */
    }

    p = (u_char *) node - offsetof(ngx_mcp_revocation_user_t, share);
    most = (ngx_mcp_revocation_user_t *) p;

    node = ngx_mcp_tree_find(&zone->root->revoked_users, adds,
                             offsetof(ngx_mcp_revocation_user_t, key));

    if (node) {
        user = ngx_rbtree_data(node, ngx_mcp_revocation_user_t, node);

        if (user->share.key == most->share.key) {
            most = user;
        }
    }

    q = ngx_queue_head(&most->entries);

    ngx_mcp_revocation_free_locked(zone, ngx_queue_data(q, ngx_mcp_revocation_t,
                                                        queue));

    return 1;
}


/*
 * The number of entries of the user changes by "n".  A user without one is
 * freed.
 */

static void
ngx_mcp_revocation_share_locked(ngx_mcp_zone_t *zone,
    ngx_mcp_revocation_user_t *user, ngx_int_t n)
{
    ngx_rbtree_key_t  entries;

    entries = user->share.key + n;

    ngx_rbtree_delete(&zone->root->revoked_shares, &user->share);

    user->share.key = entries;

    if (entries) {
        ngx_rbtree_insert(&zone->root->revoked_shares, &user->share);
        return;
    }

    ngx_rbtree_delete(&zone->root->revoked_users, &user->node);
    ngx_mcp_zone_free_locked(zone, user);

    zone->root->nrevoked_users--;
}


ngx_uint_t
ngx_mcp_revocation_check(u_char *key)
{
    ngx_rbtree_node_t  *node;
    ngx_mcp_zone_t     *zone;

    zone = ngx_mcp_zone();

    ngx_mcp_zone_lock(zone);

    node = ngx_mcp_tree_find(&zone->root->revoked, key,
                             offsetof(ngx_mcp_revocation_t, key));

    ngx_mcp_zone_unlock(zone);

    return node != NULL;
}


/*
 * The list is copied, since the handler must not run under the mutex.
 */

void
ngx_mcp_revocation_each(ngx_mcp_revocation_pt handler)
{
    ngx_uint_t                  i, n;
    ngx_rbtree_node_t          *node;
    ngx_mcp_zone_t             *zone;
    ngx_mcp_revocation_t       *item;
    ngx_mcp_revocation_copy_t  *all;

    zone = ngx_mcp_zone();

    ngx_mcp_zone_lock(zone);

    n = zone->root->nrevoked;

    all = n ? ngx_alloc(n * sizeof(ngx_mcp_revocation_copy_t), ngx_cycle->log)
            : NULL;

    if (all == NULL) {
        ngx_mcp_zone_unlock(zone);
        return;
    }

    node = ngx_rbtree_min(zone->root->revoked_ends.root,
                          zone->root->revoked_ends.sentinel);

    for (i = 0; node && i < n; i++) {
        item = (ngx_mcp_revocation_t *)
                      ((u_char *) node - offsetof(ngx_mcp_revocation_t, end));

        ngx_memcpy(all[i].key, item->key, NGX_MCP_DIGEST_LEN);
        ngx_memcpy(all[i].user, item->user->key, NGX_MCP_DIGEST_LEN);
        all[i].end = (time_t) item->end.key;

        node = ngx_rbtree_next(&zone->root->revoked_ends, node);
    }

    ngx_mcp_zone_unlock(zone);

    for (n = i, i = 0; i < n; i++) {
        handler(all[i].key, all[i].user, all[i].end);
    }

    ngx_free(all);
}


/*
 * An id is good until the clock of the system says "end".  That clock may step
 * forward and back, so that an entry is also kept for the time that it had left
 * when it was added.
 */

void
ngx_mcp_revocation_expire_locked(ngx_mcp_zone_t *zone)
{
    ngx_mcp_revocation_t  *item;

    while (zone->root->nrevoked) {

        item = ngx_mcp_revocation_first_locked(zone);

        if ((time_t) item->end.key > ngx_time()
            || (ngx_msec_int_t) (ngx_current_msec - item->until) < 0)
        {
            return;
        }

        ngx_mcp_revocation_free_locked(zone, item);
    }
}


/*
 * Returns the id that expires first.  The list must not be empty.
 */

static ngx_mcp_revocation_t *
ngx_mcp_revocation_first_locked(ngx_mcp_zone_t *zone)
{
    u_char  *node;

    node = (u_char *) ngx_rbtree_min(zone->root->revoked_ends.root,
                                     zone->root->revoked_ends.sentinel);

    return (ngx_mcp_revocation_t *)
               (node - offsetof(ngx_mcp_revocation_t, end));
}


static void
ngx_mcp_revocation_free_locked(ngx_mcp_zone_t *zone, ngx_mcp_revocation_t *item)
{
    ngx_rbtree_delete(&zone->root->revoked, &item->node);
    ngx_rbtree_delete(&zone->root->revoked_ends, &item->end);

    ngx_queue_remove(&item->queue);
    ngx_mcp_revocation_share_locked(zone, item->user, -1);

    ngx_mcp_zone_free_locked(zone, item);

    zone->root->nrevoked--;
}

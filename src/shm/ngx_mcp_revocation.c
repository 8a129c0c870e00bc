
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Revocation list: ids of sessions that were ended before they expired, in
 * shared memory.
 *
 * Entries are owned by the zone.  They stay until they expire, whichever
 * worker has added them.
 */

#include "ngx_mcp_revocation.h"


typedef struct {
    ngx_rbtree_node_t      node;         /* in root->revoked */
    u_char                 key[NGX_MCP_DIGEST_LEN];
    ngx_rbtree_node_t      end;          /* in root->revoked_ends */
} ngx_mcp_revocation_t;


static ngx_mcp_revocation_t *ngx_mcp_revocation_alloc_locked(
    ngx_mcp_zone_t *zone, ngx_uint_t *forgotten);
static ngx_mcp_revocation_t *ngx_mcp_revocation_first_locked(
    ngx_mcp_zone_t *zone);
static void ngx_mcp_revocation_free_locked(ngx_mcp_zone_t *zone,
    ngx_mcp_revocation_t *item);


ngx_int_t
ngx_mcp_revocation_add(u_char *key, time_t end)
{
    ngx_int_t              rc;
    ngx_uint_t             forgotten;
    ngx_mcp_zone_t        *zone;
    ngx_mcp_revocation_t  *item;

    zone = ngx_mcp_zone();

    rc = NGX_ERROR;
    forgotten = 0;

    ngx_mcp_zone_lock(zone);

    if (ngx_mcp_tree_find(&zone->root->revoked, key,
                          offsetof(ngx_mcp_revocation_t, key)))
    {
        ngx_mcp_zone_unlock(zone);
        return NGX_DECLINED;
    }

    item = ngx_mcp_revocation_alloc_locked(zone, &forgotten);

    if (item) {
        rc = NGX_OK;

        ngx_memcpy(item->key, key, NGX_MCP_DIGEST_LEN);
        ngx_mcp_tree_insert(&zone->root->revoked, &item->node, key);

        item->end.key = (ngx_rbtree_key_t) end;
        ngx_rbtree_insert(&zone->root->revoked_ends, &item->end);

        zone->root->nrevoked++;
    }

    ngx_mcp_zone_unlock(zone);

    if (item == NULL) {
        ngx_mcp_zone_nomem(zone, ngx_cycle->log);
    }

    if (forgotten) {
        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "mcp sse: too many ended sessions for mcp_sse_zone "
                      "\"%V\", %ui are forgotten and their ids can be used "
                      "again; set a larger size in \"mcp_sse_zone\"",
                      &zone->conf->zone_name, forgotten);
    }

    return rc;
}


/*
 * Allocates an entry, or returns NULL.  Removes the ids that expire first, if
 * needed, and counts them in "forgotten".
 */

static ngx_mcp_revocation_t *
ngx_mcp_revocation_alloc_locked(ngx_mcp_zone_t *zone, ngx_uint_t *forgotten)
{
    ngx_uint_t             max;
    ngx_mcp_revocation_t  *item;

    /* the slab allocator uses at most twice the size for each */

    max = zone->size / 8 / (2 * sizeof(ngx_mcp_revocation_t));

    for ( ;; ) {

        item = NULL;

        if (zone->root->nrevoked < max) {
            item = ngx_mcp_zone_calloc_locked(zone,
                                        sizeof(ngx_mcp_revocation_t));
        }

        if (item || zone->root->nrevoked == 0) {
            return item;
        }

        ngx_mcp_revocation_free_locked(zone,
                                       ngx_mcp_revocation_first_locked(zone));
        (*forgotten)++;
    }
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
ngx_mcp_revocation_each(void (*handler)(u_char *key, time_t end))
{
    ngx_uint_t             i, n;
    ngx_rbtree_node_t     *node;
    ngx_mcp_zone_t        *zone;
    ngx_mcp_revocation_t  *all, *item;

    zone = ngx_mcp_zone();

    ngx_mcp_zone_lock(zone);

    n = zone->root->nrevoked;

    all = n ? ngx_alloc(n * sizeof(ngx_mcp_revocation_t), ngx_cycle->log)
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
        all[i] = *item;
        node = ngx_rbtree_next(&zone->root->revoked_ends, node);
    }

    ngx_mcp_zone_unlock(zone);

    for (n = i, i = 0; i < n; i++) {
        handler(all[i].key, (time_t) all[i].end.key);
    }

    ngx_free(all);
}


void
ngx_mcp_revocation_expire_locked(ngx_mcp_zone_t *zone)
{
    ngx_mcp_revocation_t  *item;

    while (zone->root->nrevoked) {

        item = ngx_mcp_revocation_first_locked(zone);

        if ((time_t) item->end.key > ngx_time()) {
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

    ngx_mcp_zone_free_locked(zone, item);

    zone->root->nrevoked--;
}

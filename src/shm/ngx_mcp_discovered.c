
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * What backends have told of themselves: a bounded LRU in the zone.
 *
 * Entries are owned by the zone.  One that is not fresh any more stays as long
 * as there is room: it is used while Frappe is down.
 */

#include "ngx_mcp_discovered.h"
#include "ngx_mcp_zone.h"


/* all entries take at most this part of the zone */

#define NGX_MCP_DISCOVERED_SHARE  16


static ngx_mcp_discovered_entry_t *ngx_mcp_discovered_find_locked(
    ngx_mcp_zone_t *zone, u_char *key);
static size_t ngx_mcp_discovered_copy_locked(ngx_mcp_zone_t *zone,
    u_char *key, ngx_mcp_discovered_t *d, u_char *p, size_t room);
static void ngx_mcp_discovered_trim_locked(ngx_mcp_zone_t *zone, size_t size);
static void ngx_mcp_discovered_free_locked(ngx_mcp_zone_t *zone,
    ngx_mcp_discovered_entry_t *entry);


/*
 * Memory is not allocated under the mutex.  An entry that has grown before its
 * bytes are copied is not found.
 */

ngx_int_t
ngx_mcp_discovered_get(u_char *key, ngx_pool_t *pool, ngx_mcp_discovered_t *d)
{
    u_char          *p;
    size_t           size;
    ngx_mcp_zone_t  *zone;

    zone = ngx_mcp_zone();

    ngx_memzero(d, sizeof(ngx_mcp_discovered_t));

    ngx_mcp_zone_lock(zone);
    size = ngx_mcp_discovered_copy_locked(zone, key, d, NULL, 0);
    ngx_mcp_zone_unlock(zone);

    if (size == 0) {
        return NGX_DECLINED;
    }

    p = ngx_pnalloc(pool, size);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ngx_mcp_zone_lock(zone);
    size = ngx_mcp_discovered_copy_locked(zone, key, d, p, size);
    ngx_mcp_zone_unlock(zone);

    return size ? NGX_OK : NGX_DECLINED;
}


/*
 * Returns the size of the strings of an entry, which is never 0, or 0 if there
 * is no entry.  If "room" is not 0, copies them to p; returns 0 if they do not
 * fit.
 */

static size_t
ngx_mcp_discovered_copy_locked(ngx_mcp_zone_t *zone, u_char *key,
    ngx_mcp_discovered_t *d, u_char *p, size_t room)
{
    size_t                       size;
    ngx_msec_int_t               left;
    ngx_mcp_discovered_entry_t  *entry;

    entry = ngx_mcp_discovered_find_locked(zone, key);

    if (entry == NULL) {
        return 0;
    }

    size = NGX_MCP_DISCOVERED_VERSION_LEN + entry->len;

    if (room == 0) {
        return size;
    }

    if (size > room) {
        return 0;
    }

    ngx_queue_remove(&entry->queue);
    ngx_queue_insert_head(&zone->root->discovered, &entry->queue);

    left = (ngx_msec_int_t) (entry->expires - ngx_current_msec);

    d->fresh = (left > 0);
    d->left = ngx_max(left, 0);
    d->modern = entry->modern;

    d->version.data = p;
    d->version.len = entry->has_version ? NGX_MCP_DISCOVERED_VERSION_LEN : 0;
    p = ngx_cpymem(p, entry->version, NGX_MCP_DISCOVERED_VERSION_LEN);

    d->text.data = p;
    d->text.len = entry->len;
    ngx_memcpy(p, entry->text, entry->len);

    return size;
}


void
ngx_mcp_discovered_put(u_char *key, ngx_mcp_discovered_t *d)
{
    size_t                       len, size;
    ngx_mcp_zone_t              *zone;
    ngx_mcp_discovered_entry_t  *entry;

    zone = ngx_mcp_zone();

    len = (d->text.len > NGX_MCP_DISCOVERED_MAX_TEXT) ? 0 : d->text.len;
    size = sizeof(ngx_mcp_discovered_entry_t) + len;

    ngx_mcp_zone_lock(zone);

    entry = ngx_mcp_discovered_find_locked(zone, key);

    if (entry) {
        ngx_mcp_discovered_free_locked(zone, entry);
    }

    ngx_mcp_discovered_trim_locked(zone, size);

    entry = ngx_mcp_zone_calloc_locked(zone, size);
    if (entry == NULL) {
        ngx_mcp_zone_unlock(zone);
        return;
    }

    ngx_memcpy(entry->key, key, NGX_MCP_DIGEST_LEN);

    entry->expires = ngx_current_msec + d->left;
    entry->modern = d->modern;

    if (d->version.len == NGX_MCP_DISCOVERED_VERSION_LEN) {
        ngx_memcpy(entry->version, d->version.data, d->version.len);
        entry->has_version = 1;
    }

    if (len) {
        ngx_memcpy(entry->text, d->text.data, len);
        entry->len = len;
    }

    ngx_queue_insert_head(&zone->root->discovered, &entry->queue);
    zone->root->discovered_size += size;

    ngx_mcp_tree_insert(&zone->root->discovered_entries, &entry->node,
                        entry->key);

    ngx_mcp_zone_unlock(zone);
}


static ngx_mcp_discovered_entry_t *
ngx_mcp_discovered_find_locked(ngx_mcp_zone_t *zone, u_char *key)
{
    ngx_rbtree_node_t  *node;

    node = ngx_mcp_tree_find(&zone->root->discovered_entries, key,
                             offsetof(ngx_mcp_discovered_entry_t, key));

    return node ? ngx_rbtree_data(node, ngx_mcp_discovered_entry_t, node)
                : NULL;
}


/*
 * Makes room for an entry of that size.
 */

static void
ngx_mcp_discovered_trim_locked(ngx_mcp_zone_t *zone, size_t size)
{
    ngx_queue_t  *q;

    while (!ngx_queue_empty(&zone->root->discovered)
           && zone->root->discovered_size + size
              > zone->size / NGX_MCP_DISCOVERED_SHARE)
    {
        q = ngx_queue_last(&zone->root->discovered);

        ngx_mcp_discovered_free_locked(zone,
                        ngx_queue_data(q, ngx_mcp_discovered_entry_t, queue));
    }
}


static void
ngx_mcp_discovered_free_locked(ngx_mcp_zone_t *zone,
    ngx_mcp_discovered_entry_t *entry)
{
    zone->root->discovered_size -= sizeof(ngx_mcp_discovered_entry_t)
                                   + entry->len;

    ngx_queue_remove(&entry->queue);
    ngx_rbtree_delete(&zone->root->discovered_entries, &entry->node);
    ngx_mcp_zone_free_locked(zone, entry);
}

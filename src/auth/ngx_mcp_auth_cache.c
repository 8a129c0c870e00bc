
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * The cache of user look-ups in the zone: a bounded LRU.
 *
 * Entries are owned by the zone.  Refusals have a queue of their own with a
 * quarter of the room: an attacker who tries credentials does not evict the
 * entries of users.
 */

#include "ngx_mcp_auth_cache.h"
#include "ngx_mcp_zone.h"


/* the cache has one entry for so many bytes of the zone */

#define NGX_MCP_AUTH_CACHE_BYTES_PER_ENTRY  2048

/* the longest user or challenge that is cached, bytes */

#define NGX_MCP_AUTH_CACHE_MAX_TEXT         512


static ngx_mcp_auth_cache_entry_t *ngx_mcp_auth_cache_find_locked(
    ngx_mcp_zone_t *zone, u_char *digest);
static void ngx_mcp_auth_cache_free_locked(ngx_mcp_zone_t *zone,
    ngx_mcp_auth_cache_entry_t *entry);
static void ngx_mcp_auth_cache_trim_locked(ngx_mcp_zone_t *zone);


ngx_int_t
ngx_mcp_auth_cache_get(u_char *digest, ngx_msec_t max_age, ngx_pool_t *pool,
    ngx_mcp_auth_result_t *result)
{
    u_char                       text[NGX_MCP_AUTH_CACHE_MAX_TEXT];
    ngx_msec_int_t               age, max;
    ngx_str_t                    s;
    ngx_mcp_zone_t              *zone;
    ngx_mcp_auth_cache_entry_t  *entry;

    zone = ngx_mcp_zone();

    ngx_memzero(result, sizeof(ngx_mcp_auth_result_t));

    ngx_mcp_zone_lock(zone);

    entry = ngx_mcp_auth_cache_find_locked(zone, digest);

    /* signed: the cached clock of another worker may be ahead */

    age = entry ? (ngx_msec_int_t) (ngx_current_msec - entry->when) : 0;
    max = (entry && entry->status) ? NGX_MCP_AUTH_CACHE_BAD_AGE_MS
                                   : (ngx_msec_int_t) max_age;

    if (entry == NULL || entry->doubted || age >= max) {
        ngx_mcp_zone_unlock(zone);
        return NGX_DECLINED;
    }

    ngx_queue_remove(&entry->queue);
    ngx_queue_insert_head(entry->status ? &zone->root->bad : &zone->root->good,
                          &entry->queue);

    result->status = entry->status;
    s.len = entry->len;
    ngx_memcpy(text, entry->text, entry->len);

    ngx_mcp_zone_unlock(zone);

    if (s.len == 0) {
        return NGX_OK;
    }

    s.data = text;
    s.data = ngx_pstrdup(pool, &s);
    if (s.data == NULL) {
        return NGX_ERROR;
    }

    if (result->status) {
        result->challenge = s;

    } else {
        result->principal = s;
    }

    return NGX_OK;
}


ngx_uint_t
ngx_mcp_auth_cache_known(u_char *digest)
{
    ngx_uint_t                   known;
    ngx_mcp_zone_t              *zone;
    ngx_mcp_auth_cache_entry_t  *entry;

    zone = ngx_mcp_zone();

    ngx_mcp_zone_lock(zone);

    entry = ngx_mcp_auth_cache_find_locked(zone, digest);
    known = (entry && entry->status == 0);

    ngx_mcp_zone_unlock(zone);

    return known;
}


ngx_uint_t
ngx_mcp_auth_cache_put(u_char *digest, ngx_mcp_auth_result_t *result)
{
    ngx_uint_t                   confirmed;
    ngx_str_t                   *text;
    ngx_mcp_zone_t              *zone;
    ngx_mcp_auth_cache_entry_t  *entry;

    zone = ngx_mcp_zone();

    text = result->status ? &result->challenge : &result->principal;

    if (text->len > NGX_MCP_AUTH_CACHE_MAX_TEXT) {
        return 0;
    }

    ngx_mcp_zone_lock(zone);

    entry = ngx_mcp_auth_cache_find_locked(zone, digest);

    confirmed = (entry && entry->doubted && result->status == 0);

    if (entry) {
        ngx_mcp_auth_cache_free_locked(zone, entry);
    }

    ngx_mcp_auth_cache_trim_locked(zone);

    entry = ngx_mcp_zone_alloc_locked(zone,
                                      offsetof(ngx_mcp_auth_cache_entry_t,
                                               text)
                                      + ngx_max(text->len, 1));
    if (entry == NULL) {
        ngx_mcp_zone_unlock(zone);
        return confirmed;
    }

    ngx_memcpy(entry->key, digest, NGX_MCP_DIGEST_LEN);

    if (text->len) {
        ngx_memcpy(entry->text, text->data, text->len);
    }

    entry->len = text->len;
    entry->status = result->status;
    entry->when = ngx_current_msec;
    entry->doubted = 0;
    entry->confirmed = confirmed;

    if (entry->status) {
        ngx_queue_insert_head(&zone->root->bad, &entry->queue);
        zone->root->nbad++;

    } else {
        ngx_queue_insert_head(&zone->root->good, &entry->queue);
        zone->root->ngood++;
    }

    ngx_mcp_tree_insert(&zone->root->auth_entries, &entry->node, entry->key);

    ngx_mcp_zone_unlock(zone);

    return confirmed;
}


ngx_uint_t
ngx_mcp_auth_cache_doubt(u_char *digest, ngx_msec_t started)
{
    ngx_uint_t                   doubt;
    ngx_mcp_zone_t              *zone;
    ngx_mcp_auth_cache_entry_t  *entry;

    zone = ngx_mcp_zone();

    ngx_mcp_zone_lock(zone);

    entry = ngx_mcp_auth_cache_find_locked(zone, digest);

    doubt = (entry
             && entry->status == 0
             && !entry->confirmed
             && !entry->doubted
             && (ngx_msec_int_t) (started - entry->when) >= 0);

    if (doubt) {
        entry->doubted = 1;
    }

    ngx_mcp_zone_unlock(zone);

    return doubt;
}


static ngx_mcp_auth_cache_entry_t *
ngx_mcp_auth_cache_find_locked(ngx_mcp_zone_t *zone, u_char *digest)
{
    ngx_rbtree_node_t  *node;

    node = ngx_mcp_tree_find(&zone->root->auth_entries, digest,
                             offsetof(ngx_mcp_auth_cache_entry_t, key));

    return node ? ngx_rbtree_data(node, ngx_mcp_auth_cache_entry_t, node)
                : NULL;
}


static void
ngx_mcp_auth_cache_trim_locked(ngx_mcp_zone_t *zone)
{
    ngx_uint_t    max;
    ngx_queue_t  *q;

    max = zone->size / NGX_MCP_AUTH_CACHE_BYTES_PER_ENTRY;

    if (zone->root->nbad >= max / 4) {
        q = ngx_queue_last(&zone->root->bad);

    } else if (zone->root->ngood + zone->root->nbad >= max) {
        q = ngx_queue_last(&zone->root->good);

    } else {
        return;
    }

    ngx_mcp_auth_cache_free_locked(zone,
                                   ngx_queue_data(q,
                                                  ngx_mcp_auth_cache_entry_t,
                                                  queue));
}


static void
ngx_mcp_auth_cache_free_locked(ngx_mcp_zone_t *zone,
    ngx_mcp_auth_cache_entry_t *entry)
{
    if (entry->status) {
        zone->root->nbad--;

    } else {
        zone->root->ngood--;
    }

    ngx_queue_remove(&entry->queue);
    ngx_rbtree_delete(&zone->root->auth_entries, &entry->node);
    ngx_mcp_zone_free_locked(zone, entry);
}

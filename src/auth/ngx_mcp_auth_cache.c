
/*
 * Entries belong to the zone.  Refusals have a queue of their own with a
 * quarter of the room, so that guessing does not push good ones out.
 */

#include "ngx_mcp_auth_cache.h"
#include "ngx_mcp_zone.h"


#define NGX_MCP_AUTH_CACHE_BYTES_PER_ENTRY  2048    /* of the zone */
#define NGX_MCP_AUTH_CACHE_MAX_TEXT         512     /* of its text */


static ngx_mcp_auth_cache_entry_t *ngx_mcp_auth_cache_find(
    ngx_mcp_zone_t *zone, u_char *digest);
static void ngx_mcp_auth_cache_free(ngx_mcp_zone_t *zone,
    ngx_mcp_auth_cache_entry_t *v);
static void ngx_mcp_auth_cache_trim(ngx_mcp_zone_t *zone);


ngx_int_t
ngx_mcp_auth_cache_get(u_char *digest, ngx_msec_t good, ngx_pool_t *pool,
    ngx_mcp_auth_result_t *verdict)
{
    u_char                       text[NGX_MCP_AUTH_CACHE_MAX_TEXT];
    ngx_msec_int_t               age, max;
    ngx_str_t                    s;
    ngx_mcp_zone_t              *zone;
    ngx_mcp_auth_cache_entry_t  *v;

    zone = ngx_mcp_zone();

    ngx_memzero(verdict, sizeof(ngx_mcp_auth_result_t));

    ngx_mcp_zone_lock(zone);

    v = ngx_mcp_auth_cache_find(zone, digest);

    /* another worker's clock may be a little ahead of this one's */

    age = v ? (ngx_msec_int_t) (ngx_current_msec - v->when) : 0;
    max = (v && v->status) ? NGX_MCP_AUTH_CACHE_BAD_AGE_MS
                           : (ngx_msec_int_t) good;

    if (v == NULL || age >= max) {
        ngx_mcp_zone_unlock(zone);
        return NGX_DECLINED;
    }

    ngx_queue_remove(&v->queue);
    ngx_queue_insert_head(v->status ? &zone->root->bad : &zone->root->good,
                          &v->queue);

    verdict->status = v->status;
    s.len = v->len;
    ngx_memcpy(text, v->text, v->len);

    ngx_mcp_zone_unlock(zone);

    if (s.len == 0) {
        return NGX_OK;
    }

    s.data = text;
    s.data = ngx_pstrdup(pool, &s);
    if (s.data == NULL) {
        return NGX_ERROR;
    }

    if (verdict->status) {
        verdict->challenge = s;

    } else {
        verdict->principal = s;
    }

    return NGX_OK;
}


void
ngx_mcp_auth_cache_put(u_char *digest, ngx_mcp_auth_result_t *verdict)
{
    ngx_str_t                   *text;
    ngx_mcp_zone_t              *zone;
    ngx_mcp_auth_cache_entry_t  *v;

    zone = ngx_mcp_zone();

    text = verdict->status ? &verdict->challenge : &verdict->principal;

    if (text->len > NGX_MCP_AUTH_CACHE_MAX_TEXT) {
        return;
    }

    ngx_mcp_zone_lock(zone);

    v = ngx_mcp_auth_cache_find(zone, digest);

    if (v) {
        ngx_mcp_auth_cache_free(zone, v);
    }

    ngx_mcp_auth_cache_trim(zone);

    v = ngx_mcp_zone_alloc_locked(zone,
                       offsetof(ngx_mcp_auth_cache_entry_t, text)
                       + ngx_max(text->len, 1));
    if (v == NULL) {
        ngx_mcp_zone_unlock(zone);
        return;
    }

    ngx_memcpy(v->key, digest, NGX_MCP_DIGEST_LEN);

    if (text->len) {
        ngx_memcpy(v->text, text->data, text->len);
    }

    v->len = text->len;
    v->status = verdict->status;
    v->when = ngx_current_msec;

    if (v->status) {
        ngx_queue_insert_head(&zone->root->bad, &v->queue);
        zone->root->nbad++;

    } else {
        ngx_queue_insert_head(&zone->root->good, &v->queue);
        zone->root->ngood++;
    }

    ngx_mcp_zone_insert(&zone->root->auth_entries, &v->node, v->key);

    ngx_mcp_zone_unlock(zone);
}


static ngx_mcp_auth_cache_entry_t *
ngx_mcp_auth_cache_find(ngx_mcp_zone_t *zone, u_char *digest)
{
    ngx_rbtree_node_t  *node;

    node = ngx_mcp_zone_find(&zone->root->auth_entries, digest,
                            offsetof(ngx_mcp_auth_cache_entry_t, key));

    return node ? ngx_rbtree_data(node, ngx_mcp_auth_cache_entry_t, node)
                : NULL;
}


static void
ngx_mcp_auth_cache_trim(ngx_mcp_zone_t *zone)
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

    ngx_mcp_auth_cache_free(zone,
                  ngx_queue_data(q, ngx_mcp_auth_cache_entry_t, queue));
}


static void
ngx_mcp_auth_cache_free(ngx_mcp_zone_t *zone, ngx_mcp_auth_cache_entry_t *v)
{
    if (v->status) {
        zone->root->nbad--;

    } else {
        zone->root->ngood--;
    }

    ngx_queue_remove(&v->queue);
    ngx_rbtree_delete(&zone->root->auth_entries, &v->node);
    ngx_mcp_zone_free_locked(zone, v);
}


/*
 * Entries belong to the zone: nobody's end takes them away but their own.
 */

#include "ngx_mcp_revocation.h"


typedef struct {
    ngx_rbtree_node_t      node;         /* in root->revoked */
    u_char                 key[NGX_MCP_DIGEST_LEN];
    ngx_rbtree_node_t      end;          /* in root->revoked_ends */
} ngx_mcp_revocation_t;


static ngx_mcp_revocation_t *ngx_mcp_revocation_alloc(ngx_mcp_zone_t *zone,
    ngx_uint_t *forgotten);
static ngx_mcp_revocation_t *ngx_mcp_revocation_first(ngx_mcp_zone_t *zone);
static void ngx_mcp_revocation_free(ngx_mcp_zone_t *zone,
    ngx_mcp_revocation_t *revoked);


ngx_int_t
ngx_mcp_revocation_add(u_char *key, time_t end)
{
    ngx_int_t              rc;
    ngx_uint_t             forgotten;
    ngx_mcp_zone_t        *zone;
    ngx_mcp_revocation_t  *revoked;

    zone = ngx_mcp_zone();

    rc = NGX_ERROR;
    forgotten = 0;

    ngx_mcp_zone_lock(zone);

    if (ngx_mcp_zone_find(&zone->root->revoked, key,
                                offsetof(ngx_mcp_revocation_t, key)))
    {
        ngx_mcp_zone_unlock(zone);
        return NGX_DECLINED;
    }

    revoked = ngx_mcp_revocation_alloc(zone, &forgotten);

    if (revoked) {
        rc = NGX_OK;

        ngx_memcpy(revoked->key, key, NGX_MCP_DIGEST_LEN);
        ngx_mcp_zone_insert(&zone->root->revoked, &revoked->node, key);

        revoked->end.key = (ngx_rbtree_key_t) end;
        ngx_rbtree_insert(&zone->root->revoked_ends, &revoked->end);

        zone->root->nrevoked++;
    }

    ngx_mcp_zone_unlock(zone);

    if (revoked == NULL) {
        ngx_mcp_zone_nomem(zone, ngx_cycle->log);
    }

    if (forgotten) {
        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "mcp sse: too many ended sessions for mcp_sse_zone "
                      "\"%V\", %ui forgotten",
                      &zone->conf->zone_name, forgotten);
    }

    return rc;
}


/*
 * Under the mutex.
 */

static ngx_mcp_revocation_t *
ngx_mcp_revocation_alloc(ngx_mcp_zone_t *zone, ngx_uint_t *forgotten)
{
    ngx_uint_t             max;
    ngx_mcp_revocation_t  *revoked;

    /* what the slab takes for one is the next power of two */

    max = zone->size / 8 / (2 * sizeof(ngx_mcp_revocation_t));

    for ( ;; ) {

        revoked = NULL;

        if (zone->root->nrevoked < max) {
            revoked = ngx_mcp_zone_calloc_locked(zone,
                                        sizeof(ngx_mcp_revocation_t));
        }

        if (revoked || zone->root->nrevoked == 0) {
            return revoked;
        }

        ngx_mcp_revocation_free(zone, ngx_mcp_revocation_first(zone));
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

    node = ngx_mcp_zone_find(&zone->root->revoked, key,
                                offsetof(ngx_mcp_revocation_t, key));

    ngx_mcp_zone_unlock(zone);

    return node != NULL;
}


/*
 * They are copied: nobody is to wait for what the handler does.
 */

void
ngx_mcp_revocation_each(void (*handler)(u_char *key, time_t end))
{
    ngx_uint_t             i, n;
    ngx_rbtree_node_t     *node;
    ngx_mcp_zone_t        *zone;
    ngx_mcp_revocation_t  *all, *revoked;

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
        revoked = (ngx_mcp_revocation_t *)
                      ((u_char *) node - offsetof(ngx_mcp_revocation_t, end));
        all[i] = *revoked;
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
    ngx_mcp_revocation_t  *revoked;

    while (zone->root->nrevoked) {

        revoked = ngx_mcp_revocation_first(zone);

        if ((time_t) revoked->end.key > ngx_time()) {
            return;
        }

        ngx_mcp_revocation_free(zone, revoked);
    }
}


static ngx_mcp_revocation_t *
ngx_mcp_revocation_first(ngx_mcp_zone_t *zone)
{
    u_char  *node;

    node = (u_char *) ngx_rbtree_min(zone->root->revoked_ends.root,
                                     zone->root->revoked_ends.sentinel);

    return (ngx_mcp_revocation_t *)
               (node - offsetof(ngx_mcp_revocation_t, end));
}


static void
ngx_mcp_revocation_free(ngx_mcp_zone_t *zone, ngx_mcp_revocation_t *revoked)
{
    ngx_rbtree_delete(&zone->root->revoked, &revoked->node);
    ngx_rbtree_delete(&zone->root->revoked_ends, &revoked->end);

    ngx_mcp_zone_free_locked(zone, revoked);

    zone->root->nrevoked--;
}

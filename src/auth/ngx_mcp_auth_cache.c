
/*
 * Entries belong to the zone.  Refusals have a queue of their own with a
 * quarter of the room, so that guessing does not push good ones out.
 */

#include "ngx_mcp_auth_cache.h"
#include "ngx_mcp_zone.h"


#define NGX_HTTP_MCP_SSE_BYTES_PER_VERDICT  2048    /* of the zone */
#define NGX_HTTP_MCP_SSE_MAX_VERDICT        512     /* of its text */


static ngx_http_mcp_sse_shm_verdict_t *ngx_http_mcp_sse_verdict_find(
    ngx_http_mcp_sse_zone_t *zone, u_char *digest);
static void ngx_http_mcp_sse_verdict_free(ngx_http_mcp_sse_zone_t *zone,
    ngx_http_mcp_sse_shm_verdict_t *v);
static void ngx_http_mcp_sse_verdict_trim(ngx_http_mcp_sse_zone_t *zone);


ngx_int_t
ngx_http_mcp_sse_verdict_get(u_char *digest, ngx_msec_t good,
    ngx_pool_t *pool, ngx_http_mcp_sse_verdict_t *verdict)
{
    u_char                           text[NGX_HTTP_MCP_SSE_MAX_VERDICT];
    ngx_msec_int_t                   age, max;
    ngx_str_t                        s;
    ngx_http_mcp_sse_zone_t         *zone;
    ngx_http_mcp_sse_shm_verdict_t  *v;

    zone = ngx_http_mcp_sse_zone();

    ngx_memzero(verdict, sizeof(ngx_http_mcp_sse_verdict_t));

    ngx_http_mcp_sse_zone_lock(zone);

    v = ngx_http_mcp_sse_verdict_find(zone, digest);

    /* another worker's clock may be a little ahead of this one's */

    age = v ? (ngx_msec_int_t) (ngx_current_msec - v->when) : 0;
    max = (v && v->status) ? NGX_HTTP_MCP_SSE_BAD_AGE : (ngx_msec_int_t) good;

    if (v == NULL || age >= max) {
        ngx_http_mcp_sse_zone_unlock(zone);
        return NGX_DECLINED;
    }

    ngx_queue_remove(&v->queue);
    ngx_queue_insert_head(v->status ? &zone->root->bad : &zone->root->good,
                          &v->queue);

    verdict->status = v->status;
    s.len = v->len;
    ngx_memcpy(text, v->text, v->len);

    ngx_http_mcp_sse_zone_unlock(zone);

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
ngx_http_mcp_sse_verdict_put(u_char *digest,
    ngx_http_mcp_sse_verdict_t *verdict)
{
    ngx_str_t                       *text;
    ngx_http_mcp_sse_zone_t         *zone;
    ngx_http_mcp_sse_shm_verdict_t  *v;

    zone = ngx_http_mcp_sse_zone();

    text = verdict->status ? &verdict->challenge : &verdict->principal;

    if (text->len > NGX_HTTP_MCP_SSE_MAX_VERDICT) {
        return;
    }

    ngx_http_mcp_sse_zone_lock(zone);

    v = ngx_http_mcp_sse_verdict_find(zone, digest);

    if (v) {
        ngx_http_mcp_sse_verdict_free(zone, v);
    }

    ngx_http_mcp_sse_verdict_trim(zone);

    v = ngx_http_mcp_sse_zone_alloc(zone,
                       offsetof(ngx_http_mcp_sse_shm_verdict_t, text)
                       + ngx_max(text->len, 1));
    if (v == NULL) {
        ngx_http_mcp_sse_zone_unlock(zone);
        return;
    }

    ngx_memcpy(v->key, digest, NGX_HTTP_MCP_SSE_DIGEST);

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

    ngx_http_mcp_sse_zone_insert(&zone->root->verdicts, &v->node, v->key);

    ngx_http_mcp_sse_zone_unlock(zone);
}


static ngx_http_mcp_sse_shm_verdict_t *
ngx_http_mcp_sse_verdict_find(ngx_http_mcp_sse_zone_t *zone, u_char *digest)
{
    ngx_rbtree_node_t  *node;

    node = ngx_http_mcp_sse_zone_find(&zone->root->verdicts, digest,
                            offsetof(ngx_http_mcp_sse_shm_verdict_t, key));

    return node ? ngx_rbtree_data(node, ngx_http_mcp_sse_shm_verdict_t, node)
                : NULL;
}


static void
ngx_http_mcp_sse_verdict_trim(ngx_http_mcp_sse_zone_t *zone)
{
    ngx_uint_t    max;
    ngx_queue_t  *q;

    max = zone->size / NGX_HTTP_MCP_SSE_BYTES_PER_VERDICT;

    if (zone->root->nbad >= max / 4) {
        q = ngx_queue_last(&zone->root->bad);

    } else if (zone->root->ngood + zone->root->nbad >= max) {
        q = ngx_queue_last(&zone->root->good);

    } else {
        return;
    }

    ngx_http_mcp_sse_verdict_free(zone,
                  ngx_queue_data(q, ngx_http_mcp_sse_shm_verdict_t, queue));
}


static void
ngx_http_mcp_sse_verdict_free(ngx_http_mcp_sse_zone_t *zone,
    ngx_http_mcp_sse_shm_verdict_t *v)
{
    if (v->status) {
        zone->root->nbad--;

    } else {
        zone->root->ngood--;
    }

    ngx_queue_remove(&v->queue);
    ngx_rbtree_delete(&zone->root->verdicts, &v->node);
    ngx_http_mcp_sse_zone_free(zone, v);
}

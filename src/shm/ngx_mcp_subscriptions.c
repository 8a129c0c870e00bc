
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * What clients of the older era have asked of sessions, in the zone.
 *
 * The records are owned by the zone: ngx_mcp_subscriptions_record.c.
 */

#include "ngx_mcp_subscriptions.h"
#include "ngx_mcp_subscriptions_record.h"


#define NGX_MCP_SUBSCRIPTIONS_MIN_ROOM  6   /* URIs: 120 bytes */


static ngx_int_t ngx_mcp_subscriptions_add_locked(ngx_mcp_zone_t *zone,
    ngx_mcp_subscriptions_t *record, u_char *uri, uint32_t checked);
static ngx_int_t ngx_mcp_subscriptions_grow_locked(ngx_mcp_zone_t *zone,
    ngx_mcp_subscriptions_t *record);
static ngx_mcp_subscriptions_uri_t *ngx_mcp_subscriptions_uri(
    ngx_mcp_subscriptions_t *record, u_char *uri);
static void ngx_mcp_subscriptions_check_locked(ngx_mcp_zone_t *zone,
    ngx_mcp_subscriptions_t *record);
static uint32_t ngx_mcp_subscriptions_now(void);


ngx_int_t
ngx_mcp_subscriptions_level(u_char *key, u_char *user, time_t expires,
    ngx_uint_t level)
{
    ngx_mcp_zone_t           *zone;
    ngx_mcp_subscriptions_t  *record;

    zone = ngx_mcp_zone();

    ngx_mcp_zone_lock(zone);

    record = ngx_mcp_subscriptions_record_make_locked(zone, key, user, expires);

    if (record) {
        record->level = level;
    }

    ngx_mcp_zone_unlock(zone);

    return record ? NGX_OK : NGX_BUSY;
}


ngx_int_t
ngx_mcp_subscriptions_add(u_char *key, u_char *user, time_t expires,
    u_char *uri)
{
    ngx_int_t                 rc;
    ngx_mcp_zone_t           *zone;
    ngx_mcp_subscriptions_t  *record;

    zone = ngx_mcp_zone();
    rc = NGX_BUSY;

    ngx_mcp_zone_lock(zone);

    record = ngx_mcp_subscriptions_record_make_locked(zone, key, user, expires);

    if (record) {
        rc = ngx_mcp_subscriptions_add_locked(zone, record, uri,
                                              ngx_mcp_subscriptions_now());
        ngx_mcp_subscriptions_check_locked(zone, record);
    }

    ngx_mcp_zone_unlock(zone);

    return rc;
}


void
ngx_mcp_subscriptions_remove(u_char *key, u_char *uri)
{
    ngx_mcp_zone_t               *zone;
    ngx_mcp_subscriptions_t      *record;
    ngx_mcp_subscriptions_uri_t  *u;

    zone = ngx_mcp_zone();

    ngx_mcp_zone_lock(zone);

    record = ngx_mcp_subscriptions_record_find_locked(zone, key);
    u = record ? ngx_mcp_subscriptions_uri(record, uri) : NULL;

    if (u) {
        *u = record->uris[--record->nuris];
        ngx_mcp_subscriptions_check_locked(zone, record);
    }

    ngx_mcp_zone_unlock(zone);
}


void
ngx_mcp_subscriptions_put(u_char *key, u_char *user, time_t expires,
    ngx_mcp_subscriptions_all_t *all)
{
    ngx_uint_t                i;
    ngx_mcp_zone_t           *zone;
    ngx_mcp_subscriptions_t  *record;

    zone = ngx_mcp_zone();

    ngx_mcp_zone_lock(zone);

    record = ngx_mcp_subscriptions_record_make_locked(zone, key, user, expires);

    if (record) {
        record->level = all->level;
        record->nuris = 0;

        for (i = 0; i < all->nuris; i++) {

            if (ngx_mcp_subscriptions_add_locked(zone, record,
                                                 all->uris[i].digest,
                                                 all->uris[i].checked)
                != NGX_OK)
            {
                break;
            }
        }

        ngx_mcp_subscriptions_check_locked(zone, record);
    }

    ngx_mcp_zone_unlock(zone);
}


ngx_int_t
ngx_mcp_subscriptions_get(u_char *key, ngx_mcp_subscriptions_all_t *all)
{
    ngx_mcp_zone_t           *zone;
    ngx_mcp_subscriptions_t  *record;

    zone = ngx_mcp_zone();

    ngx_mcp_zone_lock(zone);

    record = ngx_mcp_subscriptions_record_find_locked(zone, key);

    if (record) {
        all->level = record->level;
        all->nuris = record->nuris;

        if (record->nuris) {
            ngx_memcpy(all->uris, record->uris,
                       record->nuris * sizeof(ngx_mcp_subscriptions_uri_t));
        }
    }

    ngx_mcp_zone_unlock(zone);

    return record ? NGX_OK : NGX_DECLINED;
}


void
ngx_mcp_subscriptions_forget(u_char *key)
{
    ngx_mcp_zone_t           *zone;
    ngx_mcp_subscriptions_t  *record;

    zone = ngx_mcp_zone();

    /* most sessions have asked for nothing */

    if (zone->root->subscriptions_size == 0) {
        return;
    }

    ngx_mcp_zone_lock(zone);

    record = ngx_mcp_subscriptions_record_find_locked(zone, key);

    if (record) {
        ngx_mcp_subscriptions_record_free_locked(zone, record);
    }

    ngx_mcp_zone_unlock(zone);
}


/*
 * As ngx_mcp_revocation_expire_locked(): the clock of the system may step.
 */

void
ngx_mcp_subscriptions_expire_locked(ngx_mcp_zone_t *zone)
{
    ngx_rbtree_node_t        *node;
    ngx_mcp_subscriptions_t  *record;

    while (zone->root->subscriptions_size) {

        node = ngx_rbtree_min(zone->root->subscriptions_ends.root,
                              zone->root->subscriptions_ends.sentinel);

        record = (ngx_mcp_subscriptions_t *)
                   ((u_char *) node - offsetof(ngx_mcp_subscriptions_t, end));

        if ((time_t) record->end.key > ngx_time()
            || (ngx_msec_int_t) (ngx_current_msec - record->until) < 0)
        {
            return;
        }

        ngx_mcp_subscriptions_record_free_locked(zone, record);
    }
}


ngx_uint_t
ngx_mcp_subscriptions_known(u_char *key)
{
    ngx_mcp_zone_t           *zone;
    ngx_mcp_subscriptions_t  *record;

    zone = ngx_mcp_zone();

    if (zone->root->subscriptions_size == 0) {
        return 0;
    }

    ngx_mcp_zone_lock(zone);
    record = ngx_mcp_subscriptions_record_find_locked(zone, key);
    ngx_mcp_zone_unlock(zone);

    return record != NULL;
}


ngx_uint_t
ngx_mcp_subscriptions_wants(u_char *key, ngx_uint_t level)
{
    ngx_uint_t                wants;
    ngx_mcp_zone_t           *zone;
    ngx_mcp_subscriptions_t  *record;

    zone = ngx_mcp_zone();

    if (zone->root->subscriptions_size == 0) {
        return 1;
    }

    wants = 1;

    ngx_mcp_zone_lock(zone);

    record = ngx_mcp_subscriptions_record_find_locked(zone, key);

    if (record) {
        wants = (level <= record->level);
        ngx_mcp_subscriptions_record_used_locked(zone, record);
    }

    ngx_mcp_zone_unlock(zone);

    return wants;
}


ngx_int_t
ngx_mcp_subscriptions_find(u_char *key, u_char *uri, ngx_msec_t *age)
{
    ngx_int_t                     rc;
    ngx_mcp_zone_t               *zone;
    ngx_mcp_subscriptions_t      *record;
    ngx_mcp_subscriptions_uri_t  *u;

    zone = ngx_mcp_zone();
    rc = NGX_DECLINED;

    ngx_mcp_zone_lock(zone);

    record = ngx_mcp_subscriptions_record_find_locked(zone, key);

    if (record) {
        u = ngx_mcp_subscriptions_uri(record, uri);

        if (u) {
            *age = (ngx_msec_t) 1000 * (ngx_mcp_subscriptions_now()
                                        - u->checked);
            rc = NGX_OK;

        } else if (record->nuris == NGX_MCP_SUBSCRIPTIONS_MAX) {
            rc = NGX_BUSY;
        }

        ngx_mcp_subscriptions_record_used_locked(zone, record);
    }

    ngx_mcp_zone_unlock(zone);

    return rc;
}


static ngx_mcp_subscriptions_uri_t *
ngx_mcp_subscriptions_uri(ngx_mcp_subscriptions_t *record, u_char *uri)
{
    ngx_uint_t  i;

    for (i = 0; i < record->nuris; i++) {

        if (ngx_memcmp(record->uris[i].digest, uri, NGX_MCP_DIGEST_LEN) == 0) {
            return &record->uris[i];
        }
    }

    return NULL;
}


static ngx_int_t
ngx_mcp_subscriptions_add_locked(ngx_mcp_zone_t *zone,
    ngx_mcp_subscriptions_t *record, u_char *uri, uint32_t checked)
{
    ngx_mcp_subscriptions_uri_t  *u;

    u = ngx_mcp_subscriptions_uri(record, uri);

    if (u == NULL) {

        if (record->nuris == record->room
            && ngx_mcp_subscriptions_grow_locked(zone, record) != NGX_OK)
        {
            return NGX_BUSY;
        }

        u = &record->uris[record->nuris++];
        ngx_memcpy(u->digest, uri, NGX_MCP_DIGEST_LEN);
    }

    u->checked = checked;

    return NGX_OK;
}


/*
 * Makes room for twice as many URIs.
 */

static ngx_int_t
ngx_mcp_subscriptions_grow_locked(ngx_mcp_zone_t *zone,
    ngx_mcp_subscriptions_t *record)
{
    size_t                        size;
    ngx_uint_t                    room;
    ngx_mcp_subscriptions_uri_t  *uris;

    if (record->room == NGX_MCP_SUBSCRIPTIONS_MAX) {
        return NGX_BUSY;
    }

    room = ngx_max(2 * record->room, NGX_MCP_SUBSCRIPTIONS_MIN_ROOM);
    room = ngx_min(room, NGX_MCP_SUBSCRIPTIONS_MAX);

    size = (room - record->room) * sizeof(ngx_mcp_subscriptions_uri_t);

    if (ngx_mcp_subscriptions_record_room_locked(zone, record, size)
        != NGX_OK)
    {
        return NGX_BUSY;
    }

    uris = ngx_mcp_zone_alloc_locked(zone, room
                                     * sizeof(ngx_mcp_subscriptions_uri_t));
    if (uris == NULL) {
        return NGX_BUSY;
    }

    if (record->uris) {
        ngx_memcpy(uris, record->uris,
                   record->nuris * sizeof(ngx_mcp_subscriptions_uri_t));
        ngx_mcp_zone_free_locked(zone, record->uris);
    }

    record->uris = uris;
    record->room = room;

    ngx_mcp_subscriptions_record_count_locked(zone, record, (ssize_t) size);

    return NGX_OK;
}


/*
 * Frees a record that says nothing.
 */

static void
ngx_mcp_subscriptions_check_locked(ngx_mcp_zone_t *zone,
    ngx_mcp_subscriptions_t *record)
{
    if (record->nuris == 0 && record->level == NGX_MCP_LOG_UNKNOWN) {
        ngx_mcp_subscriptions_record_free_locked(zone, record);
    }
}


static uint32_t
ngx_mcp_subscriptions_now(void)
{
    return (uint32_t) (ngx_current_msec / 1000);
}

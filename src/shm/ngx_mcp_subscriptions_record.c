
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Records of what sessions have asked for, in the zone.
 *
 * They are owned by the zone, whichever worker has made them.  They stay until
 * their session ids are ended or expire, or until there is no room and they
 * were not used for the longest time.  The record of a user goes with the last
 * of his.
 */

#include "ngx_mcp_subscriptions_record.h"
#include "ngx_mcp_tree.h"


/*
 * Bytes of all records; the slab allocator uses at most twice as much, 1/16 of
 * the zone.  A user has at most that part of them.
 */

#define NGX_MCP_SUBSCRIPTIONS_SHARE       32
#define NGX_MCP_SUBSCRIPTIONS_USER_SHARE  8

/* records whose sessions have a stream are passed over, so many at once */

#define NGX_MCP_SUBSCRIPTIONS_MAX_TRIES   64


static ngx_mcp_subscriptions_user_t *ngx_mcp_subscriptions_record_user_locked(
    ngx_mcp_zone_t *zone, u_char *key);
static ngx_uint_t ngx_mcp_subscriptions_record_displace_locked(
    ngx_mcp_zone_t *zone, ngx_mcp_subscriptions_t *keep, ngx_uint_t all);


ngx_mcp_subscriptions_t *
ngx_mcp_subscriptions_record_find_locked(ngx_mcp_zone_t *zone, u_char *key)
{
    ngx_rbtree_node_t  *node;

    node = ngx_mcp_tree_find(&zone->root->subscriptions, key,
                             offsetof(ngx_mcp_subscriptions_t, key));

    return node ? ngx_rbtree_data(node, ngx_mcp_subscriptions_t, node) : NULL;
}


/*
 * A new record is linked before others go for it, so that its user does not.
 */

ngx_mcp_subscriptions_t *
ngx_mcp_subscriptions_record_make_locked(ngx_mcp_zone_t *zone, u_char *key,
    u_char *user, time_t expires)
{
    time_t                         left;
    ngx_mcp_subscriptions_t       *record;
    ngx_mcp_subscriptions_user_t  *owner;

    record = ngx_mcp_subscriptions_record_find_locked(zone, key);

    if (record) {
        ngx_mcp_subscriptions_record_used_locked(zone, record);
        return record;
    }

    record = ngx_mcp_zone_calloc_locked(zone, sizeof(ngx_mcp_subscriptions_t));
    if (record == NULL) {
        return NULL;
    }

    owner = ngx_mcp_subscriptions_record_user_locked(zone, user);

    if (owner == NULL) {
        ngx_mcp_zone_free_locked(zone, record);
        return NULL;
    }

    ngx_memcpy(record->key, key, NGX_MCP_DIGEST_LEN);
    record->user = owner;
    record->level = NGX_MCP_LOG_UNKNOWN;

    left = expires - ngx_time();
    record->until = ngx_current_msec + 1000 * (ngx_msec_t) ngx_max(left, 0);
    record->end.key = (ngx_rbtree_key_t) expires;

    ngx_mcp_tree_insert(&zone->root->subscriptions, &record->node, key);
    ngx_rbtree_insert(&zone->root->subscriptions_ends, &record->end);
    ngx_queue_insert_head(&zone->root->subscriptions_used, &record->queue);
    ngx_queue_insert_head(&owner->records, &record->siblings);

    ngx_mcp_subscriptions_record_count_locked(zone, record,
                                       sizeof(ngx_mcp_subscriptions_t)
                                       + sizeof(ngx_mcp_subscriptions_user_t));

    if (ngx_mcp_subscriptions_record_room_locked(zone, record, 0) != NGX_OK) {
        ngx_mcp_subscriptions_record_free_locked(zone, record);
        return NULL;
    }

    return record;
}


static ngx_mcp_subscriptions_user_t *
ngx_mcp_subscriptions_record_user_locked(ngx_mcp_zone_t *zone, u_char *key)
{
    ngx_rbtree_node_t             *node;
    ngx_mcp_subscriptions_user_t  *user;

    node = ngx_mcp_tree_find(&zone->root->subscriptions_users, key,
                             offsetof(ngx_mcp_subscriptions_user_t, key));

    if (node) {
        return ngx_rbtree_data(node, ngx_mcp_subscriptions_user_t, node);
    }

    user = ngx_mcp_zone_calloc_locked(zone,
                                      sizeof(ngx_mcp_subscriptions_user_t));
    if (user == NULL) {
        return NULL;
    }

    ngx_memcpy(user->key, key, NGX_MCP_DIGEST_LEN);
    ngx_queue_init(&user->records);

    ngx_mcp_tree_insert(&zone->root->subscriptions_users, &user->node, key);

    return user;
}


/*
 * Makes room for "size" more bytes of the record: others go.
 */

ngx_int_t
ngx_mcp_subscriptions_record_room_locked(ngx_mcp_zone_t *zone,
    ngx_mcp_subscriptions_t *record, size_t size)
{
    size_t  max;

    max = zone->size / NGX_MCP_SUBSCRIPTIONS_SHARE;

    while (record->user->size + size > max / NGX_MCP_SUBSCRIPTIONS_USER_SHARE) {

        if (!ngx_mcp_subscriptions_record_displace_locked(zone, record, 0)) {
            return NGX_BUSY;
        }
    }

    while (zone->root->subscriptions_size + size > max) {

        if (!ngx_mcp_subscriptions_record_displace_locked(zone, record, 1)) {
            return NGX_BUSY;
        }
    }

    return NGX_OK;
}


/*
 * Frees a record, other than "keep", of the same user or of all, that was not
 * used for the longest time and whose session has no stream.  Returns 0 if none
 * was found.
 */

static ngx_uint_t
ngx_mcp_subscriptions_record_displace_locked(ngx_mcp_zone_t *zone,
    ngx_mcp_subscriptions_t *keep, ngx_uint_t all)
{
    ngx_uint_t                i;
    ngx_queue_t              *q;
    ngx_mcp_subscriptions_t  *record;

    for (i = 0; i < NGX_MCP_SUBSCRIPTIONS_MAX_TRIES; i++) {

        if (all) {
            q = ngx_queue_last(&zone->root->subscriptions_used);
            record = ngx_queue_data(q, ngx_mcp_subscriptions_t, queue);

        } else {
            q = ngx_queue_last(&keep->user->records);
            record = ngx_queue_data(q, ngx_mcp_subscriptions_t, siblings);
        }

        if (record != keep
            && ngx_mcp_tree_find(&zone->root->records, record->key,
                                 offsetof(ngx_mcp_session_record_t, key))
               == NULL)
        {
            ngx_mcp_subscriptions_record_free_locked(zone, record);
            return 1;
        }

        ngx_mcp_subscriptions_record_used_locked(zone, record);
    }

    return 0;
}


void
ngx_mcp_subscriptions_record_used_locked(ngx_mcp_zone_t *zone,
    ngx_mcp_subscriptions_t *record)
{
    ngx_queue_remove(&record->queue);
    ngx_queue_insert_head(&zone->root->subscriptions_used, &record->queue);

    ngx_queue_remove(&record->siblings);
    ngx_queue_insert_head(&record->user->records, &record->siblings);
}


void
ngx_mcp_subscriptions_record_count_locked(ngx_mcp_zone_t *zone,
    ngx_mcp_subscriptions_t *record, ssize_t size)
{
    zone->root->subscriptions_size += size;
    record->user->size += size;
}


void
ngx_mcp_subscriptions_record_free_locked(ngx_mcp_zone_t *zone,
    ngx_mcp_subscriptions_t *record)
{
    ngx_mcp_subscriptions_user_t  *user;

    user = record->user;

    ngx_mcp_subscriptions_record_count_locked(zone, record,
               - (ssize_t) (sizeof(ngx_mcp_subscriptions_t)
                            + sizeof(ngx_mcp_subscriptions_user_t)
                            + record->room
                              * sizeof(ngx_mcp_subscriptions_uri_t)));

    ngx_rbtree_delete(&zone->root->subscriptions, &record->node);
    ngx_rbtree_delete(&zone->root->subscriptions_ends, &record->end);
    ngx_queue_remove(&record->queue);
    ngx_queue_remove(&record->siblings);

    if (record->uris) {
        ngx_mcp_zone_free_locked(zone, record->uris);
    }

    ngx_mcp_zone_free_locked(zone, record);

    if (ngx_queue_empty(&user->records)) {
        ngx_rbtree_delete(&zone->root->subscriptions_users, &user->node);
        ngx_mcp_zone_free_locked(zone, user);
    }
}


/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Session registry in shared memory: owners, limits per user.
 *
 * A record is owned by the worker that opens the session, and freed by it when
 * the session is closed.  If the stream was lost, the record stays as a
 * tombstone without an owner for the time of mcp_sse_grace: messages for the
 * session are kept pending in that time.  See ngx_mcp_tombstones.c.
 */

#include "ngx_mcp_registry.h"
#include "ngx_mcp_unregister.h"
#include "ngx_mcp_eviction.h"
#include "ngx_mcp_tree.h"
#include "ngx_mcp_workers.h"
#include "ngx_mcp_wakeup.h"


static ngx_int_t ngx_mcp_registry_user_locked(ngx_mcp_zone_t *zone,
    u_char *key, ngx_mcp_user_record_t **user);
static void ngx_mcp_registry_free_user_locked(ngx_mcp_zone_t *zone,
    ngx_mcp_user_record_t *user);
static ngx_mcp_session_record_t *ngx_mcp_registry_enter_locked(
    ngx_mcp_zone_t *zone, ngx_mcp_session_t *s, u_char *user_key,
    ngx_uint_t max, ngx_mcp_eviction_wakeups_t *wakeups, ngx_int_t *rc);
static void ngx_mcp_registry_renew_locked(ngx_mcp_zone_t *zone,
    ngx_mcp_session_record_t *record, ngx_mcp_credential_t *cred);
static void ngx_mcp_registry_link_locked(ngx_mcp_zone_t *zone,
    ngx_mcp_session_record_t *record, ngx_mcp_session_t *s,
    ngx_mcp_user_record_t *user);


ngx_int_t
ngx_mcp_registry_enter(ngx_mcp_session_t *s, u_char *user, ngx_uint_t max)
{
    ngx_int_t                    rc;
    ngx_uint_t                   i;
    ngx_mcp_zone_t              *zone;
    ngx_mcp_eviction_wakeups_t   wakeups;

    zone = ngx_mcp_zone();

    wakeups.n = 0;

    ngx_mcp_zone_lock(zone);

    s->record = ngx_mcp_registry_enter_locked(zone, s, user, max, &wakeups,
                                              &rc);
    ngx_mcp_zone_unlock(zone);

    ngx_log_debug4(NGX_LOG_DEBUG_CORE, ngx_cycle->log, 0,
                   "mcp session %*s registered: %i, owners to wake %ui",
                   (size_t) NGX_MCP_HASH_LEN, s->sid.hash, rc, wakeups.n);

    for (i = 0; i < wakeups.n; i++) {
        (void) ngx_mcp_wakeup_send(wakeups.ids[i], ngx_cycle->log);
    }

    if (rc == NGX_DECLINED) {
        ngx_mcp_zone_nomem(zone, ngx_cycle->log);
    }

    return rc;
}


/*
 * Returns the new record; or NULL, with the reason in "rc": see
 * ngx_mcp_registry_enter().
 */

static ngx_mcp_session_record_t *
ngx_mcp_registry_enter_locked(ngx_mcp_zone_t *zone, ngx_mcp_session_t *s,
    u_char *user_key, ngx_uint_t max, ngx_mcp_eviction_wakeups_t *wakeups,
    ngx_int_t *rc)
{
    ngx_mcp_session_record_t  *record, *old;
    ngx_mcp_user_record_t     *user;

    *rc = NGX_DECLINED;

    /* recovery registers the session */

    if (zone->root->phase == NGX_MCP_ZONE_DIRTY) {
        *rc = NGX_OK;
        return NULL;
    }

    record = ngx_mcp_zone_calloc_locked(zone,
                                        sizeof(ngx_mcp_session_record_t));
    if (record == NULL) {
        return NULL;
    }

    old = ngx_mcp_registry_find_locked(zone, s->sid.key);

    /* it may have been lost before those that it had replaced have left */

    record->replaces = old ? old->replaces : 0;

    if (old && s->sink.asks == 0) {
        s->sink.asks = old->asks;
    }

    if (old && s->streamable) {

        /* a new stream of a session that was used counts as used */

        s->accepted = ngx_max(s->accepted, old->messages);

        ngx_mcp_eviction_stream_locked(zone, old, max, wakeups);
        old = NULL;

    } else if (old && old->owner) {

        /* during recovery, a newer stream may have got the id */

        if (max == NGX_MCP_REGISTRY_REENTER
            && (ngx_msec_int_t) (old->created - s->created) > 0)
        {
            ngx_mcp_zone_free_locked(zone, record);
            *rc = NGX_ABORT;
            return NULL;
        }

        record->replaces++;

        ngx_mcp_eviction_replace_locked(zone, old, wakeups);
        old = NULL;
    }

    if (ngx_mcp_registry_user_locked(zone, user_key, &user) != NGX_OK) {
        ngx_mcp_zone_free_locked(zone, record);
        return NULL;
    }

    if (ngx_mcp_eviction_make_room_locked(zone, user, max, wakeups) != NGX_OK) {
        ngx_mcp_registry_free_user_locked(zone, user);
        ngx_mcp_zone_free_locked(zone, record);
        *rc = NGX_BUSY;
        return NULL;
    }

    ngx_mcp_registry_link_locked(zone, record, s, user);

    /* the last, since the user is freed with the last record */

    if (old) {
        s->predecessor = old->tombstone;
        s->changed = old->changed;
        ngx_mcp_registry_free_locked(zone, old);
    }

    *rc = NGX_OK;

    return record;
}


static void
ngx_mcp_registry_link_locked(ngx_mcp_zone_t *zone,
    ngx_mcp_session_record_t *record, ngx_mcp_session_t *s,
    ngx_mcp_user_record_t *user)
{
    ngx_memcpy(record->key, s->sid.key, NGX_MCP_DIGEST_LEN);

    ngx_memcpy(record->credential, s->credential.digest, NGX_MCP_DIGEST_LEN);
    record->streamable = s->streamable;
    record->asks = s->sink.asks;

    /* not 0 if the session was registered before recovery */

    record->pending = s->pending;
    record->bytes = s->bytes;
    record->messages = s->accepted;

    record->owner = ngx_mcp_workers_self();
    record->created = s->created;
    record->active = ngx_current_msec;
    record->max_inbox = zone->conf->max_inbox;

    ngx_queue_init(&record->inbox);
    ngx_queue_insert_tail(&record->owner->records, &record->queue);

    record->user = user;
    user->count++;
    ngx_queue_insert_tail(&user->records, &record->user_queue);

    ngx_mcp_tree_insert(&zone->root->records, &record->node, record->key);
    record->listed = 1;
    zone->root->nrecords++;
}


/*
 * Finds or creates the record of the user with that key.  A new one has no
 * session yet.
 */

static ngx_int_t
ngx_mcp_registry_user_locked(ngx_mcp_zone_t *zone, u_char *key,
    ngx_mcp_user_record_t **user)
{
    ngx_rbtree_node_t      *node;
    ngx_mcp_user_record_t  *u;

    node = ngx_mcp_tree_find(&zone->root->users, key,
                             offsetof(ngx_mcp_user_record_t, key));

    if (node) {
        *user = ngx_rbtree_data(node, ngx_mcp_user_record_t, node);
        return NGX_OK;
    }

    u = ngx_mcp_zone_calloc_locked(zone, sizeof(ngx_mcp_user_record_t));
    if (u == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(u->key, key, NGX_MCP_DIGEST_LEN);
    ngx_queue_init(&u->records);
    ngx_queue_init(&u->tombstones);

    ngx_mcp_tree_insert(&zone->root->users, &u->node, u->key);

    *user = u;

    return NGX_OK;
}


/*
 * Frees the record of a user without sessions and tombstones.
 */

static void
ngx_mcp_registry_free_user_locked(ngx_mcp_zone_t *zone,
    ngx_mcp_user_record_t *user)
{
    if (user->count == 0 && user->ntombstones == 0) {
        ngx_rbtree_delete(&zone->root->users, &user->node);
        ngx_mcp_zone_free_locked(zone, user);
    }
}


void
ngx_mcp_registry_unlink_user_locked(ngx_mcp_zone_t *zone,
    ngx_mcp_session_record_t *record)
{
    ngx_mcp_user_record_t  *user;

    user = record->user;

    if (user == NULL) {
        return;
    }

    ngx_queue_remove(&record->user_queue);
    record->user = NULL;

    if (record->owner) {
        user->count--;

    } else {
        user->ntombstones--;
    }

    ngx_mcp_registry_free_user_locked(zone, user);
}


void
ngx_mcp_registry_asks(ngx_mcp_session_t *s)
{
    ngx_mcp_zone_t            *zone;
    ngx_mcp_session_record_t  *record;

    zone = ngx_mcp_zone();

    ngx_mcp_zone_lock(zone);

    /* recovery may have taken it */

    record = s->record;

    if (record) {
        record->asks = s->sink.asks;
    }

    ngx_mcp_zone_unlock(zone);
}


ngx_int_t
ngx_mcp_registry_limit(u_char *key, ngx_uint_t max)
{
    ngx_int_t               rc;
    ngx_rbtree_node_t      *node;
    ngx_mcp_zone_t         *zone;
    ngx_mcp_user_record_t  *user;

    zone = ngx_mcp_zone();

    ngx_mcp_zone_lock(zone);

    node = ngx_mcp_tree_find(&zone->root->users, key,
                             offsetof(ngx_mcp_user_record_t, key));

    user = node ? ngx_rbtree_data(node, ngx_mcp_user_record_t, node) : NULL;

    rc = (user == NULL
          || user->count < max
          || ngx_mcp_eviction_find_locked(user))
         ? NGX_OK : NGX_BUSY;

    ngx_mcp_zone_unlock(zone);

    return rc;
}


void
ngx_mcp_registry_active(u_char *key, ngx_uint_t n)
{
    ngx_mcp_zone_t  *zone;

    zone = ngx_mcp_zone();

    ngx_mcp_zone_lock(zone);
    ngx_mcp_registry_active_locked(zone, key, n);
    ngx_mcp_zone_unlock(zone);
}


void
ngx_mcp_registry_active_locked(ngx_mcp_zone_t *zone, u_char *key, ngx_uint_t n)
{
    ngx_mcp_session_record_t  *record;

    record = ngx_mcp_registry_find_locked(zone, key);

    while (record && record->owner) {
        record->messages += n;
        record->active = ngx_current_msec;

        record = ngx_mcp_registry_next_locked(zone, record);
    }
}


ngx_uint_t
ngx_mcp_registry_is_alone(ngx_mcp_session_t *s)
{
    ngx_uint_t                 alone;
    ngx_mcp_zone_t            *zone;
    ngx_mcp_session_record_t  *record;

    zone = ngx_mcp_zone();

    ngx_mcp_zone_lock(zone);

    record = ngx_mcp_registry_find_locked(zone, s->sid.key);

    alone = record
            && record == s->record
            && ngx_mcp_registry_next_locked(zone, record) == NULL;

    ngx_mcp_zone_unlock(zone);

    return alone;
}


ngx_uint_t
ngx_mcp_registry_is_credential(u_char *key, u_char *credential)
{
    ngx_uint_t                 same;
    ngx_mcp_zone_t            *zone;
    ngx_mcp_session_record_t  *record;

    zone = ngx_mcp_zone();

    ngx_mcp_zone_lock(zone);

    record = ngx_mcp_registry_find_locked(zone, key);

    same = record
           && record->owner
           && !record->streamable
           && ngx_memcmp(record->credential, credential, NGX_MCP_DIGEST_LEN)
              == 0;

    ngx_mcp_zone_unlock(zone);

    return same;
}


void
ngx_mcp_registry_renew(u_char *key, ngx_mcp_credential_t *cred)
{
    ngx_mcp_zone_t            *zone;
    ngx_mcp_session_record_t  *record;

    zone = ngx_mcp_zone();

    ngx_mcp_zone_lock(zone);

    record = ngx_mcp_registry_find_locked(zone, key);

    while (record && record->owner) {

        if (ngx_memcmp(record->credential, cred->digest, NGX_MCP_DIGEST_LEN)
            != 0
            && ngx_memcmp(record->former, cred->digest, NGX_MCP_DIGEST_LEN)
               != 0)
        {
            ngx_mcp_registry_renew_locked(zone, record, cred);
        }

        record = ngx_mcp_registry_next_locked(zone, record);
    }

    ngx_mcp_zone_unlock(zone);
}


static void
ngx_mcp_registry_renew_locked(ngx_mcp_zone_t *zone,
    ngx_mcp_session_record_t *record, ngx_mcp_credential_t *cred)
{
    ngx_mcp_renewed_credential_t  *renewed;

    renewed = ngx_mcp_zone_alloc_locked(zone,
                                        offsetof(ngx_mcp_renewed_credential_t,
                                                 value)
                                        + cred->value.len);
    if (renewed == NULL) {
        return;
    }

    renewed->len = cred->value.len;
    renewed->cookie = cred->cookie;
    ngx_memcpy(renewed->value, cred->value.data, cred->value.len);

    if (record->renewed) {
        ngx_mcp_zone_free_locked(zone, record->renewed);
    }

    record->renewed = renewed;

    ngx_memcpy(record->former, record->credential, NGX_MCP_DIGEST_LEN);
    ngx_memcpy(record->credential, cred->digest, NGX_MCP_DIGEST_LEN);
}


ngx_int_t
ngx_mcp_registry_renewed(ngx_mcp_session_t *s, ngx_mcp_credential_t *cred)
{
    u_char                        *p;
    ngx_mcp_zone_t                *zone;
    ngx_mcp_session_record_t      *record;
    ngx_mcp_renewed_credential_t  *renewed;

    zone = ngx_mcp_zone();

    ngx_mcp_zone_lock(zone);

    record = s->record;
    renewed = record ? record->renewed : NULL;
    p = renewed ? ngx_alloc(renewed->len, ngx_cycle->log) : NULL;

    if (p) {
        ngx_memzero(cred, sizeof(ngx_mcp_credential_t));

        ngx_memcpy(p, renewed->value, renewed->len);
        ngx_memcpy(cred->digest, record->credential, NGX_MCP_DIGEST_LEN);

        cred->value.data = p;
        cred->value.len = renewed->len;
        cred->cookie = renewed->cookie;

        ngx_mcp_zone_free_locked(zone, renewed);
        record->renewed = NULL;
    }

    ngx_mcp_zone_unlock(zone);

    return p ? NGX_OK : NGX_DECLINED;
}


ngx_mcp_session_record_t *
ngx_mcp_registry_find_locked(ngx_mcp_zone_t *zone, u_char *key)
{
    ngx_rbtree_node_t         *node;
    ngx_mcp_session_record_t  *record;

    node = ngx_mcp_tree_find(&zone->root->records, key,
                             offsetof(ngx_mcp_session_record_t, key));
    if (node == NULL) {
        return NULL;
    }

    record = ngx_rbtree_data(node, ngx_mcp_session_record_t, node);

    if (record->owner == NULL
        && (ngx_msec_int_t) (ngx_current_msec - record->active) >= 0)
    {
        ngx_mcp_registry_free_locked(zone, record);
        return NULL;
    }

    return record;
}


ngx_mcp_session_record_t *
ngx_mcp_registry_next_locked(ngx_mcp_zone_t *zone,
    ngx_mcp_session_record_t *record)
{
    ngx_rbtree_node_t  *node;

    node = ngx_mcp_tree_next(&zone->root->records, &record->node,
                             offsetof(ngx_mcp_session_record_t, key));

    return node ? ngx_rbtree_data(node, ngx_mcp_session_record_t, node)
                : NULL;
}


void
ngx_mcp_registry_free_locked(ngx_mcp_zone_t *zone,
    ngx_mcp_session_record_t *record)
{
    if (record->listed) {
        ngx_rbtree_delete(&zone->root->records, &record->node);
    }

    if (record->replaced) {
        ngx_mcp_unregister_replaced_locked(zone, record->key);
    }

    if (record->queued) {
        ngx_queue_remove(&record->ready);
    }

    ngx_mcp_registry_unlink_user_locked(zone, record);

    if (record->renewed) {
        ngx_mcp_zone_free_locked(zone, record->renewed);
    }

    zone->root->nrecords--;

    if (record->owner == NULL) {
        zone->root->ntombstones--;
    }

    ngx_queue_remove(&record->queue);
    ngx_mcp_zone_free_locked(zone, record);
}

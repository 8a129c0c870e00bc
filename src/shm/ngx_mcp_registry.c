
/*
 * A record is made by the worker that opens the session and freed by it when
 * it leaves; one that leaves a tomb is freed by any worker's sweep.
 */

#include "ngx_mcp_registry.h"
#include "ngx_mcp_workers.h"
#include "ngx_mcp_wakeup.h"


/* CONTRACT: which sessions may be ended for a new one of the same user */

#define NGX_MCP_REGISTRY_PROBE_AGE_MS  10000
#define NGX_MCP_REGISTRY_IDLE_AGE_MS   600000

#define NGX_MCP_REGISTRY_MAX_WAKES  8      /* and one that is replaced */


typedef struct {
    u_char        ids[NGX_MCP_REGISTRY_MAX_WAKES + 1]
                     [NGX_MCP_WORKER_ID_LEN];
    ngx_uint_t    n;
} ngx_mcp_registry_wakes_t;


static ngx_int_t ngx_mcp_registry_user(ngx_mcp_zone_t *zone, u_char *key,
    ngx_mcp_user_record_t **user);
static void ngx_mcp_registry_forget_user(ngx_mcp_zone_t *zone,
    ngx_mcp_session_record_t *record);
static void ngx_mcp_registry_drop_user(ngx_mcp_zone_t *zone,
    ngx_mcp_user_record_t *user);
static ngx_int_t ngx_mcp_registry_make_room(ngx_mcp_zone_t *zone,
    ngx_mcp_user_record_t *user, ngx_uint_t max,
    ngx_mcp_registry_wakes_t *wakes);
static ngx_mcp_session_record_t *ngx_mcp_registry_victim(
    ngx_mcp_user_record_t *user);
static void ngx_mcp_registry_replace(ngx_mcp_zone_t *zone,
    ngx_mcp_session_record_t *record, ngx_mcp_registry_wakes_t *wakes);
static void ngx_mcp_registry_note(ngx_mcp_session_record_t *record,
    ngx_mcp_registry_wakes_t *wakes);
static ngx_mcp_session_record_t *ngx_mcp_registry_record(ngx_mcp_zone_t *zone,
    ngx_mcp_session_t *s, u_char *user, ngx_uint_t max,
    ngx_mcp_registry_wakes_t *wakes, ngx_int_t *rc);
static void ngx_mcp_registry_set(ngx_mcp_zone_t *zone,
    ngx_mcp_session_record_t *record, ngx_mcp_session_t *s);


ngx_int_t
ngx_mcp_registry_enter(ngx_mcp_session_t *s, u_char *user, ngx_uint_t max)
{
    ngx_int_t                  rc;
    ngx_uint_t                 i;
    ngx_mcp_zone_t            *zone;
    ngx_mcp_registry_wakes_t   wakes;

    zone = ngx_mcp_zone();

    wakes.n = 0;

    ngx_mcp_zone_lock(zone);

    s->record = ngx_mcp_registry_record(zone, s, user, max, &wakes, &rc);
    ngx_mcp_zone_unlock(zone);

    for (i = 0; i < wakes.n; i++) {
        (void) ngx_mcp_wakeup_send(wakes.ids[i], ngx_cycle->log);
    }

    if (rc == NGX_DECLINED) {
        ngx_mcp_zone_nomem(zone, ngx_cycle->log);
    }

    return rc;
}


/*
 * Under the mutex.
 */

static ngx_mcp_session_record_t *
ngx_mcp_registry_record(ngx_mcp_zone_t *zone, ngx_mcp_session_t *s,
    u_char *user_key, ngx_uint_t max, ngx_mcp_registry_wakes_t *wakes,
    ngx_int_t *rc)
{
    ngx_mcp_session_record_t  *record, *old;
    ngx_mcp_user_record_t     *user;

    *rc = NGX_DECLINED;

    /* a damaged zone takes it later */

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

    if (old && old->owner) {

        /* who registers again may have been replaced in a damaged zone */

        if (max == NGX_MCP_REGISTRY_REENTER
            && (ngx_msec_int_t) (old->created - s->created) > 0)
        {
            ngx_mcp_zone_free_locked(zone, record);
            *rc = NGX_ABORT;
            return NULL;
        }

        ngx_mcp_registry_replace(zone, old, wakes);
        old = NULL;
    }

    if (ngx_mcp_registry_user(zone, user_key, &user) != NGX_OK) {
        ngx_mcp_zone_free_locked(zone, record);
        return NULL;
    }

    if (ngx_mcp_registry_make_room(zone, user, max, wakes) != NGX_OK) {
        ngx_mcp_registry_drop_user(zone, user);
        ngx_mcp_zone_free_locked(zone, record);
        *rc = NGX_BUSY;
        return NULL;
    }

    if (old) {
        ngx_mcp_registry_free_locked(zone, old);
    }

    ngx_mcp_registry_set(zone, record, s);

    ngx_queue_init(&record->inbox);
    ngx_queue_insert_tail(&record->owner->records, &record->queue);

    record->user = user;
    user->count++;
    ngx_queue_insert_tail(&user->records, &record->users);

    ngx_mcp_zone_insert(&zone->root->records, &record->node,
                               record->key);
    zone->root->nrecords++;
    *rc = NGX_OK;

    return record;
}


static void
ngx_mcp_registry_set(ngx_mcp_zone_t *zone, ngx_mcp_session_record_t *record,
    ngx_mcp_session_t *s)
{
    ngx_memcpy(record->key, s->sid.key, NGX_MCP_DIGEST_LEN);

    /* only legacy messages ask for it, and must find none of the others */

    if (!s->streamable) {
        ngx_memcpy(record->credential, s->credential.digest,
                   NGX_MCP_DIGEST_LEN);
    }

    /* of a session that was in a damaged zone, some were accepted before */

    record->pending = s->pending;
    record->bytes = s->bytes;
    record->messages = s->accepted;

    record->owner = ngx_mcp_workers_self();
    record->created = s->created;
    record->active = ngx_current_msec;
    record->max_inbox = zone->conf->max_inbox;
    record->listed = 1;
}


/*
 * Under the mutex: the user with that key, who may be new and then has no
 * session yet.
 */

static ngx_int_t
ngx_mcp_registry_user(ngx_mcp_zone_t *zone, u_char *key,
    ngx_mcp_user_record_t **user)
{
    ngx_rbtree_node_t      *node;
    ngx_mcp_user_record_t  *u;

    node = ngx_mcp_zone_find(&zone->root->users, key,
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

    ngx_mcp_zone_insert(&zone->root->users, &u->node, u->key);

    *user = u;

    return NGX_OK;
}


static void
ngx_mcp_registry_drop_user(ngx_mcp_zone_t *zone, ngx_mcp_user_record_t *user)
{
    if (user->count == 0) {
        ngx_rbtree_delete(&zone->root->users, &user->node);
        ngx_mcp_zone_free_locked(zone, user);
    }
}


/*
 * Under the mutex: the record does not count for its user any more.
 */

static void
ngx_mcp_registry_forget_user(ngx_mcp_zone_t *zone,
    ngx_mcp_session_record_t *record)
{
    ngx_mcp_user_record_t  *user;

    user = record->user;

    if (user == NULL) {
        return;
    }

    ngx_queue_remove(&record->users);
    record->user = NULL;
    user->count--;

    ngx_mcp_registry_drop_user(zone, user);
}


/*
 * Under the mutex: makes room for one more session of the user.
 */

static ngx_int_t
ngx_mcp_registry_make_room(ngx_mcp_zone_t *zone, ngx_mcp_user_record_t *user,
    ngx_uint_t max, ngx_mcp_registry_wakes_t *wakes)
{
    ngx_mcp_session_record_t  *victim;

    while (user->count >= max) {

        if (wakes->n == NGX_MCP_REGISTRY_MAX_WAKES) {
            return NGX_BUSY;
        }

        victim = ngx_mcp_registry_victim(user);

        if (victim == NULL) {
            return NGX_BUSY;
        }

        /* its owner ends it soon; until then it does not count twice */

        ngx_queue_remove(&victim->users);
        victim->user = NULL;
        victim->evicted = 1;
        user->count--;

        ngx_mcp_registry_note(victim, wakes);
    }

    return NGX_OK;
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

    node = ngx_mcp_zone_find(&zone->root->users, key,
                               offsetof(ngx_mcp_user_record_t, key));

    user = node ? ngx_rbtree_data(node, ngx_mcp_user_record_t, node)
                : NULL;

    rc = (user == NULL || user->count < max || ngx_mcp_registry_victim(user))
         ? NGX_OK : NGX_BUSY;

    ngx_mcp_zone_unlock(zone);

    return rc;
}


/*
 * The oldest that never had a message, since clients leave such probes at
 * each start; else the one idle longest.
 */

static ngx_mcp_session_record_t *
ngx_mcp_registry_victim(ngx_mcp_user_record_t *user)
{
    ngx_msec_t                 now;
    ngx_queue_t               *q;
    ngx_mcp_session_record_t  *record, *probe, *idle;

    now = ngx_current_msec;
    probe = NULL;
    idle = NULL;

    for (q = ngx_queue_head(&user->records);
         q != ngx_queue_sentinel(&user->records);
         q = ngx_queue_next(q))
    {
        record = ngx_queue_data(q, ngx_mcp_session_record_t, users);

        if (record->messages == 0
            && (ngx_msec_int_t) (now - record->created)
               > NGX_MCP_REGISTRY_PROBE_AGE_MS
            && (probe == NULL
                || (ngx_msec_int_t) (record->created - probe->created) < 0))
        {
            probe = record;
        }

        if ((ngx_msec_int_t) (now - record->active)
            > NGX_MCP_REGISTRY_IDLE_AGE_MS
            && record->pending == 0
            && (idle == NULL
                || (ngx_msec_int_t) (record->active - idle->active) < 0))
        {
            idle = record;
        }
    }

    return probe ? probe : idle;
}


/*
 * Under the mutex: from now on the id is another's.  The old owner finds the
 * record among its own and ends the session.
 */

static void
ngx_mcp_registry_replace(ngx_mcp_zone_t *zone,
    ngx_mcp_session_record_t *record, ngx_mcp_registry_wakes_t *wakes)
{
    ngx_rbtree_delete(&zone->root->records, &record->node);
    record->listed = 0;
    record->replaced = 1;

    ngx_mcp_registry_forget_user(zone, record);
    ngx_mcp_registry_note(record, wakes);
}


static void
ngx_mcp_registry_note(ngx_mcp_session_record_t *record,
    ngx_mcp_registry_wakes_t *wakes)
{
    u_char  id[NGX_MCP_WORKER_ID_LEN];

    if (ngx_mcp_workers_notify_locked(record, id)) {
        ngx_memcpy(wakes->ids[wakes->n++], id, NGX_MCP_WORKER_ID_LEN);
    }
}


void
ngx_mcp_registry_leave(ngx_mcp_session_t *s, ngx_msec_t grace)
{
    ngx_mcp_zone_t            *zone;
    ngx_mcp_session_record_t  *record;

    if (s->record == NULL) {
        return;
    }

    zone = ngx_mcp_zone();

    ngx_mcp_zone_lock(zone);

    record = s->record;
    s->record = NULL;

    if (record == NULL) {

        /* the zone was damaged, and it is let go by now */

        ngx_mcp_zone_unlock(zone);
        return;
    }

    ngx_mcp_inbox_take_locked(record);

    if (grace && record->listed && !record->evicted) {

        if (record->has_news) {
            ngx_queue_remove(&record->ready);
            record->has_news = 0;
        }

        ngx_mcp_registry_forget_user(zone, record);

        ngx_queue_remove(&record->queue);
        ngx_queue_insert_tail(&zone->root->tombstones, &record->queue);
        zone->root->ntombstones++;

        record->owner = NULL;
        record->active = ngx_current_msec + grace;

    } else {
        ngx_mcp_registry_free_locked(zone, record);
    }

    ngx_mcp_zone_unlock(zone);

    (void) ngx_mcp_inbox_hand_over(zone, s);
}


void
ngx_mcp_registry_active(u_char *key, ngx_uint_t n)
{
    ngx_mcp_zone_t            *zone;
    ngx_mcp_session_record_t  *record;

    zone = ngx_mcp_zone();

    ngx_mcp_zone_lock(zone);

    record = ngx_mcp_registry_find_locked(zone, key);

    if (record && record->owner) {
        record->messages += n;
        record->active = ngx_current_msec;
    }

    ngx_mcp_zone_unlock(zone);
}


ngx_uint_t
ngx_mcp_registry_opened_with(u_char *key, u_char *credential)
{
    ngx_uint_t                 same;
    ngx_mcp_zone_t            *zone;
    ngx_mcp_session_record_t  *record;

    zone = ngx_mcp_zone();

    ngx_mcp_zone_lock(zone);

    record = ngx_mcp_registry_find_locked(zone, key);

    same = record
           && record->owner
           && ngx_memcmp(record->credential, credential, NGX_MCP_DIGEST_LEN)
              == 0;

    ngx_mcp_zone_unlock(zone);

    return same;
}


ngx_mcp_session_record_t *
ngx_mcp_registry_find_locked(ngx_mcp_zone_t *zone, u_char *key)
{
    ngx_rbtree_node_t         *node;
    ngx_mcp_session_record_t  *record;

    node = ngx_mcp_zone_find(&zone->root->records, key,
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


void
ngx_mcp_registry_expire_locked(ngx_mcp_zone_t *zone)
{
    ngx_queue_t               *q, *next;
    ngx_mcp_session_record_t  *record;

    for (q = ngx_queue_head(&zone->root->tombstones);
         q != ngx_queue_sentinel(&zone->root->tombstones);
         q = next)
    {
        next = ngx_queue_next(q);

        record = ngx_queue_data(q, ngx_mcp_session_record_t, queue);

        if ((ngx_msec_int_t) (ngx_current_msec - record->active) >= 0) {
            ngx_mcp_registry_free_locked(zone, record);
        }
    }
}


void
ngx_mcp_registry_free_locked(ngx_mcp_zone_t *zone,
    ngx_mcp_session_record_t *record)
{
    if (record->listed) {
        ngx_rbtree_delete(&zone->root->records, &record->node);
    }

    if (record->has_news) {
        ngx_queue_remove(&record->ready);
    }

    ngx_mcp_registry_forget_user(zone, record);

    zone->root->nrecords--;

    if (record->owner == NULL) {
        zone->root->ntombstones--;
    }

    ngx_queue_remove(&record->queue);
    ngx_mcp_zone_free_locked(zone, record);
}

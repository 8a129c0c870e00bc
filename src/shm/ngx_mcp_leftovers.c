
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Requests that sessions have left behind with their streams.
 *
 * DESIGN.  A request of the legacy transport is accepted with 202 and runs once
 * even if the stream of its session is lost or ended.  Who opens a stream with
 * the same session id has to know of it, at whatever worker:
 *
 *     unanswered   the stream was lost.  A new stream in the same worker gets
 *                  the answer; one in another worker gets an error, since the
 *                  answer does not travel
 *     open         its task waits or runs.  A request with the same id is not
 *                  run until it has ended
 *
 * A leftover that is neither is freed.  It belongs to the worker of its task,
 * which frees it when the task has ended.  One that is unanswered outlives its
 * worker: it belongs to the zone then, until the time of its tombstone is over.
 */

#include "ngx_mcp_leftovers.h"
#include "ngx_mcp_tree.h"
#include "ngx_mcp_workers.h"


/* bytes of the leftovers of a session; of all: 1/8 of the zone */

#define NGX_MCP_LEFTOVERS_MAX_SIZE  16384


static ngx_mcp_leftover_t *ngx_mcp_leftovers_add_one_locked(
    ngx_mcp_zone_t *zone, u_char *key, ngx_str_t *id);
static ngx_mcp_leftover_t *ngx_mcp_leftovers_first_locked(ngx_mcp_zone_t *zone,
    u_char *key);
static ngx_mcp_leftover_t *ngx_mcp_leftovers_next_locked(ngx_mcp_zone_t *zone,
    ngx_mcp_leftover_t *leftover);
static ngx_mcp_leftover_t *ngx_mcp_leftovers_own_locked(ngx_mcp_zone_t *zone,
    u_char *key, ngx_str_t *id);
static void ngx_mcp_leftovers_clear(u_char *key, ngx_str_t *id,
    ngx_uint_t ended);
static void ngx_mcp_leftovers_let_go_locked(ngx_mcp_zone_t *zone, u_char *key,
    ngx_uint_t ended);
static void ngx_mcp_leftovers_check_locked(ngx_mcp_zone_t *zone,
    ngx_mcp_leftover_t *leftover);
static void ngx_mcp_leftovers_expire_list_locked(ngx_mcp_zone_t *zone,
    ngx_queue_t *leftovers);


ngx_uint_t
ngx_mcp_leftovers_add_locked(ngx_mcp_zone_t *zone, u_char *key, ngx_str_t *ids,
    ngx_uint_t n, ngx_msec_t grace)
{
    size_t               size;
    ngx_uint_t           i;
    ngx_mcp_leftover_t  *leftover;

    size = 0;

    for (i = 0; i < n; i++) {
        size += sizeof(ngx_mcp_leftover_t) + ids[i].len;

        if (size > NGX_MCP_LEFTOVERS_MAX_SIZE) {
            return 0;
        }

        leftover = ngx_mcp_leftovers_add_one_locked(zone, key, &ids[i]);
        if (leftover == NULL) {
            return 0;
        }

        leftover->unanswered = (grace != 0);
        leftover->expires = ngx_current_msec + grace;
    }

    return 1;
}


static ngx_mcp_leftover_t *
ngx_mcp_leftovers_add_one_locked(ngx_mcp_zone_t *zone, u_char *key,
    ngx_str_t *id)
{
    size_t               size;
    ngx_mcp_leftover_t  *leftover;

    size = sizeof(ngx_mcp_leftover_t) + id->len;

    if (id->len > NGX_MCP_LEFTOVERS_MAX_ID_LEN
        || zone->root->leftovers_size + size > zone->size / 8)
    {
        return NULL;
    }

    leftover = ngx_mcp_zone_calloc_locked(zone, size);
    if (leftover == NULL) {
        return NULL;
    }

    ngx_memcpy(leftover->key, key, NGX_MCP_DIGEST_LEN);

    leftover->owner = ngx_mcp_workers_self();
    leftover->open = 1;
    leftover->len = id->len;
    ngx_memcpy(leftover->id, id->data, id->len);

    ngx_queue_insert_tail(&leftover->owner->leftovers, &leftover->queue);
    ngx_mcp_tree_insert(&zone->root->leftovers, &leftover->node,
                        leftover->key);

    zone->root->leftovers_size += size;

    return leftover;
}


static ngx_mcp_leftover_t *
ngx_mcp_leftovers_first_locked(ngx_mcp_zone_t *zone, u_char *key)
{
    ngx_rbtree_node_t  *node;

    node = ngx_mcp_tree_find(&zone->root->leftovers, key,
                             offsetof(ngx_mcp_leftover_t, key));

    return node ? ngx_rbtree_data(node, ngx_mcp_leftover_t, node) : NULL;
}


static ngx_mcp_leftover_t *
ngx_mcp_leftovers_next_locked(ngx_mcp_zone_t *zone,
    ngx_mcp_leftover_t *leftover)
{
    ngx_rbtree_node_t  *node;

    node = ngx_mcp_tree_next(&zone->root->leftovers, &leftover->node,
                             offsetof(ngx_mcp_leftover_t, key));

    return node ? ngx_rbtree_data(node, ngx_mcp_leftover_t, node) : NULL;
}


/*
 * Returns the one with exactly that raw id of this worker, or NULL.
 */

static ngx_mcp_leftover_t *
ngx_mcp_leftovers_own_locked(ngx_mcp_zone_t *zone, u_char *key, ngx_str_t *id)
{
    ngx_mcp_leftover_t  *leftover;

    for (leftover = ngx_mcp_leftovers_first_locked(zone, key);
         leftover;
         leftover = ngx_mcp_leftovers_next_locked(zone, leftover))
    {
        if (leftover->owner == ngx_mcp_workers_self()
            && leftover->len == id->len
            && ngx_memcmp(leftover->id, id->data, id->len) == 0)
        {
            return leftover;
        }
    }

    return NULL;
}


/*
 * Frees a leftover whose request neither waits nor runs any more, and whose
 * answer nobody is owed.
 */

static void
ngx_mcp_leftovers_check_locked(ngx_mcp_zone_t *zone,
    ngx_mcp_leftover_t *leftover)
{
    if (leftover->open || leftover->unanswered) {
        return;
    }

    zone->root->leftovers_size -= sizeof(ngx_mcp_leftover_t) + leftover->len;

    ngx_rbtree_delete(&zone->root->leftovers, &leftover->node);
    ngx_queue_remove(&leftover->queue);
    ngx_mcp_zone_free_locked(zone, leftover);
}


void
ngx_mcp_leftovers_ended(u_char *key, ngx_str_t *id)
{
    ngx_mcp_leftovers_clear(key, id, 1);
}


void
ngx_mcp_leftovers_answered(u_char *key, ngx_str_t *id)
{
    ngx_mcp_leftovers_clear(key, id, 0);
}


/*
 * The request of this worker with exactly that raw id has ended or, if "ended"
 * is not set, needs no answer any more.
 */

static void
ngx_mcp_leftovers_clear(u_char *key, ngx_str_t *id, ngx_uint_t ended)
{
    ngx_mcp_zone_t      *zone;
    ngx_mcp_leftover_t  *leftover;

    zone = ngx_mcp_zone();

    ngx_mcp_zone_lock(zone);

    leftover = ngx_mcp_leftovers_own_locked(zone, key, id);

    if (leftover) {

        if (ended) {
            leftover->open = 0;

        } else {
            leftover->unanswered = 0;
        }

        ngx_mcp_leftovers_check_locked(zone, leftover);
    }

    ngx_mcp_zone_unlock(zone);
}


void
ngx_mcp_leftovers_adopt(u_char *key)
{
    ngx_mcp_zone_t  *zone;

    zone = ngx_mcp_zone();

    ngx_mcp_zone_lock(zone);
    ngx_mcp_leftovers_let_go_locked(zone, key, 1);
    ngx_mcp_zone_unlock(zone);
}


void
ngx_mcp_leftovers_forget(u_char *key)
{
    ngx_mcp_zone_t  *zone;

    zone = ngx_mcp_zone();

    ngx_mcp_zone_lock(zone);
    ngx_mcp_leftovers_let_go_locked(zone, key, 0);
    ngx_mcp_zone_unlock(zone);
}


/*
 * Those of this worker that are not answered: they need no answer or, with
 * "ended" set, they are not noted any more.
 */

static void
ngx_mcp_leftovers_let_go_locked(ngx_mcp_zone_t *zone, u_char *key,
    ngx_uint_t ended)
{
    ngx_mcp_leftover_t  *leftover, *next;

    for (leftover = ngx_mcp_leftovers_first_locked(zone, key);
         leftover;
         leftover = next)
    {
        next = ngx_mcp_leftovers_next_locked(zone, leftover);

        if (leftover->owner != ngx_mcp_workers_self()
            || !leftover->unanswered)
        {
            continue;
        }

        leftover->unanswered = 0;

        if (ended) {
            leftover->open = 0;
        }

        ngx_mcp_leftovers_check_locked(zone, leftover);
    }
}


ngx_uint_t
ngx_mcp_leftovers_inherit(u_char *key, ngx_str_t *id)
{
    ngx_mcp_zone_t      *zone;
    ngx_mcp_leftover_t  *leftover;

    zone = ngx_mcp_zone();

    ngx_mcp_zone_lock(zone);

    leftover = ngx_mcp_leftovers_first_locked(zone, key);

    while (leftover && !leftover->unanswered) {
        leftover = ngx_mcp_leftovers_next_locked(zone, leftover);
    }

    if (leftover) {
        id->len = leftover->len;
        ngx_memcpy(id->data, leftover->id, leftover->len);

        leftover->unanswered = 0;
        ngx_mcp_leftovers_check_locked(zone, leftover);
    }

    ngx_mcp_zone_unlock(zone);

    return leftover != NULL;
}


ngx_uint_t
ngx_mcp_leftovers_find(u_char *key, ngx_str_t *id)
{
    ngx_str_t            other;
    ngx_mcp_zone_t      *zone;
    ngx_mcp_leftover_t  *leftover;

    zone = ngx_mcp_zone();

    ngx_mcp_zone_lock(zone);

    for (leftover = ngx_mcp_leftovers_first_locked(zone, key);
         leftover;
         leftover = ngx_mcp_leftovers_next_locked(zone, leftover))
    {
        other.data = leftover->id;
        other.len = leftover->len;

        if (leftover->open && ngx_mcp_jsonrpc_same_id(&other, id)) {
            break;
        }
    }

    ngx_mcp_zone_unlock(zone);

    return leftover != NULL;
}


void
ngx_mcp_leftovers_forget_all_locked(ngx_mcp_zone_t *zone, u_char *key)
{
    ngx_mcp_leftover_t  *leftover, *next;

    for (leftover = ngx_mcp_leftovers_first_locked(zone, key);
         leftover;
         leftover = next)
    {
        next = ngx_mcp_leftovers_next_locked(zone, leftover);

        leftover->unanswered = 0;
        ngx_mcp_leftovers_check_locked(zone, leftover);
    }
}


void
ngx_mcp_leftovers_worker_locked(ngx_mcp_zone_t *zone, ngx_mcp_worker_t *worker)
{
    ngx_queue_t         *q;
    ngx_mcp_leftover_t  *leftover;

    while (!ngx_queue_empty(&worker->leftovers)) {
        q = ngx_queue_head(&worker->leftovers);
        ngx_queue_remove(q);

        leftover = ngx_queue_data(q, ngx_mcp_leftover_t, queue);

        ngx_queue_insert_tail(&zone->root->leftovers_left, q);

        leftover->owner = NULL;
        leftover->open = 0;
        ngx_mcp_leftovers_check_locked(zone, leftover);
    }
}


void
ngx_mcp_leftovers_expire_locked(ngx_mcp_zone_t *zone)
{
    ngx_mcp_leftovers_expire_list_locked(zone, &zone->root->leftovers_left);

    /* a session that nobody can take over any more has no timer */

    ngx_mcp_leftovers_expire_list_locked(zone,
                                         &ngx_mcp_workers_self()->leftovers);
}


static void
ngx_mcp_leftovers_expire_list_locked(ngx_mcp_zone_t *zone,
    ngx_queue_t *leftovers)
{
    ngx_queue_t         *q, *next;
    ngx_mcp_leftover_t  *leftover;

    for (q = ngx_queue_head(leftovers);
         q != ngx_queue_sentinel(leftovers);
         q = next)
    {
        next = ngx_queue_next(q);

        leftover = ngx_queue_data(q, ngx_mcp_leftover_t, queue);

        if ((ngx_msec_int_t) (ngx_current_msec - leftover->expires) >= 0) {
            leftover->unanswered = 0;
            ngx_mcp_leftovers_check_locked(zone, leftover);
        }
    }
}

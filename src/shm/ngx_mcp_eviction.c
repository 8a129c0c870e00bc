
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Sessions that end for a new one: evicted or replaced.
 *
 * A worker never ends a session of another worker.  It marks the record as
 * evicted or replaced and wakes the owner, which ends the session.
 */

#include "ngx_mcp_eviction.h"
#include "ngx_mcp_registry.h"
#include "ngx_mcp_workers.h"


/*
 * docs/PROTOCOL.md 3.14, 3.15: which sessions may be ended for a new one of the
 * same user.  Some clients open a stream at each start and leave it without a
 * message, to find out which transport the server has.
 */

#define NGX_MCP_EVICTION_PROBE_AGE_MS  10000
#define NGX_MCP_EVICTION_IDLE_AGE_MS   600000


static void ngx_mcp_eviction_notify_locked(ngx_mcp_session_record_t *record,
    ngx_mcp_eviction_wakeups_t *wakeups);


ngx_int_t
ngx_mcp_eviction_make_room_locked(ngx_mcp_zone_t *zone,
    ngx_mcp_user_record_t *user, ngx_uint_t max,
    ngx_mcp_eviction_wakeups_t *wakeups)
{
    ngx_mcp_session_record_t  *record;

    while (user->count >= max) {

        if (wakeups->n == NGX_MCP_EVICTION_MAX_WAKEUPS) {
            return NGX_BUSY;
        }

        record = ngx_mcp_eviction_find_locked(user);

        if (record == NULL) {
            return NGX_BUSY;
        }

        /* its owner ends it soon; it does not count until then */

        ngx_queue_remove(&record->user_queue);
        record->user = NULL;
        record->evicted = 1;
        user->count--;

        ngx_mcp_eviction_notify_locked(record, wakeups);
    }

    return NGX_OK;
}


ngx_mcp_session_record_t *
ngx_mcp_eviction_find_locked(ngx_mcp_user_record_t *user)
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
        record = ngx_queue_data(q, ngx_mcp_session_record_t,
                                user_queue);

        if (record->messages == 0
            && (ngx_msec_int_t) (now - record->created)
               > NGX_MCP_EVICTION_PROBE_AGE_MS
            && (probe == NULL
                || (ngx_msec_int_t) (record->created - probe->created) < 0))
        {
            probe = record;
        }

        if ((ngx_msec_int_t) (now - record->active)
            > NGX_MCP_EVICTION_IDLE_AGE_MS
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
 * The owner finds the record in its list "ready" and ends the session.
 */

void
ngx_mcp_eviction_replace_locked(ngx_mcp_zone_t *zone,
    ngx_mcp_session_record_t *record, ngx_mcp_eviction_wakeups_t *wakeups)
{
    ngx_rbtree_delete(&zone->root->records, &record->node);
    record->listed = 0;
    record->replaced = 1;

    ngx_mcp_registry_unlink_user_locked(zone, record);
    ngx_mcp_eviction_notify_locked(record, wakeups);
}


void
ngx_mcp_eviction_stream_locked(ngx_mcp_zone_t *zone,
    ngx_mcp_session_record_t *first, ngx_uint_t max,
    ngx_mcp_eviction_wakeups_t *wakeups)
{
    ngx_uint_t                 n;
    ngx_mcp_user_record_t     *user;
    ngx_mcp_session_record_t  *record, *oldest;

    n = 0;
    oldest = NULL;

    for (record = first;
         record;
         record = ngx_mcp_registry_next_locked(zone, record))
    {
        /* one that is evicted ends soon */

        if (record->user == NULL) {
            continue;
        }

        n++;

        /* recovery does not register them in their order */

        if (oldest == NULL
            || (ngx_msec_int_t) (record->created - oldest->created) < 0)
        {
            oldest = record;
        }
    }

    if (oldest == NULL) {
        return;
    }

    user = oldest->user;

    if (n >= NGX_MCP_EVICTION_MAX_STREAMS
        || (user->count >= max && ngx_mcp_eviction_find_locked(user) == NULL))
    {
        ngx_mcp_eviction_replace_locked(zone, oldest, wakeups);
    }
}


static void
ngx_mcp_eviction_notify_locked(ngx_mcp_session_record_t *record,
    ngx_mcp_eviction_wakeups_t *wakeups)
{
    u_char  id[NGX_MCP_WORKER_ID_LEN];

    if (ngx_mcp_workers_notify_locked(record, id)) {
        ngx_memcpy(wakeups->ids[wakeups->n++], id, NGX_MCP_WORKER_ID_LEN);
    }
}

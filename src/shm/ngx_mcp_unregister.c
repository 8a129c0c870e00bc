
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * How sessions leave the registry: without another message, with a tombstone if
 * the stream was lost, and with their open requests noted.
 */

#include "ngx_mcp_unregister.h"
#include "ngx_mcp_leftovers.h"
#include "ngx_mcp_registry.h"
#include "ngx_mcp_tombstones.h"
#include "ngx_mcp_tree.h"
#include "ngx_mcp_workers.h"


void
ngx_mcp_unregister_begin(ngx_mcp_session_t *s)
{
    ngx_mcp_zone_t            *zone;
    ngx_mcp_session_record_t  *record;

    if (s->record == NULL) {
        return;
    }

    zone = ngx_mcp_zone();

    ngx_mcp_zone_lock(zone);

    record = s->record;

    if (record) {
        record->leaving = 1;
        ngx_mcp_inbox_take_locked(record);
    }

    ngx_mcp_zone_unlock(zone);

    (void) ngx_mcp_inbox_hand_over(zone, s);
}


void
ngx_mcp_unregister(ngx_mcp_session_t *s, ngx_msec_t grace, ngx_str_t *ids,
    ngx_uint_t n)
{
    ngx_uint_t                 noted;
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

        /* this worker has released the old pool inside zone_lock() */

        ngx_mcp_zone_unlock(zone);
        return;
    }

    ngx_mcp_inbox_take_locked(record);

    noted = ngx_mcp_leftovers_add_locked(zone, s->sid.key, ids, n, grace);

    if (grace && record->listed && !record->evicted) {
        ngx_mcp_tombstones_add_locked(zone, record, grace,
                                      s->conf->max_sessions);
        s->tombstone = record->tombstone;

    } else {
        ngx_mcp_registry_free_locked(zone, record);
    }

    ngx_mcp_zone_unlock(zone);

    (void) ngx_mcp_inbox_hand_over(zone, s);

    if (!noted) {
        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "mcp sse: session %*s ends with more open requests than "
                      "mcp_sse_zone \"%V\" can note: one that is repeated on "
                      "a new stream may run again",
                      (size_t) NGX_MCP_HASH_LEN, s->sid.hash,
                      &zone->conf->zone_name);
    }
}


ngx_uint_t
ngx_mcp_unregister_awaited(ngx_mcp_session_t *s)
{
    ngx_uint_t                 n;
    ngx_mcp_zone_t            *zone;
    ngx_mcp_session_record_t  *record;

    zone = ngx_mcp_zone();

    ngx_mcp_zone_lock(zone);

    record = s->record;
    n = record ? record->replaces : 0;

    ngx_mcp_zone_unlock(zone);

    return n;
}


void
ngx_mcp_unregister_replaced_locked(ngx_mcp_zone_t *zone, u_char *key)
{
    ngx_rbtree_node_t         *node;
    ngx_mcp_session_record_t  *record;

    node = ngx_mcp_tree_find(&zone->root->records, key,
                             offsetof(ngx_mcp_session_record_t, key));
    if (node == NULL) {
        return;
    }

    record = ngx_rbtree_data(node, ngx_mcp_session_record_t, node);

    if (record->replaces) {
        record->replaces--;
    }
}

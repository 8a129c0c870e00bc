
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Anti-replay window of a sender (RFC 4303, 3.4.3): numbers that were seen,
 * and what was answered.
 *
 * Unlike a bitmap of fixed width, the window keeps a number until it expires.
 * Entries are owned by the window and freed when they expire.
 */

#include "ngx_mcp_replay_window.h"


static void ngx_mcp_replay_window_remove(ngx_mcp_replay_window_t *window,
    ngx_mcp_replay_window_entry_t *seen);


void
ngx_mcp_replay_window_init(ngx_mcp_replay_window_t *window)
{
    ngx_rbtree_init(&window->seen, &window->sentinel,
                    ngx_rbtree_insert_value);
    ngx_queue_init(&window->order);

    window->floor = 0;
}


ngx_int_t
ngx_mcp_replay_window_enter(ngx_mcp_replay_window_t *window, uint64_t number,
    ngx_msec_t expires, ngx_mcp_replay_window_entry_t **seen, ngx_log_t *log)
{
    ngx_mcp_replay_window_entry_t  *s;

    if (number <= window->floor) {
        return NGX_DECLINED;
    }

    s = ngx_mcp_replay_window_find(window, number);

    if (s) {
        *seen = s;
        return NGX_DONE;
    }

    s = ngx_alloc(sizeof(ngx_mcp_replay_window_entry_t), log);
    if (s == NULL) {
        return NGX_ERROR;
    }

    s->node.key = (ngx_rbtree_key_t) number;
    s->expires = expires;
    s->ack = 0;

    ngx_rbtree_insert(&window->seen, &s->node);
    ngx_queue_insert_tail(&window->order, &s->queue);

    *seen = s;

    return NGX_OK;
}


void
ngx_mcp_replay_window_expire(ngx_mcp_replay_window_t *window, ngx_msec_t now)
{
    ngx_queue_t                    *q;
    ngx_mcp_replay_window_entry_t  *s;

    while (!ngx_queue_empty(&window->order)) {

        q = ngx_queue_head(&window->order);
        s = ngx_queue_data(q, ngx_mcp_replay_window_entry_t, queue);

        if ((ngx_msec_int_t) (s->expires - now) > 0) {
            return;
        }

        ngx_mcp_replay_window_remove(window, s);
    }
}


void
ngx_mcp_replay_window_clear(ngx_mcp_replay_window_t *window)
{
    ngx_queue_t  *q;

    while (!ngx_queue_empty(&window->order)) {

        q = ngx_queue_head(&window->order);

        ngx_mcp_replay_window_remove(window,
                     ngx_queue_data(q, ngx_mcp_replay_window_entry_t, queue));
    }
}


static void
ngx_mcp_replay_window_remove(ngx_mcp_replay_window_t *window,
    ngx_mcp_replay_window_entry_t *seen)
{
    window->floor = ngx_max(window->floor, (uint64_t) seen->node.key);

    ngx_queue_remove(&seen->queue);
    ngx_rbtree_delete(&window->seen, &seen->node);
    ngx_free(seen);
}


ngx_mcp_replay_window_entry_t *
ngx_mcp_replay_window_find(ngx_mcp_replay_window_t *window, uint64_t number)
{
    ngx_rbtree_node_t  *node;

    node = window->seen.root;

    while (node != window->seen.sentinel) {

        if (node->key == (ngx_rbtree_key_t) number) {
            return ngx_rbtree_data(node, ngx_mcp_replay_window_entry_t, node);
        }

        node = (number < node->key) ? node->left : node->right;
    }

    return NULL;
}


/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * The registered sessions of this worker, by the digest of their ids.
 *
 * A session is linked from its registration until it is closed.  It is owned
 * by the session room, whose handlers are called from here: this is the one
 * place where a message or an eviction goes up from the zone and the bus.
 */

#include "ngx_mcp_sessions.h"
#include "ngx_mcp_zone.h"


#define NGX_MCP_SESSIONS_OFFSET                                               \
    (offsetof(ngx_mcp_session_t, sid) + offsetof(ngx_mcp_session_id_t, key)   \
     - offsetof(ngx_mcp_session_t, node))


static ngx_rbtree_t                 ngx_mcp_sessions;
static ngx_rbtree_node_t            ngx_mcp_sessions_sentinel;
static ngx_mcp_session_handlers_t  *ngx_mcp_sessions_handlers;


void
ngx_mcp_sessions_init(ngx_mcp_session_handlers_t *handlers)
{
    ngx_rbtree_init(&ngx_mcp_sessions, &ngx_mcp_sessions_sentinel,
                    ngx_rbtree_insert_value);

    ngx_mcp_sessions_handlers = handlers;
}


void
ngx_mcp_sessions_add(ngx_mcp_session_t *s)
{
    ngx_mcp_tree_insert(&ngx_mcp_sessions, &s->node, s->sid.key);
    s->listed = 1;
}


void
ngx_mcp_sessions_remove(ngx_mcp_session_t *s)
{
    if (s->listed) {
        ngx_rbtree_delete(&ngx_mcp_sessions, &s->node);
        s->listed = 0;
    }
}


ngx_mcp_session_t *
ngx_mcp_sessions_find(u_char *key)
{
    ngx_rbtree_node_t  *node;

    node = ngx_mcp_tree_find(&ngx_mcp_sessions, key, NGX_MCP_SESSIONS_OFFSET);

    return node ? ngx_rbtree_data(node, ngx_mcp_session_t, node) : NULL;
}


ngx_mcp_session_t *
ngx_mcp_sessions_next(ngx_mcp_session_t *s)
{
    ngx_rbtree_node_t  *node;

    node = ngx_mcp_tree_next(&ngx_mcp_sessions, &s->node,
                             NGX_MCP_SESSIONS_OFFSET);

    return node ? ngx_rbtree_data(node, ngx_mcp_session_t, node) : NULL;
}


ngx_mcp_session_t *
ngx_mcp_sessions_find_record(u_char *key, void *record)
{
    ngx_mcp_session_t  *s;

    s = ngx_mcp_sessions_find(key);

    while (s && s->record != record) {
        s = ngx_mcp_sessions_next(s);
    }

    return s;
}


void
ngx_mcp_sessions_each(void (*handler)(ngx_mcp_session_t *s))
{
    ngx_rbtree_node_t  *node, *next;

    node = ngx_mcp_sessions.root;

    if (node == &ngx_mcp_sessions_sentinel) {
        return;
    }

    node = ngx_rbtree_min(node, &ngx_mcp_sessions_sentinel);

    for ( /* void */ ; node; node = next) {
        next = ngx_rbtree_next(&ngx_mcp_sessions, node);

        handler(ngx_rbtree_data(node, ngx_mcp_session_t, node));
    }
}


void
ngx_mcp_sessions_receive(ngx_mcp_session_t *s, ngx_mcp_envelope_t *env)
{
    ngx_mcp_sessions_handlers->receive(s, env);
}


void
ngx_mcp_sessions_close(ngx_mcp_session_t *s, ngx_uint_t reason)
{
    ngx_mcp_sessions_handlers->close(s, reason);
}

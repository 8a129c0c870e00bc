
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * That lists have changed is gathered: a client that is told asks for the list
 * at once.
 *
 * One message of Frappe must not make all clients of a site ask in the same
 * moment, so that each session is told at a random time.  Many messages must
 * not make a client ask for each, so that it is told once a second at most.
 *
 * A client whose stream was lost would not ask for what has changed meanwhile:
 * that is noted in the tombstone of its session, so that the new stream gets to
 * know it, at whichever worker.
 */

#include "ngx_mcp_list_changed.h"
#include "ngx_mcp_tombstones.h"


#define NGX_MCP_LIST_CHANGED_SPREAD_MS    500
#define NGX_MCP_LIST_CHANGED_INTERVAL_MS  1000


static ngx_msec_t ngx_mcp_list_changed_delay(ngx_mcp_receiver_t *r);
static void ngx_mcp_list_changed_handler(void *data);
static ngx_int_t ngx_mcp_list_changed_tell(ngx_mcp_session_t *s,
    ngx_uint_t method);


static ngx_str_t  ngx_mcp_list_changed_methods[] = {
    ngx_string("\"notifications/tools/list_changed\""),
    ngx_string("\"notifications/prompts/list_changed\""),
    ngx_string("\"notifications/resources/list_changed\"")
};


void
ngx_mcp_list_changed(ngx_mcp_receiver_t *r, ngx_uint_t bits)
{
    if (r->session == NULL) {
        ngx_mcp_tombstones_changed(r->key, r->tombstone, bits);
        return;
    }

    r->changed |= bits;

    if (!r->timer.set) {
        r->timer.handler = ngx_mcp_list_changed_handler;
        r->timer.data = r;
        ngx_mcp_timer_set(&r->timer, ngx_mcp_list_changed_delay(r));
    }
}


static ngx_msec_t
ngx_mcp_list_changed_delay(ngx_mcp_receiver_t *r)
{
    ngx_msec_t  delay, ago;

    delay = ngx_random() % (NGX_MCP_LIST_CHANGED_SPREAD_MS + 1);
    ago = ngx_current_msec - r->told;

    if (r->told && ago < NGX_MCP_LIST_CHANGED_INTERVAL_MS) {
        delay = ngx_max(delay, NGX_MCP_LIST_CHANGED_INTERVAL_MS - ago);
    }

    return delay;
}


/*
 * A client that does not read is told when it does.
 */

static void
ngx_mcp_list_changed_handler(void *data)
{
    ngx_mcp_receiver_t  *r = data;

    ngx_mcp_list_changed_now(r);

    if (r->changed) {
        ngx_mcp_timer_set(&r->timer, NGX_MCP_LIST_CHANGED_INTERVAL_MS);
    }
}


void
ngx_mcp_list_changed_now(ngx_mcp_receiver_t *r)
{
    ngx_uint_t  method;

    for (method = NGX_MCP_PUSHED_TOOLS;
         method <= NGX_MCP_PUSHED_RESOURCES;
         method++)
    {
        if ((r->changed & ngx_mcp_list_changed_bit(method))
            && ngx_mcp_list_changed_tell(r->session, method) == NGX_OK)
        {
            r->changed &= ~ngx_mcp_list_changed_bit(method);
            r->told = ngx_current_msec;
        }
    }
}


static ngx_int_t
ngx_mcp_list_changed_tell(ngx_mcp_session_t *s, ngx_uint_t method)
{
    ngx_mcp_pushed_t  pushed;

    ngx_memzero(&pushed, sizeof(ngx_mcp_pushed_t));

    pushed.method = method;
    pushed.raw_method =
                  ngx_mcp_list_changed_methods[method - NGX_MCP_PUSHED_TOOLS];

    /* a stream that takes it no longer */

    if (!ngx_mcp_push_event_receives(s, &pushed)) {
        return NGX_OK;
    }

    return ngx_mcp_push_event_send(s, &pushed, NULL);
}

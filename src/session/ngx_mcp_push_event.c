
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * The bytes of a notification that Frappe has published, and how a session with
 * a stream gets it.
 *
 * A stream of subscriptions/listen gets the same with the id of its request.
 */

#include "ngx_mcp_push_event.h"
#include "ngx_mcp_counters.h"
#include "ngx_mcp_listen.h"
#include "ngx_mcp_stream.h"


static ngx_mcp_event_t *ngx_mcp_push_event_for(ngx_mcp_session_t *s,
    ngx_mcp_pushed_t *pushed, ngx_mcp_event_t **first);
static ngx_mcp_event_t *ngx_mcp_push_event_share(ngx_mcp_pushed_t *pushed,
    ngx_mcp_event_t **first);
static size_t ngx_mcp_push_event_listen_size(ngx_mcp_session_t *s,
    ngx_mcp_pushed_t *pushed);
static ngx_mcp_event_t *ngx_mcp_push_event_listen(ngx_mcp_session_t *s,
    ngx_mcp_pushed_t *pushed);


static ngx_str_t  ngx_mcp_push_event_head =
    ngx_string("{\"jsonrpc\":\"2.0\",\"method\":");


size_t
ngx_mcp_push_event_size(ngx_mcp_pushed_t *pushed)
{
    return ngx_mcp_push_event_head.len + pushed->raw_method.len
           + sizeof(",\"params\":{\"uri\":}}") - 1
           + ngx_max(pushed->params.len, pushed->raw_uri.len);
}


ngx_mcp_event_t *
ngx_mcp_push_event(ngx_mcp_pushed_t *pushed)
{
    ngx_mcp_event_t  *ev;

    ev = ngx_mcp_event_alloc(ngx_mcp_push_event_size(pushed), ngx_cycle->log);
    if (ev == NULL) {
        return NULL;
    }

    ev->last = ngx_sprintf(ev->last, "%V%V", &ngx_mcp_push_event_head,
                           &pushed->raw_method);

    /* who has subscribed hears which resource has changed, and nothing else */

    if (pushed->method == NGX_MCP_PUSHED_UPDATED) {
        ev->last = ngx_sprintf(ev->last, ",\"params\":{\"uri\":%V}",
                               &pushed->raw_uri);

    } else if (pushed->params.data) {
        ev->last = ngx_sprintf(ev->last, ",\"params\":%V", &pushed->params);
    }

    *ev->last++ = '}';

    return ngx_mcp_event_frame(ev, ngx_cycle->log);
}


ngx_uint_t
ngx_mcp_push_event_receives(ngx_mcp_session_t *s, ngx_mcp_pushed_t *pushed)
{
    if (s->listen.len) {
        return s->stream && ngx_mcp_listen_receives(s, pushed->method);
    }

    return s->stream && (!s->streamable || s->primary);
}


ngx_int_t
ngx_mcp_push_event_send(ngx_mcp_session_t *s, ngx_mcp_pushed_t *pushed,
    ngx_mcp_event_t **first)
{
    size_t            size;
    ngx_mcp_event_t  *ev;

    size = s->listen.len ? ngx_mcp_push_event_listen_size(s, pushed)
                         : ngx_mcp_push_event_size(pushed);

    if (!ngx_mcp_stream_has_room(s->stream, size)) {
        return NGX_BUSY;
    }

    ev = ngx_mcp_push_event_for(s, pushed, first);
    if (ev == NULL) {
        return NGX_ERROR;
    }

    ngx_mcp_stream_send(s->stream, ev);

    ngx_mcp_count(NGX_MCP_COUNT_EVENTS_DELIVERED);

    return NGX_OK;
}


static ngx_mcp_event_t *
ngx_mcp_push_event_for(ngx_mcp_session_t *s, ngx_mcp_pushed_t *pushed,
    ngx_mcp_event_t **first)
{
    if (s->listen.len) {
        return ngx_mcp_push_event_listen(s, pushed);
    }

    return first ? ngx_mcp_push_event_share(pushed, first)
                 : ngx_mcp_push_event(pushed);
}


static ngx_mcp_event_t *
ngx_mcp_push_event_share(ngx_mcp_pushed_t *pushed, ngx_mcp_event_t **first)
{
    if (*first == NULL) {
        *first = ngx_mcp_push_event(pushed);
    }

    return *first ? ngx_mcp_event_share(*first, ngx_cycle->log) : NULL;
}


static size_t
ngx_mcp_push_event_listen_size(ngx_mcp_session_t *s, ngx_mcp_pushed_t *pushed)
{
    return ngx_mcp_push_event_head.len + pushed->raw_method.len
           + sizeof(",\"params\":{\"_meta\":{"
                    "\"io.modelcontextprotocol/subscriptionId\":},"
                    "\"uri\":}}") - 1
           + s->listen.len + pushed->raw_uri.len;
}


/*
 * That lists have changed has no other params, and an update the URI alone.
 */

static ngx_mcp_event_t *
ngx_mcp_push_event_listen(ngx_mcp_session_t *s, ngx_mcp_pushed_t *pushed)
{
    ngx_mcp_event_t  *ev;

    ev = ngx_mcp_event_alloc(ngx_mcp_push_event_listen_size(s, pushed),
                             ngx_cycle->log);
    if (ev == NULL) {
        return NULL;
    }

    ev->last = ngx_sprintf(ev->last, "%V%V,\"params\":{\"_meta\":{"
                           "\"io.modelcontextprotocol/subscriptionId\":%V}",
                           &ngx_mcp_push_event_head, &pushed->raw_method,
                           &s->listen);

    if (pushed->method == NGX_MCP_PUSHED_UPDATED) {
        ev->last = ngx_sprintf(ev->last, ",\"uri\":%V", &pushed->raw_uri);
    }

    *ev->last++ = '}';
    *ev->last++ = '}';

    return ngx_mcp_event_frame(ev, ngx_cycle->log);
}

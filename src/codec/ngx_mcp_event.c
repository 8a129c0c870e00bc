
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * SSE events: blocks of memory and their framing (HTML standard, 9.2).
 *
 * An event is owned by the one that holds the pointer.
 */

#include "ngx_mcp_event.h"


static ngx_str_t  ngx_mcp_event_head = ngx_string("event: message\ndata: ");


ngx_mcp_event_t *
ngx_mcp_event_alloc(size_t size, ngx_log_t *log)
{
    u_char           *p;
    ngx_mcp_event_t  *ev;

    ev = ngx_alloc(sizeof(ngx_mcp_event_t)
                   + ngx_mcp_event_head.len + size + sizeof("\n\n") - 1,
                   log);
    if (ev == NULL) {
        return NULL;
    }

    p = (u_char *) (ev + 1) + ngx_mcp_event_head.len;

    ev->pos = p;
    ev->last = p;
    ev->end = p + size;

    return ev;
}


void
ngx_mcp_event_frame(ngx_mcp_event_t *ev)
{
    ev->pos -= ngx_mcp_event_head.len;

    ngx_memcpy(ev->pos, ngx_mcp_event_head.data, ngx_mcp_event_head.len);

    *ev->last++ = LF;
    *ev->last++ = LF;
}


void
ngx_mcp_event_data(ngx_mcp_event_t *ev, ngx_str_t *data)
{
    data->data = ev->pos + ngx_mcp_event_head.len;
    data->len = ev->last - data->data - (sizeof("\n\n") - 1);
}


ngx_mcp_event_t *
ngx_mcp_event_format(size_t size, ngx_log_t *log, const char *fmt, ...)
{
    va_list           args;
    ngx_mcp_event_t  *ev;

    ev = ngx_mcp_event_alloc(size, log);
    if (ev == NULL) {
        return NULL;
    }

    va_start(args, fmt);
    ev->last = ngx_vslprintf(ev->pos, ev->end, fmt, args);
    va_end(args);

    return ev;
}

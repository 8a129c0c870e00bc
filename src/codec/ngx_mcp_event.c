
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * SSE events: blocks of memory and their framing (HTML standard, 9.2).
 *
 * An event is owned by the one that holds the pointer.
 */

#include "ngx_mcp_event.h"


static size_t ngx_mcp_event_separator(u_char *p, u_char *last);
static ngx_mcp_event_t *ngx_mcp_event_escape(ngx_mcp_event_t *ev, size_t n,
    ngx_log_t *log);


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


ngx_mcp_event_t *
ngx_mcp_event_frame(ngx_mcp_event_t *ev, ngx_log_t *log)
{
    u_char  *p;
    size_t   n;

    n = 0;

    for (p = ev->pos; p < ev->last; p++) {
        if (ngx_mcp_event_separator(p, ev->last)) {
            n++;
        }
    }

    if (n) {
        ev = ngx_mcp_event_escape(ev, n, log);
        if (ev == NULL) {
            return NULL;
        }
    }

    ngx_mcp_event_frame_plain(ev);

    return ev;
}


void
ngx_mcp_event_frame_plain(ngx_mcp_event_t *ev)
{
    ev->pos -= ngx_mcp_event_head.len;

    ngx_memcpy(ev->pos, ngx_mcp_event_head.data, ngx_mcp_event_head.len);

    *ev->last++ = LF;
    *ev->last++ = LF;
}


/*
 * Only CR and LF end a line of a stream (HTML standard, 9.2.5), but Python's
 * splitlines(), which clients have used to read streams, also splits at these:
 * returns the length of U+0085, U+2028 or U+2029 at p, or 0.  JSON has the
 * others, VT, FF and FS to RS, only escaped.
 */

static size_t
ngx_mcp_event_separator(u_char *p, u_char *last)
{
    if (p[0] == 0xc2 && last - p >= 2 && p[1] == 0x85) {
        return 2;
    }

    return (p[0] == 0xe2 && last - p >= 3 && p[1] == 0x80
            && (p[2] == 0xa8 || p[2] == 0xa9))
           ? 3 : 0;
}


/*
 * Copies an event and writes its n separators as escapes, which have 6 bytes:
 * in JSON, a character that is not ASCII is part of a string.  Frees ev.
 */

static ngx_mcp_event_t *
ngx_mcp_event_escape(ngx_mcp_event_t *ev, size_t n, ngx_log_t *log)
{
    u_char           *p;
    size_t            len;
    ngx_mcp_event_t  *escaped;

    escaped = ngx_mcp_event_alloc(ev->last - ev->pos + 4 * n, log);

    if (escaped == NULL) {
        ngx_free(ev);
        return NULL;
    }

    for (p = ev->pos; p < ev->last; p += len) {
        len = ngx_mcp_event_separator(p, ev->last);

        if (len == 0) {
            *escaped->last++ = *p;
            len = 1;
            continue;
        }

        escaped->last = ngx_cpymem(escaped->last,
                                   len == 2 ? "\\u0085"
                                   : p[2] == 0xa8 ? "\\u2028" : "\\u2029",
                                   sizeof("\\u0085") - 1);
    }

    ngx_free(ev);

    return escaped;
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

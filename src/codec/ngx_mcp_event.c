
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * SSE events: blocks of memory and their framing (HTML standard, 9.2).
 *
 * An event is owned by the one that holds the pointer; several can share the
 * bytes of one.
 *
 * Blocks of large events are kept and used again: malloc() would give them back
 * to the system, and each page of the next one would be a page fault.
 */

#include "ngx_mcp_event.h"
#include "ngx_mcp_json_text.h"


/* blocks from this size on are kept, bytes */

#define NGX_MCP_EVENT_LARGE     16384

/* in each worker; the least recently used are freed */

#define NGX_MCP_EVENT_MAX_KEPT  8

/* under a sanitizer all are freed, so that it sees a use after free */

#ifdef NGX_DEBUG_PALLOC
#define NGX_MCP_EVENT_MAX_KEPT_SIZE  0
#else
#define NGX_MCP_EVENT_MAX_KEPT_SIZE  (12 * 1024 * 1024)    /* bytes */
#endif


/* half of what the allocator keeps at the end of the heap */

#define NGX_MCP_EVENT_HEAP_BLOCK  (1024 * 1024)            /* bytes */


static ngx_mcp_event_t *ngx_mcp_event_kept(size_t size);
static void ngx_mcp_event_drop(ngx_mcp_event_t *ev);
static u_char *ngx_mcp_event_room(ngx_mcp_event_t *ev);
static size_t ngx_mcp_event_separator(u_char *p, u_char *last);
static ngx_mcp_event_t *ngx_mcp_event_escape(ngx_mcp_event_t *ev, size_t n,
    ngx_log_t *log);


static ngx_str_t  ngx_mcp_event_head = ngx_string("event: message\ndata: ");

static ngx_queue_t  ngx_mcp_event_kept_list = {
    &ngx_mcp_event_kept_list, &ngx_mcp_event_kept_list
};
static ngx_uint_t  ngx_mcp_event_nkept;
static size_t      ngx_mcp_event_kept_size;


/*
 * glibc gives the end of the heap back to the kernel as soon as 128 kB of it
 * are free, which the memory of a few messages is, and takes it again with the
 * next ones: system calls, and a page fault for each page.  When a block is
 * freed that was a mapping of its own, this limit becomes twice its size
 * (mallopt(3), M_MMAP_THRESHOLD).  Other allocators do nothing.
 */

void
ngx_mcp_event_init(ngx_log_t *log)
{
    void  *p;

    p = ngx_alloc(NGX_MCP_EVENT_HEAP_BLOCK, log);

    if (p) {
        ngx_free(p);
    }
}


ngx_mcp_event_t *
ngx_mcp_event_alloc(size_t size, ngx_log_t *log)
{
    u_char           *p;
    ngx_mcp_event_t  *ev;

    ev = ngx_mcp_event_kept(size);

    if (ev == NULL) {
        ev = ngx_alloc(sizeof(ngx_mcp_event_t)
                       + ngx_mcp_event_head.len + size + sizeof("\n\n") - 1,
                       log);
        if (ev == NULL) {
            return NULL;
        }

        ev->end = ngx_mcp_event_room(ev) + size;
    }

    p = ngx_mcp_event_room(ev);

    ev->pos = p;
    ev->last = p;
    ev->shared = NULL;
    ev->nshares = 0;

    return ev;
}


ngx_mcp_event_t *
ngx_mcp_event_share(ngx_mcp_event_t *ev, ngx_log_t *log)
{
    ngx_mcp_event_t  *share;

    share = ngx_alloc(sizeof(ngx_mcp_event_t), log);
    if (share == NULL) {
        return NULL;
    }

    ev = ev->shared ? ev->shared : ev;
    ev->nshares++;

    *share = *ev;

    share->shared = ev;
    share->nshares = 0;

    return share;
}


/*
 * Returns a kept event with room for size bytes and not for many more, or NULL.
 */

static ngx_mcp_event_t *
ngx_mcp_event_kept(size_t size)
{
    size_t            room;
    ngx_queue_t      *q;
    ngx_mcp_event_t  *ev;

    if (size < NGX_MCP_EVENT_LARGE) {
        return NULL;
    }

    for (q = ngx_queue_head(&ngx_mcp_event_kept_list);
         q != ngx_queue_sentinel(&ngx_mcp_event_kept_list);
         q = ngx_queue_next(q))
    {
        ev = ngx_queue_data(q, ngx_mcp_event_t, queue);
        room = ev->end - ngx_mcp_event_room(ev);

        if (room >= size && room / 2 <= size) {
            ngx_queue_remove(q);
            ngx_mcp_event_nkept--;
            ngx_mcp_event_kept_size -= room;

            return ev;
        }
    }

    return NULL;
}


void
ngx_mcp_event_free(ngx_mcp_event_t *ev)
{
    size_t            room;
    ngx_queue_t      *q, *prev;
    ngx_mcp_event_t  *share;

    if (ev->shared) {
        share = ev;
        ev = share->shared;
        ngx_free(share);
    }

    /* who has the bytes does not matter: the last one frees them */

    if (ev->nshares) {
        ev->nshares--;
        return;
    }

    room = ev->end - ngx_mcp_event_room(ev);

    if (room < NGX_MCP_EVENT_LARGE || room > NGX_MCP_EVENT_MAX_KEPT_SIZE) {
        ngx_free(ev);
        return;
    }

    for (q = ngx_queue_last(&ngx_mcp_event_kept_list);
         q != ngx_queue_sentinel(&ngx_mcp_event_kept_list)
         && (ngx_mcp_event_nkept == NGX_MCP_EVENT_MAX_KEPT
             || ngx_mcp_event_kept_size + room > NGX_MCP_EVENT_MAX_KEPT_SIZE);
         q = prev)
    {
        prev = ngx_queue_prev(q);

        ngx_mcp_event_drop(ngx_queue_data(q, ngx_mcp_event_t, queue));
    }

    ngx_queue_insert_head(&ngx_mcp_event_kept_list, &ev->queue);
    ngx_mcp_event_nkept++;
    ngx_mcp_event_kept_size += room;
}


/*
 * Frees a kept event.
 */

static void
ngx_mcp_event_drop(ngx_mcp_event_t *ev)
{
    ngx_mcp_event_nkept--;
    ngx_mcp_event_kept_size -= ev->end - ngx_mcp_event_room(ev);

    ngx_queue_remove(&ev->queue);
    ngx_free(ev);
}


static u_char *
ngx_mcp_event_room(ngx_mcp_event_t *ev)
{
    return (u_char *) (ev + 1) + ngx_mcp_event_head.len;
}


ngx_mcp_event_t *
ngx_mcp_event_frame(ngx_mcp_event_t *ev, ngx_log_t *log)
{
    u_char  *p;
    size_t   n;

    n = 0;

    for (p = ev->pos; p < ev->last; p++) {

        p = ngx_mcp_json_text_visible(p, ev->last);

        if (p == ev->last) {
            break;
        }

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
        ngx_mcp_event_free(ev);
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

    ngx_mcp_event_free(ev);

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

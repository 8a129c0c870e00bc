
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Server-sent events (HTML standard, 9.2): blocks of memory and their framing.
 */

#ifndef _NGX_MCP_EVENT_H_INCLUDED_
#define _NGX_MCP_EVENT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * A block of memory outside of pools; [pos, last) is the bytes of one event,
 * or its data before it is framed.  The holder of the pointer owns the event
 * and frees it by ngx_mcp_event_free().
 *
 * There is room for the frame around the data, so that an answer is framed
 * where it was collected.
 */

typedef struct ngx_mcp_event_s  ngx_mcp_event_t;

struct ngx_mcp_event_s {
    ngx_queue_t       queue;
    u_char           *pos;
    u_char           *last;
    u_char           *end;     /* of the room for data */

    /* see ngx_mcp_event_share() */

    ngx_mcp_event_t  *shared;  /* which has the bytes; NULL: this one has */
    ngx_uint_t        nshares; /* of its bytes */
};


/*
 * At the start of a worker: lets the allocator keep 2 MB of the memory that is
 * free at the end of the heap.
 */

void ngx_mcp_event_init(ngx_log_t *log);

/*
 * Allocates an event with room for "size" bytes of data; pos and last point to
 * the beginning of the data.  Returns NULL if memory is short.
 */

ngx_mcp_event_t *ngx_mcp_event_alloc(size_t size, ngx_log_t *log);

/*
 * Frees an event and its links of a queue; a large one is kept for another.
 */

void ngx_mcp_event_free(ngx_mcp_event_t *ev);

/*
 * Returns another event with the bytes of a framed one, which are not copied
 * and must not be changed any more, or NULL if memory is short.  Both are owned
 * and freed as all events; the bytes are freed with the last.
 */

ngx_mcp_event_t *ngx_mcp_event_share(ngx_mcp_event_t *ev, ngx_log_t *log);

/*
 * Puts the frame of a "message" event around [pos, last), which must be one
 * line of JSON within the room for data.  Takes ev over and returns the event,
 * which is another one if characters had to be escaped, or NULL if memory is
 * short.
 */

ngx_mcp_event_t *ngx_mcp_event_frame(ngx_mcp_event_t *ev, ngx_log_t *log);

/*
 * As ngx_mcp_event_frame(), for data without U+0085, U+2028 and U+2029.
 */

void ngx_mcp_event_frame_plain(ngx_mcp_event_t *ev);

/*
 * Sets *data to the data of an event that ngx_mcp_event_frame() has framed.
 */

void ngx_mcp_event_data(ngx_mcp_event_t *ev, ngx_str_t *data);

/*
 * Makes an event of bytes that include the frame, with the formats of
 * ngx_sprintf().  "size" is at least their length; more is cut off.  Returns
 * NULL if memory is short.
 */

ngx_mcp_event_t *ngx_mcp_event_format(size_t size, ngx_log_t *log,
    const char *fmt, ...);


#endif /* _NGX_MCP_EVENT_H_INCLUDED_ */

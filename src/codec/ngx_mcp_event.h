
/*
 * Framing of server-sent events (HTML standard, section 9.2).  A leaf.
 */

#ifndef _NGX_MCP_EVENT_H_INCLUDED_
#define _NGX_MCP_EVENT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * A block of memory outside of any pool, with a range in it that is, or will
 * be, the bytes of one event.  Whoever holds it frees it with ngx_free().
 *
 * Around the data of a message there is always room for its frame, so that
 * an answer is framed where it was collected.
 */

typedef struct ngx_mcp_event_s  ngx_mcp_event_t;

struct ngx_mcp_event_s {
    ngx_queue_t   queue;
    u_char       *pos;
    u_char       *last;
    u_char       *end;
};


/*
 * Makes a block with room for "size" bytes of data; pos and last are where
 * the data begin.  NULL if memory is short.
 */

ngx_mcp_event_t *ngx_mcp_event_alloc(size_t size, ngx_log_t *log);

/*
 * Puts the frame of a message event around [pos, last), which must be one
 * line of JSON that lies in the room of the block's data.
 */

void ngx_mcp_event_frame(ngx_mcp_event_t *ev);

/*
 * The data of an event that was framed so.
 */

void ngx_mcp_event_data(ngx_mcp_event_t *ev, ngx_str_t *data);

/*
 * Makes an event of bytes that are framed already, in the manner of
 * ngx_sprintf(); "size" is at least their length.
 */

ngx_mcp_event_t *ngx_mcp_event_format(size_t size, ngx_log_t *log,
    const char *fmt, ...);


#endif /* _NGX_MCP_EVENT_H_INCLUDED_ */

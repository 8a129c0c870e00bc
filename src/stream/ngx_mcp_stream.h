
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * An open SSE response: bounded queue, back-pressure, heartbeats, end.
 */

#ifndef _NGX_MCP_STREAM_H_INCLUDED_
#define _NGX_MCP_STREAM_H_INCLUDED_


#include "ngx_mcp_ctx.h"


/*
 * The owner of a stream.  It lives at least as long as the stream, or until
 * closed() has run or ngx_mcp_stream_end() was called.
 *
 * closed() runs once, when the request of the stream ends for another reason
 * than ngx_mcp_stream_end(); "reason" is an ngx_mcp_close_reason_e, and
 * *stream is NULL.  It runs from an event of the connection or of the stream,
 * never inside one of the functions below.
 */

typedef struct {
    ngx_mcp_stream_t             **stream;     /* the owner's pointer to it */
    void                          *data;
    void                           (*closed)(void *data, ngx_uint_t reason);
    ngx_mcp_loc_conf_t            *conf;
    size_t                         limit;      /* bytes that may wait for the
                                                  client, see below */
    unsigned                       keepalive_event:1;
} ngx_mcp_stream_owner_t;


/*
 * Opens the stream on r: sends the headers and the event "first" in one write.
 * Takes over "first" in any case, and copies *owner.  The caller returns the
 * result from its content handler, or finalizes the request with it.
 * *owner->stream is set if the stream is open, and not changed otherwise.
 */

ngx_int_t ngx_mcp_stream_open(ngx_http_request_t *r,
    ngx_mcp_stream_owner_t *owner, ngx_mcp_event_t *first);

/*
 * Queues an event, which it takes over, and posts the event that writes the
 * queue: what is sent in one round of the event loop leaves in one write.
 *
 * The same event ends the stream as NGX_MCP_CLOSE_SLOW_CLIENT if the client
 * has not taken "limit" bytes or more of what was sent before the newest
 * event, and as NGX_MCP_CLOSE_NO_MEMORY if "ev" is NULL, an event that there
 * was no memory for: the client must not wait for it.
 */

void ngx_mcp_stream_send(ngx_mcp_stream_t *stream, ngx_mcp_event_t *ev);

/*
 * Sends the last event, which it takes over and which may be NULL, in one
 * write with what is queued, and ends the response in order.  Detaches the
 * owner at once: closed() does not run.
 */

void ngx_mcp_stream_end(ngx_mcp_stream_t *stream, ngx_mcp_event_t *ev);

/*
 * Returns whether "size" more bytes that the client has not asked for may wait:
 * half of "limit", so that they do not end the stream, and answers have room.
 */

ngx_uint_t ngx_mcp_stream_has_room(ngx_mcp_stream_t *stream, size_t size);

/*
 * Returns the request of an open stream.
 */

ngx_http_request_t *ngx_mcp_stream_request(ngx_mcp_stream_t *stream);


#endif /* _NGX_MCP_STREAM_H_INCLUDED_ */

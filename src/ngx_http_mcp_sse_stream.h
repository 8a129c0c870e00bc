
/*
 * An open SSE response: bounded queue, back-pressure, heartbeat, end.
 */

#ifndef _NGX_HTTP_MCP_SSE_STREAM_H_INCLUDED_
#define _NGX_HTTP_MCP_SSE_STREAM_H_INCLUDED_


#include "ngx_http_mcp_sse.h"


/*
 * Runs once, when the stream is gone for any other reason than
 * ngx_http_mcp_sse_stream_end(): the pointer to it is not valid any more.
 * May run inside ngx_http_mcp_sse_stream_send().
 */

typedef void (*ngx_http_mcp_sse_stream_pt)(ngx_http_mcp_sse_session_t *s,
    ngx_uint_t reason);


/*
 * Opens the stream on r: headers and "first", an event, in one write.  Takes
 * over "first" in any case.  The caller returns the result from its content
 * handler, or gives it to ngx_http_finalize_request(); s->stream is set if
 * and only if the stream is open then.
 */

ngx_int_t ngx_http_mcp_sse_stream_open(ngx_http_request_t *r,
    ngx_http_mcp_sse_session_t *s, ngx_http_mcp_sse_event_t *first,
    ngx_uint_t keepalive_event, ngx_http_mcp_sse_stream_pt gone);

/*
 * Sends an event, which it takes over.  If too much is waiting the stream is
 * dropped, and gone() has run.  Runs posted requests of the client's
 * connection: not for use inside a handler of that request.
 */

void ngx_http_mcp_sse_stream_send(ngx_http_mcp_sse_stream_t *stream,
    ngx_http_mcp_sse_event_t *ev);

/*
 * Sends "events" (which it takes over; may be empty), in one write if the
 * client is ready, and ends the response in order.  Detaches the session at
 * once: gone() does not run.
 */

void ngx_http_mcp_sse_stream_end(ngx_http_mcp_sse_stream_t *stream,
    ngx_queue_t *events);

/*
 * Sends the headers of a stream; returns as ngx_http_send_header().
 */

ngx_int_t ngx_http_mcp_sse_stream_header(ngx_http_request_t *r);

/*
 * The number of open streams of this instance is what heartbeat events of
 * the guide carry; stream.c learns it from here.
 */

void ngx_http_mcp_sse_stream_init(ngx_uint_t (*count)(void),
    void (*changed)(ngx_int_t n));


#endif /* _NGX_HTTP_MCP_SSE_STREAM_H_INCLUDED_ */

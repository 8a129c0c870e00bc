
/*
 * An open SSE response: bounded queue, back-pressure, heartbeat, end.
 */

#ifndef _NGX_MCP_STREAM_H_INCLUDED_
#define _NGX_MCP_STREAM_H_INCLUDED_


#include "ngx_mcp.h"


/*
 * Whose stream it is.  The owner lives at least as long as the stream, or
 * until gone() has run or the stream was told to end.
 *
 * gone() runs once, when the stream is gone for any other reason than
 * ngx_mcp_stream_end(); *stream is NULL then.  May run inside
 * ngx_mcp_stream_send().
 */

typedef struct {
    ngx_mcp_stream_t             **stream;     /* the owner's pointer to it */
    void                          *data;
    void                           (*gone)(void *data, ngx_uint_t reason);
    ngx_mcp_loc_conf_t            *conf;
    unsigned                       keepalive_event:1;
} ngx_mcp_stream_owner_t;


/*
 * Opens the stream on r: headers and "first", an event, in one write.  Takes
 * over "first" in any case, and copies *owner.  The caller returns the result
 * from its content handler, or gives it to ngx_http_finalize_request();
 * *owner->stream is set if and only if the stream is open then.
 */

ngx_int_t ngx_mcp_stream_open(ngx_http_request_t *r,
    ngx_mcp_stream_owner_t *owner, ngx_mcp_event_t *first);

/*
 * Sends an event, which it takes over.  If too much is waiting the stream is
 * dropped, and gone() has run; so it is for NULL, an event that there was no
 * memory for: a client must not wait for it for ever.  Runs posted requests of
 * the client's connection: not for use inside a handler of that request.
 */

void ngx_mcp_stream_send(ngx_mcp_stream_t *stream, ngx_mcp_event_t *ev);

/*
 * Whether ngx_mcp_stream_send() would drop the stream now.
 */

ngx_uint_t ngx_mcp_stream_full(ngx_mcp_stream_t *stream);

/*
 * Sends "events" (which it takes over; may be empty), in one write if the
 * client is ready, and ends the response in order.  Detaches the owner at
 * once: gone() does not run.
 */

void ngx_mcp_stream_end(ngx_mcp_stream_t *stream, ngx_queue_t *events);

/*
 * Sends the headers of a stream; returns as ngx_http_send_header().
 */

ngx_int_t ngx_mcp_stream_header(ngx_http_request_t *r);


#endif /* _NGX_MCP_STREAM_H_INCLUDED_ */

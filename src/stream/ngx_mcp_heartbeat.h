
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Heartbeats of a stream: when they are due, and their bytes.
 */

#ifndef _NGX_MCP_HEARTBEAT_H_INCLUDED_
#define _NGX_MCP_HEARTBEAT_H_INCLUDED_


#include "ngx_mcp_ctx.h"


/*
 * Embedded in a stream, which zeroes it, and calls ngx_mcp_timer_del() for
 * "timer" before it is freed.
 */

typedef struct {
    ngx_mcp_timer_t              timer;
    ngx_msec_t                   interval;     /* of this stream */
    ngx_msec_t                   sent;         /* when no output was left */
    ngx_uint_t                   beats;
    unsigned                     event:1;      /* not a comment */
} ngx_mcp_heartbeat_t;


/*
 * Sets the timer to "keepalive" milliseconds or somewhat less, see
 * ngx_mcp_timer_spread(), for "handler" and "data".  "event" selects events
 * instead of comments.
 */

void ngx_mcp_heartbeat_start(ngx_mcp_heartbeat_t *hb, ngx_msec_t keepalive,
    ngx_uint_t event, ngx_mcp_timer_pt handler, void *data);

/*
 * All output of the stream has left nginx.
 */

void ngx_mcp_heartbeat_sent(ngx_mcp_heartbeat_t *hb);

/*
 * For the handler: sets the timer again, and returns whether a heartbeat is
 * due and counted now.
 */

ngx_uint_t ngx_mcp_heartbeat_due(ngx_mcp_heartbeat_t *hb);

/*
 * Returns the heartbeat that is due, for the caller to send or free, or NULL
 * if memory is short.
 */

ngx_mcp_event_t *ngx_mcp_heartbeat_event(ngx_mcp_heartbeat_t *hb);


#endif /* _NGX_MCP_HEARTBEAT_H_INCLUDED_ */

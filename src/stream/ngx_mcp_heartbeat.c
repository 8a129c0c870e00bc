
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Heartbeats of a stream: when they are due, and their bytes.
 *
 * The intervals of streams differ, so that streams that were opened together
 * do not beat together.  A comment only keeps the connection open: its time is
 * counted from the last output.  That is compared when the timer expires,
 * since a timer moved with each output would cost more.  Events have a counter
 * that clients may rely on: they are never skipped.
 */

#include "ngx_mcp_heartbeat.h"
#include "ngx_mcp_workers.h"


void
ngx_mcp_heartbeat_start(ngx_mcp_heartbeat_t *hb, ngx_msec_t keepalive,
    ngx_uint_t event, ngx_mcp_timer_pt handler, void *data)
{
    hb->timer.handler = handler;
    hb->timer.data = data;
    hb->interval = ngx_mcp_timer_spread(keepalive, ngx_random());
    hb->event = event ? 1 : 0;

    ngx_mcp_timer_set(&hb->timer, hb->interval);
}


void
ngx_mcp_heartbeat_sent(ngx_mcp_heartbeat_t *hb)
{
    hb->sent = ngx_current_msec;
}


ngx_uint_t
ngx_mcp_heartbeat_due(ngx_mcp_heartbeat_t *hb)
{
    ngx_msec_t  silent;

    silent = ngx_current_msec - hb->sent;

    if (!hb->event && silent < hb->interval) {
        ngx_mcp_timer_set(&hb->timer, hb->interval - silent);
        return 0;
    }

    ngx_mcp_timer_set(&hb->timer, hb->interval);

    hb->beats++;

    return 1;
}


ngx_mcp_event_t *
ngx_mcp_heartbeat_event(ngx_mcp_heartbeat_t *hb)
{
    ngx_mcp_workers_gauges_t  gauges;

    if (!hb->event) {
        return ngx_mcp_event_format(16 + 2 * NGX_INT64_LEN, ngx_cycle->log,
                                    ": ping %ui at %T\n\n", hb->beats,
                                    ngx_time());
    }

    ngx_mcp_workers_gauges(&gauges);

    return ngx_mcp_event_format(160 + 3 * NGX_INT64_LEN, ngx_cycle->log,
               "event: ping\ndata: {\"type\":\"ping\",\"timestamp\":%T,"
               "\"counter\":%ui,\"active_connections\":%ui}\n\n",
               ngx_time(), hb->beats, gauges.streams);
}

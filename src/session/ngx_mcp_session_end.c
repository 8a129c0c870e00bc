
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * How streams end: what the log says, and what is sent last.
 */

#include "ngx_mcp_session_end.h"
#include "ngx_mcp_counters.h"
#include "ngx_mcp_dispatch.h"
#include "ngx_mcp_list_changed.h"
#include "ngx_mcp_reply.h"
#include "ngx_mcp_session.h"
#include "ngx_mcp_session_timers.h"


typedef struct {
    ngx_str_t     word;        /* in the log */
    ngx_int_t     code;        /* of "event: error"; 0: no event */
    const char   *message;
    unsigned      client:1;    /* the request of the stream has ended */
    unsigned      retry:1;     /* "retry:" is sent */
} ngx_mcp_session_end_t;


static ngx_mcp_event_t *ngx_mcp_session_end_event(ngx_mcp_session_t *s,
    ngx_mcp_session_end_t *end);


/* docs/PROTOCOL.md 3, how a stream ends; by ngx_mcp_close_reason_e */

static ngx_mcp_session_end_t  ngx_mcp_session_ends[] = {

    { ngx_string("client left"), 0, NULL, 1, 0 },

    { ngx_string("slow reader"), 0, NULL, 1, 0 },

    { ngx_string("idle"), 0, NULL, 0, 1 },

    { ngx_string("evicted"),
      NGX_MCP_ERR_TOO_MANY, "Too many sessions", 0, 1 },

    { ngx_string("replaced"), 0, NULL, 0, 0 },

    { ngx_string("credential refused"),
      NGX_MCP_ERR_UNAUTHORIZED, "Invalid authorization", 0, 1 },

    { ngx_string("expired"), 0, NULL, 0, 1 },

    { ngx_string("stopping"), 0, NULL, 0, 1 },

    { ngx_string("no memory"),
      NGX_MCP_ERR_INTERNAL, "Internal server error", 0, 1 },

    { ngx_string("deleted"), 0, NULL, 0, 0 }
};


ngx_uint_t
ngx_mcp_session_end_by_client(ngx_uint_t reason)
{
    return ngx_mcp_session_ends[reason].client;
}


void
ngx_mcp_session_end_stream(ngx_mcp_session_t *s, ngx_uint_t reason)
{
    /* dispatch the inbox without starting calls */

    s->ending = 1;

    ngx_mcp_session_dispatch(s);

    ngx_mcp_dispatch_abandon(s, ngx_mcp_session_timers_stopped());

    if (s->receiver) {
        ngx_mcp_list_changed_now(s->receiver);
    }

    ngx_mcp_stream_end(s->stream,
                  ngx_mcp_session_end_event(s, &ngx_mcp_session_ends[reason]));
}


/*
 * Builds the last event of the stream.  Returns NULL if there is none.
 */

static ngx_mcp_event_t *
ngx_mcp_session_end_event(ngx_mcp_session_t *s, ngx_mcp_session_end_t *ending)
{
    ngx_mcp_event_t  *ev;

    if (s->listen.len) {
        return ngx_mcp_reply_listened(&s->listen);
    }

    ev = ngx_mcp_event_alloc(
             sizeof("event: error\ndata: \n\nretry: \n\n") + NGX_INT64_LEN
             + ngx_mcp_jsonrpc_error_size(NULL,
                                          ending->code ? ending->message : "",
                                          NULL),
             ngx_cycle->log);
    if (ev == NULL) {
        return NULL;
    }

    /* clients of Streamable HTTP do not expect such an event */

    if (ending->code && !s->streamable) {
        ev->last = ngx_sprintf(ev->last, "event: error\ndata: ");
        ev->last = ngx_mcp_jsonrpc_error(ev->last, NULL, ending->code,
                                         ending->message, NULL);
        ev->last = ngx_sprintf(ev->last, "\n\n");
    }

    if (ending->retry) {
        ev->last = ngx_slprintf(ev->last, ev->end, "retry: %M\n\n",
                                s->conf->retry);
    }

    if (ev->last == ev->pos) {
        ngx_mcp_event_free(ev);
        return NULL;
    }

    return ev;
}


void
ngx_mcp_session_end_log(ngx_mcp_session_t *s, ngx_uint_t reason)
{
    ngx_log_error(NGX_LOG_INFO, ngx_cycle->log, 0,
                  "SSE connection closed: %*s, %V, %M, %ui messages",
                  (size_t) NGX_MCP_HASH_LEN, s->sid.hash,
                  &ngx_mcp_session_ends[reason].word,
                  (ngx_current_msec - s->created) / 1000, s->messages);

    ngx_mcp_count(NGX_MCP_COUNT_ENDED + reason);
}

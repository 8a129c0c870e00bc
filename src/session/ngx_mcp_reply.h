
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Events for clients: answers of the backend, errors, local results.
 *
 * Each function returns an event that the caller owns, or NULL if memory is
 * short.
 */

#ifndef _NGX_MCP_REPLY_H_INCLUDED_
#define _NGX_MCP_REPLY_H_INCLUDED_


#include "ngx_mcp_task.h"


/*
 * The answer to the request of a task whose call is classified.  Takes over
 * the buffer of the call's answer if that can be framed in place.
 */

ngx_mcp_event_t *ngx_mcp_reply_answer(ngx_mcp_task_t *task);

/*
 * A JSON-RPC error for the sink, in the form of its era.  "id" is raw, "data"
 * is a raw object or an empty string.
 */

ngx_mcp_event_t *ngx_mcp_reply_error(ngx_mcp_sink_t *sink, ngx_str_t *id,
    ngx_int_t code, const char *message, const char *data);

/*
 * The result of a local method for the sink; "which" is NGX_MCP_LOCAL_*.
 */

ngx_mcp_event_t *ngx_mcp_reply_local(ngx_mcp_sink_t *sink, ngx_str_t *id,
    ngx_uint_t which);

/*
 * The first event of subscriptions/listen, which acknowledges it, and its
 * result, with which it ends (MCP 2026-07-28, Subscriptions).  "id" is that of
 * the request, raw; "filter" is what is honoured, NULL: nothing.
 */

ngx_mcp_event_t *ngx_mcp_reply_acknowledged(ngx_str_t *id,
    ngx_mcp_listen_filter_t *filter);
ngx_mcp_event_t *ngx_mcp_reply_listened(ngx_str_t *id);


#endif /* _NGX_MCP_REPLY_H_INCLUDED_ */

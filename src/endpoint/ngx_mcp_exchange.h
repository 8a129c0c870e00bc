
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * An exchange: a POST of Streamable HTTP that waits for the answers to its
 * messages.  The response is JSON, or a stream if the answers take long.
 */

#ifndef _NGX_MCP_EXCHANGE_H_INCLUDED_
#define _NGX_MCP_EXCHANGE_H_INCLUDED_


#include "ngx_mcp_client.h"
#include "ngx_mcp_task.h"


struct ngx_mcp_exchange_s {
    ngx_mcp_sink_t                sink;        /* the first member */

    ngx_http_request_t           *request;
    ngx_mcp_ctx_t                *ctx;
    ngx_mcp_loc_conf_t           *conf;

    ngx_queue_t                   events;      /* before there is a stream */
    size_t                        size;        /* of them, bytes */

    ngx_mcp_stream_t             *stream;
    ngx_event_t                   event;       /* resumes the request */
    ngx_mcp_timer_t               timer;       /* mcp_sse_stream_after */

    ngx_array_t                  *messages;    /* of the request */
    ngx_msec_t                    deadline;    /* of waiting for recovery */

    ngx_str_t                     session;     /* its id, for initialize */
    ngx_mcp_client_t             *client;      /* the same: claims of the id */
    ngx_str_t                     newest;      /* protocol version that the
                                                  answer may have */

    ngx_uint_t                    status;      /* 401, 403 of Frappe, or 0 */
    ngx_str_t                     challenge;   /* WWW-Authenticate of it */
    ngx_str_t                     body;

    unsigned                      batch:1;
    unsigned                      asked:1;     /* it has requests */
    unsigned                      initialized:1; /* initialize succeeded */
    unsigned                      slow:1;      /* becomes a stream */
    unsigned                      failed:1;    /* memory was short: 500 */
};


/*
 * Creates the exchange of r in its pool.  The cleanup of the request detaches
 * it from its tasks.  Returns NULL if memory is short.
 */

ngx_mcp_exchange_t *ngx_mcp_exchange_create(ngx_http_request_t *r);

/*
 * Answers the request, now or when its tasks have ended.  Called once, after
 * all messages were dispatched.  Returns the result for the content handler.
 */

ngx_int_t ngx_mcp_exchange_wait(ngx_mcp_exchange_t *x);


#endif /* _NGX_MCP_EXCHANGE_H_INCLUDED_ */

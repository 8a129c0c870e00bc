
/*
 * A POST of Streamable HTTP that waits for the answers to its messages, and
 * becomes a stream when they take long.
 */

#ifndef _NGX_MCP_EXCHANGE_H_INCLUDED_
#define _NGX_MCP_EXCHANGE_H_INCLUDED_


#include "ngx_mcp_task.h"


struct ngx_mcp_exchange_s {
    ngx_mcp_sink_t                sink;        /* the first member */

    ngx_http_request_t           *request;
    ngx_mcp_ctx_t                *ctx;
    ngx_mcp_loc_conf_t           *conf;

    ngx_queue_t                   events;      /* not yet given to a stream */
    size_t                        size;        /* of them */

    ngx_mcp_stream_t             *stream;
    ngx_event_t                   event;       /* there is work to do */
    ngx_mcp_timer_t               timer;

    ngx_str_t                     session;     /* id for an initialize */
    ngx_str_t                     newest;      /* version of its answer */

    ngx_uint_t                    status;      /* of a refusal, or 0 */
    ngx_str_t                     challenge;
    ngx_str_t                     body;

    unsigned                      batch:1;
    unsigned                      asked:1;     /* there are requests */
    unsigned                      initialized:1; /* initialize succeeded */
    unsigned                      slow:1;      /* is to become a stream */
    unsigned                      failed:1;    /* memory was short */
};


/*
 * Makes the exchange of r, in its pool.  NULL if memory is short.
 */

ngx_mcp_exchange_t *ngx_mcp_exchange_create(ngx_http_request_t *r);

/*
 * Answers r, now or when its tasks have.  Returns what r is finalized with.
 */

ngx_int_t ngx_mcp_exchange_wait(ngx_mcp_exchange_t *x);


#endif /* _NGX_MCP_EXCHANGE_H_INCLUDED_ */

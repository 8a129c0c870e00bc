
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Delivers the message of a POST, which stays pending while other instances
 * are asked or the stream of its session may come back.
 */

#ifndef _NGX_MCP_PENDING_H_INCLUDED_
#define _NGX_MCP_PENDING_H_INCLUDED_


#include "ngx_mcp_ctx.h"
#include "ngx_mcp_remote_send.h"


typedef struct ngx_mcp_pending_session_s  ngx_mcp_pending_session_t;


/* the delivery of the message of a POST; in the pool of the request */

struct ngx_mcp_pending_s {
    ngx_mcp_ctx_t                   *ctx;
    ngx_mcp_envelope_t              *envelope; /* until it is delivered */
    ngx_mcp_delivery_e               outcome;
    ngx_msec_t                       deadline;

    ngx_mcp_remote_send_t           *remote_send; /* NULL: none is asked */

    ngx_mcp_pending_session_t       *session;  /* NULL: not pending */
    ngx_queue_t                      queue;    /* if session is set */
    size_t                           size;     /* of the envelope */
    ngx_uint_t                       round;    /* in which it was tried */

    unsigned                         stream_lost:1; /* in this instance */
};


/*
 * Delivers the envelope of the context's "pending", sets its outcome and
 * returns what answer() returns; or returns NGX_DONE, and answer() runs later,
 * see ngx_mcp_suspend().  Only when the server stops, answer() runs with an
 * outcome that is not final: STREAM_LOST, RETRY, PENDING or SENT.
 *
 * If the outcome is ACCEPTED, "envelope" may be NULL: the owner of the session
 * has it then.  Otherwise the envelope still belongs to the request.
 */

ngx_int_t ngx_mcp_pending_deliver(ngx_http_request_t *r,
    ngx_mcp_resume_pt answer);

/*
 * Ends the delivery, if it is pending.
 */

void ngx_mcp_pending_cancel(ngx_mcp_pending_t *p);


#endif /* _NGX_MCP_PENDING_H_INCLUDED_ */

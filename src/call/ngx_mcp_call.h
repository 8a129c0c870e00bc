
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * A call of the backend: a subrequest to an internal location.  It runs on a
 * fake request of its own, so that neither the client's POST nor its stream
 * waits for it.
 *
 * A call never points to a request that it did not create.
 */

#ifndef _NGX_MCP_CALL_H_INCLUDED_
#define _NGX_MCP_CALL_H_INCLUDED_


#include "ngx_mcp_ctx.h"
#include "ngx_mcp_jsonrpc_answer.h"
#include "ngx_mcp_places.h"


typedef enum {
    NGX_MCP_CALL_DONE = 1,             /* there is a response; see status */
    NGX_MCP_CALL_FAILED,               /* connection closed, no memory */
    NGX_MCP_CALL_TIMED_OUT,            /* after timeout */
    NGX_MCP_CALL_OVERSIZE,             /* larger than max_answer */
    NGX_MCP_CALL_CANCELLED
} ngx_mcp_call_end_e;


typedef void (*ngx_mcp_call_pt)(ngx_mcp_call_t *call);


struct ngx_mcp_call_s {

    /* set by the caller between ngx_mcp_call_create() and _start() */

    ngx_http_core_srv_conf_t     *cscf;        /* server of the location */
    ngx_str_t                     uri;
    ngx_str_t                     args;
    ngx_str_t                     body;        /* of a POST; len 0: a GET */
    ngx_str_t                     address;     /* of the client, or empty */
    ngx_msec_t                    timeout;     /* 0: none */
    size_t                        max_answer;  /* bytes */
    ngx_msec_t                    waited;      /* of $mcp_sse_wait_ms */
    ngx_mcp_place_user_t         *place;       /* NULL: no limit; the call gives
                                                  it back when it is freed, and
                                                  "waited" is part of the
                                                  timeout */
    ngx_mcp_envelope_t           *envelope;    /* a reference, or NULL */
    void                         *data;
    unsigned                      jsonrpc:1;   /* the answer is scanned as it
                                                  comes */

    /*
     * Runs when the call has ended, from an event of its own: never inside
     * ngx_mcp_call_start() or _end().  It may take over "answer" by setting
     * it to NULL.  The call is freed when the handler returns.
     */

    ngx_mcp_call_pt               handler;

    /*
     * Runs before handler(), or is NULL: NGX_OK, or NGX_AGAIN if handler() is
     * to wait until ngx_mcp_call_resume().  Not for a call whose subrequest
     * nginx has not done with, as one that has timed out.
     */

    ngx_int_t                   (*before)(ngx_mcp_call_t *call);

    /*
     * Runs before nginx logs the call and sets ctx.vars.result; NULL: the
     * call is in no metric.  It runs inside ngx_http_finalize_request() and
     * must not touch any request.
     */

    ngx_mcp_call_pt               classify;

    /* set when the call has ended */

    ngx_uint_t                    end;         /* ngx_mcp_call_end_e; 0: runs */
    ngx_uint_t                    status;      /* HTTP status */
    off_t                         length;      /* Content-Length, or -1 */
    ngx_mcp_event_t              *answer;      /* the body, or NULL */
    ngx_mcp_jsonrpc_answer_scan_t scan;        /* of what has come of it */
    ngx_str_t                     challenge;   /* WWW-Authenticate */
    time_t                        retry_after; /* seconds, or -1 */
    ngx_msec_t                    started;     /* 0: not yet */
    uint64_t                      began;       /* ngx_mcp_count_clock() */

    /* private, except for ctx.vars and pool */

    ngx_mcp_ctx_t                 ctx;         /* of the fake request */
    ngx_pool_t                   *pool;        /* of the fake request */
    ngx_http_request_t           *request;     /* the fake request, or NULL */
    ngx_http_request_t           *subrequest;
    ngx_mcp_timer_t               timer;
    ngx_event_t                   event;       /* the call has ended */
    ngx_event_t                   next_slice;  /* reading goes on */
    size_t                        slice;       /* bytes read of this one */
    u_char                       *buffer;      /* nginx's own, or NULL: it does
                                                  not read into the answer */
    u_char                       *buffer_end;
    ngx_queue_t                   queue;       /* in the free list, or that of
                                                  calls that linger */

    ngx_connection_t              connection;
    ngx_event_t                   read;
    ngx_event_t                   write;
    ngx_log_t                     log;
    ngx_http_log_ctx_t            log_ctx;
    ngx_http_connection_t         hc;

    unsigned                      posted:1;    /* event, once; of a call that
                                                  lingers, once more */
    unsigned                      over:1;      /* nginx has done with it */
    unsigned                      lingers:1;   /* was answered, Frappe runs */

    /* set when the call has ended */

    unsigned                      proxied:1;   /* there was an upstream */
    unsigned                      answered:1;  /* status is the upstream's */
    unsigned                      unsent:1;    /* no byte reached it */
    unsigned                      cached:1;    /* answered from a cache */
};


/*
 * Creates a call on the server "cscf", with its fake request and pool; add
 * headers with ngx_mcp_header_push(call->request, ...).  Returns NULL if
 * memory is short.  The caller starts or frees the call.
 */

ngx_mcp_call_t *ngx_mcp_call_create(ngx_http_core_srv_conf_t *cscf,
    ngx_log_t *log);

/*
 * Starts the call.  On NGX_ERROR (memory is short) the call is freed and
 * handler() does not run.
 */

ngx_int_t ngx_mcp_call_start(ngx_mcp_call_t *call);

/*
 * A handler of the preaccess phase: sets the content length of a call's
 * subrequest.  Set earlier, nginx would compare it with client_max_body_size
 * when it finds the location.
 */

ngx_int_t ngx_mcp_call_length_handler(ngx_http_request_t *r);

/*
 * Ends the call with "end" (ngx_mcp_call_end_e), unless it has ended already,
 * and posts the event that runs handler() and closes the connection to the
 * backend, now or after it has lingered: see ngx_mcp_call_linger.h.
 */

void ngx_mcp_call_end(ngx_mcp_call_t *call, ngx_uint_t end);

/*
 * Goes on with a call for which before() has returned NGX_AGAIN: runs handler()
 * and frees the call.
 */

void ngx_mcp_call_resume(ngx_mcp_call_t *call);

/*
 * The deadline of a call comes "msec" milliseconds later, or earlier if that is
 * negative.  Does nothing if the call has none, or has ended.
 */

#define ngx_mcp_call_defer(call, msec)                                        \
    if ((call)->end == 0) {                                                   \
        ngx_mcp_timer_defer(&(call)->timer, msec);                            \
    }

/*
 * Frees a call that was not started.
 */

void ngx_mcp_call_free(ngx_mcp_call_t *call);


#endif /* _NGX_MCP_CALL_H_INCLUDED_ */

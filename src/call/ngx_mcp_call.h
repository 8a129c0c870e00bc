
/*
 * A detached call: a subrequest to an internal location on a private stub
 * request, so that neither the client's POST nor its stream waits for it or
 * pays for it.
 *
 * A call never points to a request that it did not create.
 */

#ifndef _NGX_MCP_CALL_H_INCLUDED_
#define _NGX_MCP_CALL_H_INCLUDED_


#include "ngx_mcp.h"


typedef enum {
    NGX_MCP_CALL_DONE = 1,             /* there is an answer; see status */
    NGX_MCP_CALL_FAILED,               /* cut, or a fault of our own */
    NGX_MCP_CALL_TIMED_OUT,
    NGX_MCP_CALL_OVERSIZE,
    NGX_MCP_CALL_CANCELLED
} ngx_mcp_call_end_e;


typedef void (*ngx_mcp_call_pt)(ngx_mcp_call_t *call);


struct ngx_mcp_call_s {

    /* set by the caller between _create() and _start() */

    ngx_http_core_srv_conf_t     *cscf;        /* server of the location */
    ngx_str_t                     uri;
    ngx_str_t                     args;
    ngx_str_t                     body;        /* len 0: a GET */
    ngx_str_t                     address;     /* of the client, or empty */
    ngx_msec_t                    timeout;
    size_t                        max_answer;
    void                         *data;

    /*
     * Runs when the call has ended, from an event of its own: never inside
     * _start() or _cancel().  It may take "answer" over by setting it to
     * NULL.  The call is freed when it returns.
     */

    ngx_mcp_call_pt               handler;

    /*
     * Runs just before nginx logs the call, to set facts.result.  It is
     * inside ngx_http_finalize_request() and must not touch any request.
     */

    ngx_mcp_call_pt               classify;

    /* the end */

    ngx_uint_t                    end;         /* ngx_http_mcp_..._call_end_e */
    ngx_uint_t                    status;      /* HTTP status */
    off_t                         length;      /* announced, or -1 */
    ngx_uint_t                    proxied;     /* not answered by nginx */
    ngx_mcp_event_t              *answer;      /* the body, or NULL */
    ngx_str_t                     challenge;   /* WWW-Authenticate */
    ngx_msec_t                    started;
    uint64_t                      began;       /* on the counters' clock */

    /* of the engine */

    ngx_mcp_ctx_t                 ctx;         /* of the stub; facts in it */
    ngx_pool_t                   *pool;        /* the stub's: for requests */
    ngx_http_request_t           *request;     /* the stub */
    ngx_http_request_t           *subrequest;
    ngx_mcp_timer_t               timer;
    ngx_event_t                   event;
    ngx_queue_t                   queue;       /* running, or free */

    ngx_connection_t              connection;
    ngx_event_t                   read;
    ngx_event_t                   write;
    ngx_log_t                     log;
    ngx_http_log_ctx_t            log_ctx;
    ngx_http_connection_t         hc;

    unsigned                      posted:1;
};


/*
 * Makes a call on the server "cscf": the stub request and its pool exist,
 * and headers may be added with ngx_mcp_header_push(call->request,
 * ...).  NULL if memory is short.  Either start or free it.
 */

ngx_mcp_call_t *ngx_mcp_call_create(ngx_http_core_srv_conf_t *cscf,
    ngx_log_t *log);

/*
 * Starts it.  On NGX_ERROR handler() will not run and the call is freed.
 */

ngx_int_t ngx_mcp_call_start(ngx_mcp_call_t *call);

/*
 * A handler of the preaccess phase: tells a call's subrequest how long its
 * body is.  Not earlier, or nginx would compare it with client_max_body_size
 * when it chooses the location, and again after a rewrite.
 */

ngx_int_t ngx_mcp_call_length_handler(ngx_http_request_t *r);

/*
 * Ends the call for the reason "end", unless it has ended: the connection to
 * the backend is closed.  handler() runs soon.
 */

void ngx_mcp_call_end(ngx_mcp_call_t *call, ngx_uint_t end);

/*
 * Logs, at level error, that "what" has ended with a status that is no use,
 * and what may be the matter.
 */

void ngx_mcp_call_log_error(ngx_mcp_call_t *call, const char *what);

/*
 * Frees a call that was not started.
 */

void ngx_mcp_call_free(ngx_mcp_call_t *call);


#endif /* _NGX_MCP_CALL_H_INCLUDED_ */

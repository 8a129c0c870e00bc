
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * A connection to Redis: resolve, connect, greet, time-outs, back-off.
 */

#ifndef _NGX_MCP_REDIS_CONN_H_INCLUDED_
#define _NGX_MCP_REDIS_CONN_H_INCLUDED_


#include "ngx_mcp.h"
#include "ngx_mcp_redis_event.h"
#include "ngx_mcp_redis_reader.h"


typedef struct ngx_mcp_redis_conn_s  ngx_mcp_redis_conn_t;

typedef void (*ngx_mcp_redis_conn_pt)(ngx_mcp_redis_conn_t *conn);


struct ngx_mcp_redis_conn_s {
    ngx_mcp_redis_conf_t            *conf;
    const char                      *name;      /* for CLIENT SETNAME */

    /*
     * The connection is ready for commands; it was ready and is lost, or the
     * first try to connect has failed.
     */

    ngx_mcp_redis_conn_pt            ready;
    ngx_mcp_redis_conn_pt            lost;

    /* private */

    redisAsyncContext               *ac;
    ngx_resolver_ctx_t              *resolver_ctx;
    ngx_mcp_timer_t                  timer;
    ngx_msec_t                       waiting_since;  /* for the next reply */
    ngx_uint_t                       attempts;  /* to connect; the user sets it
                                                   to 0 after success */
    u_char                           reason[128];  /* of the last failure,
                                                      with a NUL */
    unsigned                         is_ready:1;
    unsigned                         closed:1;
    unsigned                         invalid_reply:1; /* the last one was
                                                         refused */
};


/*
 * Open and close a connection.  The caller sets conf, name and the handlers,
 * and zeroes the rest.  The handlers never run before open() has returned.  A
 * lost connection connects again, until close(), which calls neither of them.
 */

void ngx_mcp_redis_conn_open(ngx_mcp_redis_conn_t *conn);
void ngx_mcp_redis_conn_close(ngx_mcp_redis_conn_t *conn);

/*
 * Sends a command of at most 8 arguments, which are copied.  "handler" runs
 * with the reply and "data", or with NULL if the connection is lost before; it
 * never runs before the function has returned.  Returns NGX_OK, or NGX_DECLINED
 * if the connection is not ready or too much is queued: then "handler" does not
 * run.
 */

ngx_int_t ngx_mcp_redis_conn_command(ngx_mcp_redis_conn_t *conn,
    redisCallbackFn *handler, void *data, ngx_uint_t argc, ngx_str_t *argv);

/*
 * Closes the connection and connects again after the back-off.  "reason" is for
 * the log.  Handlers of commands run with NULL before it returns; if it is
 * called from a handler of a reply, after that handler has returned.  Such a
 * handler must not touch the context afterwards.
 */

void ngx_mcp_redis_conn_fail(ngx_mcp_redis_conn_t *conn, const char *reason);

/*
 * The handler of a reply: an error reply fails the connection.
 */

void ngx_mcp_redis_conn_check(redisAsyncContext *ac, void *reply, void *data);


#endif /* _NGX_MCP_REDIS_CONN_H_INCLUDED_ */

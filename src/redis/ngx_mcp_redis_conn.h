
/*
 * One connection to Redis: it is made, greeted, watched and made again.
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

    /* it is ready for commands; it was ready and is not any more */

    ngx_mcp_redis_conn_pt            ready;
    ngx_mcp_redis_conn_pt            lost;

    /* below are the connection's own */

    redisAsyncContext               *ac;
    ngx_resolver_ctx_t              *resolving;
    ngx_mcp_timer_t                  timer;
    ngx_msec_t                       waiting;   /* for a reply, since */
    ngx_uint_t                       attempts;  /* the user sets it to 0 when
                                                   the connection was of use */
    u_char                           reason[128];  /* of the last failure,
                                                      with a NUL */
    unsigned                         is_ready:1;
    unsigned                         closed:1;
    unsigned                         nonsense:1;   /* it was refused */
};


/*
 * The caller sets conf, name and the handlers, and zeroes the rest.  The
 * handlers never run before open() has returned.  It is connected again until
 * close(), which calls no handler of the connection.
 */

void ngx_mcp_redis_conn_open(ngx_mcp_redis_conn_t *conn);
void ngx_mcp_redis_conn_close(ngx_mcp_redis_conn_t *conn);

/*
 * Sends a command; "handler" runs with its reply and "data", or with NULL
 * when the connection is lost before.  NGX_OK; NGX_DECLINED, if it is not
 * ready or has too much to write, and handler is not called.  handler never
 * runs before the function has returned.
 */

ngx_int_t ngx_mcp_redis_conn_command(ngx_mcp_redis_conn_t *conn,
    redisCallbackFn *handler, void *data, ngx_uint_t argc, ngx_str_t *argv);

/*
 * Gives it up and connects again after a while.  May be called from a reply's
 * handler, which must not touch the context afterwards.
 */

void ngx_mcp_redis_conn_fail(ngx_mcp_redis_conn_t *conn, const char *reason);

/*
 * The handler of a reply that must not be an error: then the connection is
 * given up.
 */

void ngx_mcp_redis_conn_check(redisAsyncContext *ac, void *reply, void *data);


#endif /* _NGX_MCP_REDIS_CONN_H_INCLUDED_ */


/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * A connection that speaks Redis: greeting, commands and their replies,
 * messages of subscriptions, time-outs.
 *
 * It has one life: it does not connect again by itself.
 */

#ifndef _NGX_MCP_REDIS_CONN_H_INCLUDED_
#define _NGX_MCP_REDIS_CONN_H_INCLUDED_


#include "ngx_mcp_timer.h"
#include "ngx_mcp_redis_io.h"
#include "ngx_mcp_redis_reader.h"


typedef enum {
    NGX_MCP_REDIS_CONN_MASTER = 0,  /* it must be a master */
    NGX_MCP_REDIS_CONN_NODE,        /* any node of a cluster */
    NGX_MCP_REDIS_CONN_SENTINEL     /* with its own user and password */
} ngx_mcp_redis_conn_kind_e;


typedef enum {
    NGX_MCP_REDIS_CONN_CLOSED = 0,
    NGX_MCP_REDIS_CONN_OPENING,     /* it connects and greets */
    NGX_MCP_REDIS_CONN_READY,
    NGX_MCP_REDIS_CONN_FAILED       /* its end is posted */
} ngx_mcp_redis_conn_state_e;


typedef struct ngx_mcp_redis_conn_s  ngx_mcp_redis_conn_t;

typedef void (*ngx_mcp_redis_conn_pt)(ngx_mcp_redis_conn_t *conn);

/*
 * The handler of a reply, which is freed when it returns; NULL: the connection
 * has ended before.
 */

typedef void (*ngx_mcp_redis_reply_pt)(ngx_mcp_redis_conn_t *conn,
    redisReply *reply, void *data);


struct ngx_mcp_redis_conn_s {

    /* set by the user, who zeroes the rest, before the first open() */

    ngx_mcp_redis_conf_t        *conf;
    const char                  *name;       /* for CLIENT SETNAME */
    ngx_mcp_redis_conn_kind_e    kind;

    /* it takes commands */

    ngx_mcp_redis_conn_pt        ready;

    /*
     * It has ended; conn->reason says why.  The handlers of its commands have
     * run with NULL.  May open it again.
     */

    ngx_mcp_redis_conn_pt        lost;

    /*
     * A message of a subscription, valid until it returns.  NULL: none may
     * come, one ends the connection.
     */

    void                       (*message)(ngx_mcp_redis_conn_t *conn,
                                     ngx_str_t *channel, ngx_str_t *bytes);

    void                        *data;       /* of the user */

    /* set by the connection */

    uint64_t                     master;     /* hash of the server's run_id; 0:
                                                unknown */
    ngx_uint_t                   version;    /* of the server: 7; 0: unknown */
    u_char                       reason[NGX_MCP_REDIS_MAX_REASON_LEN];
                                             /* of its last end, with a NUL */

    /* private */

    ngx_mcp_redis_conn_state_e   state;
    ngx_mcp_redis_address_t      address;
    ngx_mcp_redis_io_t           io;
    ngx_mcp_redis_reader_t       reader;
    ngx_queue_t                  waiting;    /* for a reply, in order */
    ngx_event_t                  posted;     /* begins or ends it */
    ngx_mcp_timer_t              timer;
    ngx_msec_t                   waiting_since;
    unsigned                     busy:1;     /* runs a handler of a reply */
    unsigned                     ending:1;   /* closed by that handler */
    unsigned                     subscribed:1;
    unsigned                     heard:1;    /* the server said something */
};


/*
 * Connects and greets.  The address is copied.  The connection must be closed
 * or lost.  No handler runs before this returns.
 */

void ngx_mcp_redis_conn_open(ngx_mcp_redis_conn_t *conn,
    ngx_mcp_redis_address_t *address);

/*
 * Closes a connection, if it is open.  What is queued is written once, without
 * waiting; the handlers of commands run with NULL before this returns, or if it
 * is called by a handler of this connection, after that has returned; lost()
 * does not run.  The connection may be opened again at once.
 */

void ngx_mcp_redis_conn_close(ngx_mcp_redis_conn_t *conn);

/*
 * Returns whether the connection takes commands.
 */

ngx_uint_t ngx_mcp_redis_conn_is_ready(ngx_mcp_redis_conn_t *conn);

/*
 * Sends a command of at most 8 words, which are copied.  "handler" runs once,
 * with the reply and "data", or with NULL if the connection ends before; never
 * before this returns.  Returns NGX_OK, or NGX_DECLINED if the connection is
 * not ready, too much is queued or there is no memory: then "handler" does not
 * run.
 */

ngx_int_t ngx_mcp_redis_conn_command(ngx_mcp_redis_conn_t *conn,
    ngx_mcp_redis_reply_pt handler, void *data, ngx_uint_t argc,
    ngx_str_t *argv);

/*
 * Subscribes to channels by "SUBSCRIBE" or "SSUBSCRIBE".  "handler" runs once:
 * when all of them are confirmed, with the last confirmation; with an error
 * reply; or with NULL.  Returns as ngx_mcp_redis_conn_command().
 */

ngx_int_t ngx_mcp_redis_conn_subscribe(ngx_mcp_redis_conn_t *conn,
    const char *command, ngx_mcp_redis_reply_pt handler, void *data,
    ngx_uint_t n, ngx_str_t *channels);

/*
 * Ends a connection, with a reason for the log.  From now on it takes no
 * commands and runs no handlers with replies; those of commands, with NULL, and
 * lost() run later in this turn of the event loop, never before this returns.
 */

void ngx_mcp_redis_conn_fail(ngx_mcp_redis_conn_t *conn, const char *reason);

/*
 * The handler of a reply: an error reply ends the connection.
 */

void ngx_mcp_redis_conn_check(ngx_mcp_redis_conn_t *conn, redisReply *reply,
    void *data);

/*
 * For greet and reply: the same as ngx_mcp_redis_conn_command() while the
 * connection is not ready; the greeting is over; the handlers of all commands
 * run with NULL, after the connection is closed.
 */

ngx_int_t ngx_mcp_redis_conn_send(ngx_mcp_redis_conn_t *conn,
    ngx_mcp_redis_reply_pt handler, void *data, ngx_uint_t argc,
    ngx_str_t *argv);
void ngx_mcp_redis_conn_greeted(ngx_mcp_redis_conn_t *conn);
void ngx_mcp_redis_conn_finish(ngx_mcp_redis_conn_t *conn);


#endif /* _NGX_MCP_REDIS_CONN_H_INCLUDED_ */

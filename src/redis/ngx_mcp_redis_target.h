
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * The master that a user works with: found, reached by all of its connections,
 * given up as a whole, and found again after a pause.
 */

#ifndef _NGX_MCP_REDIS_TARGET_H_INCLUDED_
#define _NGX_MCP_REDIS_TARGET_H_INCLUDED_


#include "ngx_mcp_redis_conn.h"
#include "ngx_mcp_redis_find.h"


#define NGX_MCP_REDIS_TARGET_MAX_CONNS  2


typedef struct ngx_mcp_redis_target_s  ngx_mcp_redis_target_t;

typedef void (*ngx_mcp_redis_target_pt)(ngx_mcp_redis_target_t *target);


struct ngx_mcp_redis_target_s {

    /*
     * Set by the user, who zeroes the rest.  The user owns the connections and
     * sets name, kind and message() of them; the target sets conf, ready(),
     * lost(), and data to itself.
     */

    ngx_mcp_redis_conf_t        *conf;
    ngx_mcp_redis_conn_t        *conns[NGX_MCP_REDIS_TARGET_MAX_CONNS];
    ngx_uint_t                   nconns;

    /* all connections are ready, and are of the same master */

    ngx_mcp_redis_target_pt      ready;

    /*
     * A generation that was ready, or the first try, has ended; the reason is
     * target->reason.  Its connections are closed; the next one follows.
     */

    ngx_mcp_redis_target_pt      lost;

    void                        *data;       /* of the user */

    /* set by the target */

    u_char                       reason[NGX_MCP_REDIS_MAX_REASON_LEN];
    ngx_uint_t                   generation; /* raised by each new one */
    ngx_uint_t                   attempts;   /* since it was last joined */
    uint64_t                     master;     /* of this generation; 0: unknown,
                                                or not ready */

    /* private */

    ngx_mcp_redis_find_t         find;
    ngx_mcp_timer_t              timer;
    ngx_msec_t                   started;    /* this generation */
    ngx_msec_t                   down_since; /* of a cluster: if "down" */
    ngx_msec_t                   down_at;    /* the last error that says so */
    unsigned                     is_ready:1;
    unsigned                     down:1;
};


/*
 * Open and close a target.  No handler runs before the first returns.  The
 * second closes the connections, by ngx_mcp_redis_conn_close(); lost() does not
 * run.
 */

void ngx_mcp_redis_target_open(ngx_mcp_redis_target_t *target);
void ngx_mcp_redis_target_close(ngx_mcp_redis_target_t *target);

/*
 * All is well: pauses between attempts begin with the shortest one again.
 */

void ngx_mcp_redis_target_joined(ngx_mcp_redis_target_t *target);

/*
 * Ends all connections; another generation follows.  The handlers of commands
 * and lost() run later in this turn of the event loop, never before this
 * returns.
 */

void ngx_mcp_redis_target_fail(ngx_mcp_redis_target_t *target,
    const char *reason);

/*
 * Reads an error reply of a command.  Returns NGX_DONE if it shows that the
 * server is not, or no longer, the master: the target fails, and goes where
 * MOVED says; NGX_AGAIN if a cluster says "not now", by ASK, TRYAGAIN or
 * CLUSTERDOWN: nothing ends; NGX_DECLINED for all others.
 */

ngx_int_t ngx_mcp_redis_target_error(ngx_mcp_redis_target_t *target,
    redisReply *reply);


#endif /* _NGX_MCP_REDIS_TARGET_H_INCLUDED_ */


/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * The Redis that Frappe publishes to, as a worker sees it: the channel of
 * mcp_sse_events, commands for questions.
 *
 * There are two connections of one target, since one that has subscribed takes
 * no commands.  The worker subscribes to
 *
 *     <channel>              what Frappe publishes
 *     <channel>:<name>       its own: barriers, and who has answered; "name" is
 *                            random, NGX_MCP_EVENTS_NAME_LEN characters
 *     <channel>:primary      all workers: which stream of a session is primary
 *
 * A server passes on what is published in one order, on all channels: what
 * arrives on one channel was published after what has arrived before, on
 * another one.
 *
 * It is up while both connections are ready and a barrier of this worker has
 * come back.
 */

#ifndef _NGX_MCP_EVENTS_H_INCLUDED_
#define _NGX_MCP_EVENTS_H_INCLUDED_


#include "ngx_mcp_zone.h"
#include "ngx_mcp_redis_target.h"


#define NGX_MCP_EVENTS_NAME_LEN  12     /* characters of base64url */


/*
 * Handlers of the session room.  None of them runs before ngx_mcp_events_init()
 * has returned.  Bytes are valid until the handler returns.  NULL: not needed.
 */

typedef struct {
    void      (*up)(void);              /* it is up, for the first time or
                                           again */
    void      (*lost)(void);            /* it was up */
    void      (*published)(ngx_str_t *bytes);
    void      (*answered)(ngx_str_t *bytes);  /* own channel: a question */
    void      (*claimed)(ngx_str_t *bytes);   /* "primary" */
    void      (*second)(void);          /* once a second, up or not */
} ngx_mcp_events_user_t;


/*
 * Start, in init_process, after the bus, and stop, in exit_process, before it;
 * both do nothing unless mcp_sse_events is set.  "user" must live as long as
 * the process.  The first returns NGX_OK, or NGX_ERROR after logging.
 */

ngx_int_t ngx_mcp_events_init(ngx_mcp_events_user_t *user, ngx_log_t *log);
void ngx_mcp_events_exit(void);

/*
 * Return whether mcp_sse_events is set, also in a worker that has not started
 * it; whether it is up.
 */

ngx_uint_t ngx_mcp_events_used(void);
ngx_uint_t ngx_mcp_events_is_up(void);

/*
 * Returns the name of this worker's own channel, NGX_MCP_EVENTS_NAME_LEN
 * characters, for the life of the process.
 */

u_char *ngx_mcp_events_name(void);

/*
 * Sends a command, see ngx_mcp_redis_conn_command(): NGX_OK, or NGX_DECLINED if
 * it is not ready.  "data" is a number or a static object, never a request, a
 * task or a session, which may be gone before the reply comes.
 */

ngx_int_t ngx_mcp_events_command(ngx_mcp_redis_reply_pt handler, void *data,
    ngx_uint_t argc, ngx_str_t *argv);

/*
 * Logs an error reply of such a command, at most once in 10 seconds, unless it
 * shows that the server is no master any more: then all is lost.  Does nothing
 * with another reply.
 */

void ngx_mcp_events_refused(redisReply *reply);

/*
 * Publish to the channel "<channel>:primary"; for ngx_mcp_barrier.c, to that of
 * this worker.  Return as above.
 */

ngx_int_t ngx_mcp_events_claim(ngx_str_t *bytes);
ngx_int_t ngx_mcp_events_to_self(ngx_str_t *bytes);


#endif /* _NGX_MCP_EVENTS_H_INCLUDED_ */

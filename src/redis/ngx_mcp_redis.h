
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Redis, as a worker sees it: two connections, its clock, publish.
 *
 * Redis is up while
 *
 *     - both connections are ready, and of the same master,
 *     - a probe that this worker has published to itself has come back,
 *     - the time of Redis is known,
 *     - the bus has called ngx_mcp_redis_joined().
 */

#ifndef _NGX_MCP_REDIS_H_INCLUDED_
#define _NGX_MCP_REDIS_H_INCLUDED_


#include "ngx_mcp_zone.h"
#include "ngx_mcp_packet.h"
#include "ngx_mcp_redis_target.h"
#include "ngx_mcp_redis_key.h"


/*
 * Handlers of the bus.  None of them runs before ngx_mcp_redis_init() has
 * returned.
 */

typedef struct {

    /*
     * Writes the worker's key.  Runs when the rest is ready, and every second
     * until ngx_mcp_redis_joined() is called.
     */

    void      (*join)(void);

    /* Redis has come up, for the first time or again */

    void      (*up)(void);

    /* a packet for this worker, opened; valid until the handler returns */

    void      (*packet)(ngx_mcp_packet_received_t *received);

    /* once a second while Redis is up */

    void      (*second)(void);

} ngx_mcp_redis_user_t;


/*
 * Start, in init_process if mcp_sse_redis is set, and stop, in exit_process.
 * "self" is the record of this worker.  "user" must live as long as the
 * process.  ngx_mcp_redis_init() returns NGX_OK or NGX_ERROR.
 */

ngx_int_t ngx_mcp_redis_init(ngx_mcp_worker_t *self,
    ngx_mcp_redis_user_t *user, ngx_log_t *log);
void ngx_mcp_redis_exit(void);

/*
 * The worker's key is in Redis.  Calls up(), if Redis was not up.
 */

void ngx_mcp_redis_joined(void);

/*
 * Return whether Redis is configured; whether it is up; for how long it has not
 * been up, in milliseconds.
 */

ngx_uint_t ngx_mcp_redis_used(void);
ngx_uint_t ngx_mcp_redis_is_up(void);
ngx_msec_t ngx_mcp_redis_down(void);

/*
 * Returns the time of Redis in unix milliseconds.  Valid while Redis is up.
 */

int64_t ngx_mcp_redis_now(void);

/*
 * Returns the master that this worker has joined, a hash of its run_id; 0: it
 * is not known, INFO is not permitted.  The time of Redis is that of this
 * master.
 */

uint64_t ngx_mcp_redis_master(void);

/*
 * Sends a command on the command connection: see ngx_mcp_redis_conn_command().
 */

ngx_int_t ngx_mcp_redis_command(ngx_mcp_redis_reply_pt handler, void *data,
    ngx_uint_t argc, ngx_str_t *argv);

/*
 * Publishes bytes to the worker with that id.  The reply is the number of
 * receivers.
 */

ngx_int_t ngx_mcp_redis_publish(u_char *id, ngx_str_t *bytes,
    ngx_mcp_redis_reply_pt handler, void *data);

/*
 * The same, to all workers of all instances, including this one.
 */

ngx_int_t ngx_mcp_redis_publish_all(ngx_str_t *bytes,
    ngx_mcp_redis_reply_pt handler, void *data);

/*
 * Seals a packet for the worker with that id, publishes it, and frees it.  The
 * packet is lost without notice if Redis is not up.
 */

void ngx_mcp_redis_send(ngx_mcp_packet_t *packet, ngx_uint_t type, u_char *id,
    ngx_mcp_redis_reply_pt handler);

/*
 * Log an error reply, at most once in 10 seconds; the same, as the handler of a
 * reply that is not needed.
 */

void ngx_mcp_redis_refused(redisReply *reply);
void ngx_mcp_redis_ignore(ngx_mcp_redis_conn_t *conn, redisReply *reply,
    void *data);

/*
 * An error reply that shows that Redis cannot be used: its connections end and
 * are made again, unless a cluster says "not now".
 */

void ngx_mcp_redis_failed(redisReply *reply);


#endif /* _NGX_MCP_REDIS_H_INCLUDED_ */

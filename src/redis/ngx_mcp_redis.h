
/*
 * Redis, as this worker sees it: two connections, its clock, one channel.
 *
 * It is "up" while both connections are ready, a message that this worker
 * has sent to itself has come back, the time of Redis is known, and the worker
 * was let in: redis_joined().
 */

#ifndef _NGX_MCP_REDIS_H_INCLUDED_
#define _NGX_MCP_REDIS_H_INCLUDED_


#include "ngx_mcp_zone.h"
#include "ngx_mcp_packet.h"
#include "ngx_mcp_redis_conn.h"
#include "ngx_mcp_redis_key.h"


/* what the bus does; none of them runs before redis_init() has returned */

typedef struct {

    /* all is there but the worker's key; runs until redis_joined() */

    void      (*join)(void);

    /* it has come up; called again after it was down */

    void      (*up)(void);

    /* a packet for this worker, opened; it is gone when this returns */

    void      (*packet)(ngx_mcp_packet_received_t *received);

    /* once a second while it is up */

    void      (*second)(void);

} ngx_mcp_redis_user_t;


/*
 * In init_process, where mcp_sse_redis is set, and exit_process.  "self" is
 * this worker's record, "user" must stay.
 */

ngx_int_t ngx_mcp_redis_init(ngx_mcp_worker_t *self,
    ngx_mcp_redis_user_t *user, ngx_log_t *log);
void ngx_mcp_redis_exit(void);

/*
 * The worker is known to Redis; calls up(), if it was not up.
 */

void ngx_mcp_redis_joined(void);

/*
 * Whether it is configured; whether it is up; for how long it is not, in
 * milliseconds.
 */

ngx_uint_t ngx_mcp_redis_used(void);
ngx_uint_t ngx_mcp_redis_is_up(void);
ngx_msec_t ngx_mcp_redis_down(void);

/*
 * The time of Redis in milliseconds; only while it is up.
 */

int64_t ngx_mcp_redis_now(void);

/*
 * See ngx_mcp_redis_conn_command().
 */

ngx_int_t ngx_mcp_redis_command(redisCallbackFn *handler, void *data,
    ngx_uint_t argc, ngx_str_t *argv);

/*
 * Publishes bytes to the worker with that id; the reply is the number of
 * receivers.
 */

ngx_int_t ngx_mcp_redis_publish(u_char *id, ngx_str_t *bytes,
    redisCallbackFn *handler, void *data);

/*
 * The same to all workers of all instances, this one included.
 */

ngx_int_t ngx_mcp_redis_publish_all(ngx_str_t *bytes, redisCallbackFn *handler,
    void *data);

/*
 * Seals a packet, which it frees, for the worker with that id and publishes
 * it.  Nothing says so if it does not go.
 */

void ngx_mcp_redis_send(ngx_mcp_packet_t *packet, ngx_uint_t type, u_char *id,
    redisCallbackFn *handler);

/*
 * Says, not more than once in 10 seconds, what Redis answered instead; the
 * same as the handler of a reply that nobody waits for.
 */

void ngx_mcp_redis_refused(redisReply *reply);
void ngx_mcp_redis_ignore(redisAsyncContext *ac, void *reply, void *data);


#endif /* _NGX_MCP_REDIS_H_INCLUDED_ */

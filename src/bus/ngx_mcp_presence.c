
/*
 * The list links sessions and does not own them: presence_leave() takes them
 * out.  A question to Redis knows its session by the key, in a block that the
 * handler of the reply frees: it runs once, with NULL if there is no reply.
 */

#include "ngx_mcp_presence.h"


#define NGX_HTTP_MCP_SSE_PRESENCE_TOUCH   20000
#define NGX_HTTP_MCP_SSE_PRESENCE_SLICE   1000
#define NGX_HTTP_MCP_SSE_PRESENCE_NEXT    20
#define NGX_HTTP_MCP_SSE_PRESENCE_RETRY   1000


typedef struct {
    u_char   key[NGX_HTTP_MCP_SSE_DIGEST];
} ngx_http_mcp_sse_presence_asked_t;


static void ngx_http_mcp_sse_presence_sessions(void *data);
static ngx_int_t ngx_http_mcp_sse_presence_touch(
    ngx_http_mcp_sse_session_t *s);
static ngx_int_t ngx_http_mcp_sse_presence_ask(u_char *key,
    redisCallbackFn *handler, ngx_uint_t argc, ngx_str_t *argv);
static void ngx_http_mcp_sse_presence_set(redisAsyncContext *ac, void *reply,
    void *data);
static void ngx_http_mcp_sse_presence_soon(ngx_http_mcp_sse_session_t *s);
static void ngx_http_mcp_sse_presence_checked(redisAsyncContext *ac,
    void *reply, void *data);
static void ngx_http_mcp_sse_presence_again(ngx_http_mcp_sse_session_t *s);
static void ngx_http_mcp_sse_presence_again_set(redisAsyncContext *ac,
    void *reply, void *data);
static ngx_int_t ngx_http_mcp_sse_presence_write(
    ngx_http_mcp_sse_session_t *s, const char *how, redisCallbackFn *handler);
static void ngx_http_mcp_sse_presence_tell(u_char *id, u_char *key);


static ngx_http_mcp_sse_bus_owner_t   *ngx_http_mcp_sse_presence_owner;
static ngx_http_mcp_sse_session_t   *(*ngx_http_mcp_sse_presence_local)(
    u_char *key);

static ngx_queue_t  ngx_http_mcp_sse_presences = {  /* touched last: last */
    &ngx_http_mcp_sse_presences, &ngx_http_mcp_sse_presences
};

static ngx_http_mcp_sse_timer_t  ngx_http_mcp_sse_presence_timer;


void
ngx_http_mcp_sse_presence_init(ngx_http_mcp_sse_bus_owner_t *owner,
    ngx_http_mcp_sse_session_t *(*local)(u_char *key))
{
    ngx_http_mcp_sse_presence_owner = owner;
    ngx_http_mcp_sse_presence_local = local;

    ngx_http_mcp_sse_presence_timer.handler =
                                        ngx_http_mcp_sse_presence_sessions;
}


void
ngx_http_mcp_sse_presence_enter(ngx_http_mcp_sse_session_t *s)
{
    if (!ngx_http_mcp_sse_redis_used()) {
        return;
    }

    ngx_queue_insert_head(&ngx_http_mcp_sse_presences, &s->presence);
    s->is_present = 1;

    if (ngx_http_mcp_sse_redis_is_up()) {
        (void) ngx_http_mcp_sse_presence_touch(s);
    }
}


void
ngx_http_mcp_sse_presence_leave(ngx_http_mcp_sse_session_t *s)
{
    if (s->is_present) {
        ngx_queue_remove(&s->presence);
        s->is_present = 0;
    }
}


void
ngx_http_mcp_sse_presence_second(void)
{
    if (!ngx_http_mcp_sse_presence_timer.set) {
        ngx_http_mcp_sse_presence_sessions(NULL);
    }
}


void
ngx_http_mcp_sse_presence_all(void)
{
    ngx_queue_t                 *q;
    ngx_http_mcp_sse_session_t  *s;

    for (q = ngx_queue_head(&ngx_http_mcp_sse_presences);
         q != ngx_queue_sentinel(&ngx_http_mcp_sse_presences);
         q = ngx_queue_next(q))
    {
        s = ngx_queue_data(q, ngx_http_mcp_sse_session_t, presence);
        s->touched = ngx_current_msec - NGX_HTTP_MCP_SSE_PRESENCE_TOUCH;
    }

    ngx_http_mcp_sse_presence_sessions(NULL);
}


/*
 * Those whose time has come, some at a time.
 */

static void
ngx_http_mcp_sse_presence_sessions(void *data)
{
    ngx_uint_t                   n;
    ngx_queue_t                 *q;
    ngx_http_mcp_sse_session_t  *s;

    for (n = 0; n < NGX_HTTP_MCP_SSE_PRESENCE_SLICE; n++) {

        if (ngx_queue_empty(&ngx_http_mcp_sse_presences)
            || !ngx_http_mcp_sse_redis_is_up())
        {
            return;
        }

        q = ngx_queue_head(&ngx_http_mcp_sse_presences);
        s = ngx_queue_data(q, ngx_http_mcp_sse_session_t, presence);

        if (ngx_current_msec - s->touched < NGX_HTTP_MCP_SSE_PRESENCE_TOUCH
            || ngx_http_mcp_sse_presence_touch(s) != NGX_OK)
        {
            return;
        }
    }

    ngx_http_mcp_sse_tick_set(&ngx_http_mcp_sse_presence_timer,
                              NGX_HTTP_MCP_SSE_PRESENCE_NEXT);
}


/*
 * A new session takes the key, whoever had it.  One that was known already
 * only keeps it: it may be another's by now.
 */

static ngx_int_t
ngx_http_mcp_sse_presence_touch(ngx_http_mcp_sse_session_t *s)
{
    u_char     buf[NGX_HTTP_MCP_SSE_REDIS_MAX_KEY];
    ngx_int_t  rc;
    ngx_str_t  argv[4];

    if (s->announced) {
        ngx_str_set(&argv[0], "GETEX");
        ngx_http_mcp_sse_redis_key(&argv[1], buf, 's', s->sid.key);
        ngx_str_set(&argv[2], "EX");
        ngx_str_set(&argv[3], "60");

        rc = ngx_http_mcp_sse_presence_ask(s->sid.key,
                                   ngx_http_mcp_sse_presence_checked, 4, argv);

    } else {
        rc = ngx_http_mcp_sse_presence_write(s, "GET",
                                             ngx_http_mcp_sse_presence_set);
    }

    if (rc == NGX_OK) {
        s->touched = ngx_current_msec;

        ngx_queue_remove(&s->presence);
        ngx_queue_insert_tail(&ngx_http_mcp_sse_presences, &s->presence);
    }

    return rc;
}


static ngx_int_t
ngx_http_mcp_sse_presence_ask(u_char *key, redisCallbackFn *handler,
    ngx_uint_t argc, ngx_str_t *argv)
{
    ngx_int_t                           rc;
    ngx_http_mcp_sse_presence_asked_t  *asked;

    asked = ngx_alloc(sizeof(ngx_http_mcp_sse_presence_asked_t),
                      ngx_cycle->log);
    if (asked == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(asked->key, key, NGX_HTTP_MCP_SSE_DIGEST);

    rc = ngx_http_mcp_sse_redis_command(handler, asked, argc, argv);

    if (rc != NGX_OK) {
        ngx_free(asked);
    }

    return rc;
}


/*
 * The reply is who had the session before.
 */

static void
ngx_http_mcp_sse_presence_set(redisAsyncContext *ac, void *reply, void *data)
{
    u_char                              id[NGX_HTTP_MCP_SSE_WORKER_ID];
    redisReply                         *r = reply;
    ngx_http_mcp_sse_session_t         *s;
    ngx_http_mcp_sse_presence_asked_t  *asked = data;

    s = ngx_http_mcp_sse_presence_local(asked->key);

    if (ngx_http_mcp_sse_alive_failed(ac, r)) {

        if (s) {
            ngx_http_mcp_sse_presence_soon(s);
        }

    } else {

        if (s) {
            s->announced = 1;
        }

        if (ngx_http_mcp_sse_redis_id(id, r) == NGX_OK
            && ngx_memcmp(id, ngx_http_mcp_sse_shm_self()->id,
                          NGX_HTTP_MCP_SSE_WORKER_ID)
               != 0)
        {
            ngx_http_mcp_sse_presence_tell(id, asked->key);
        }
    }

    ngx_free(asked);
}


static void
ngx_http_mcp_sse_presence_soon(ngx_http_mcp_sse_session_t *s)
{
    s->touched = ngx_current_msec - NGX_HTTP_MCP_SSE_PRESENCE_TOUCH
                 + NGX_HTTP_MCP_SSE_PRESENCE_RETRY;

    ngx_queue_remove(&s->presence);
    ngx_queue_insert_head(&ngx_http_mcp_sse_presences, &s->presence);
}


/*
 * The reply is who has it.
 */

static void
ngx_http_mcp_sse_presence_checked(redisAsyncContext *ac, void *reply,
    void *data)
{
    u_char                              id[NGX_HTTP_MCP_SSE_WORKER_ID];
    redisReply                         *r = reply;
    ngx_http_mcp_sse_session_t         *s;
    ngx_http_mcp_sse_presence_asked_t  *asked = data;

    s = ngx_http_mcp_sse_alive_failed(ac, r)
        ? NULL : ngx_http_mcp_sse_presence_local(asked->key);

    ngx_free(asked);

    /* one that is not announced is a new one, opened since this was asked */

    if (s == NULL || !s->announced) {
        return;
    }

    if (r->type == REDIS_REPLY_NIL) {
        ngx_http_mcp_sse_presence_again(s);
        return;
    }

    if (ngx_http_mcp_sse_redis_id(id, r) == NGX_OK
        && ngx_memcmp(id, ngx_http_mcp_sse_shm_self()->id,
                      NGX_HTTP_MCP_SSE_WORKER_ID)
           != 0)
    {
        ngx_http_mcp_sse_presence_owner->close(s, NGX_HTTP_MCP_SSE_REPLACED);
    }
}


/*
 * Redis has forgotten it.  Should another have it by now, the next look
 * finds out.
 */

static void
ngx_http_mcp_sse_presence_again(ngx_http_mcp_sse_session_t *s)
{
    (void) ngx_http_mcp_sse_presence_write(s, "NX",
                                           ngx_http_mcp_sse_presence_again_set);
}


static void
ngx_http_mcp_sse_presence_again_set(redisAsyncContext *ac, void *reply,
    void *data)
{
    ngx_http_mcp_sse_alive_ignore(ac, reply, NULL);

    ngx_free(data);
}


/*
 * Writes that this worker has the session: SET, with "GET" or "NX".
 */

static ngx_int_t
ngx_http_mcp_sse_presence_write(ngx_http_mcp_sse_session_t *s,
    const char *how, redisCallbackFn *handler)
{
    u_char     buf[NGX_HTTP_MCP_SSE_REDIS_MAX_KEY];
    u_char     hex[NGX_HTTP_MCP_SSE_REDIS_HEX];
    ngx_str_t  argv[6];

    ngx_str_set(&argv[0], "SET");
    ngx_http_mcp_sse_redis_key(&argv[1], buf, 's', s->sid.key);

    argv[2].data = hex;
    argv[2].len = ngx_hex_dump(hex, ngx_http_mcp_sse_shm_self()->id,
                               NGX_HTTP_MCP_SSE_WORKER_ID)
                  - hex;

    ngx_str_set(&argv[3], "EX");
    ngx_str_set(&argv[4], "60");

    argv[5].data = (u_char *) how;
    argv[5].len = ngx_strlen(how);

    return ngx_http_mcp_sse_presence_ask(s->sid.key, handler, 6, argv);
}


/*
 * To the worker that had the session.  Nobody waits for it: what is lost is
 * found when that worker touches the session the next time.
 */

static void
ngx_http_mcp_sse_presence_tell(u_char *id, u_char *key)
{
    ngx_http_mcp_sse_packet_t  *packet;

    packet = ngx_http_mcp_sse_packet_alloc(NGX_HTTP_MCP_SSE_DIGEST,
                                           ngx_cycle->log);
    if (packet == NULL) {
        return;
    }

    ngx_memcpy(packet->body, key, NGX_HTTP_MCP_SSE_DIGEST);

    ngx_http_mcp_sse_redis_send(packet, NGX_HTTP_MCP_SSE_PACKET_REPLACED, id,
                                ngx_http_mcp_sse_alive_ignore);
}


void
ngx_http_mcp_sse_presence_replaced(u_char *key)
{
    ngx_http_mcp_sse_session_t  *s;

    s = ngx_http_mcp_sse_presence_local(key);

    if (s && s->announced) {
        (void) ngx_http_mcp_sse_presence_touch(s);
    }
}

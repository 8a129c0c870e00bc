
/*
 * The list links sessions and does not own them: presence_leave() takes them
 * out.  A question to Redis knows its session by the key, in a block that the
 * handler of the reply frees: it runs once, with NULL if there is no reply.
 */

#include "ngx_mcp_presence.h"
#include "ngx_mcp_sessions.h"


#define NGX_MCP_PRESENCE_REFRESH_MS    20000
#define NGX_MCP_PRESENCE_MAX_COMMANDS  1000
#define NGX_MCP_PRESENCE_NEXT_MS       20
#define NGX_MCP_PRESENCE_RETRY_MS      1000


typedef struct {
    u_char   key[NGX_MCP_DIGEST_LEN];
} ngx_mcp_presence_check_t;


static void ngx_mcp_presence_sessions(void *data);
static ngx_int_t ngx_mcp_presence_refresh(ngx_mcp_session_t *s);
static ngx_int_t ngx_mcp_presence_ask(u_char *key, redisCallbackFn *handler,
    ngx_uint_t argc, ngx_str_t *argv);
static void ngx_mcp_presence_set(redisAsyncContext *ac, void *reply,
    void *data);
static void ngx_mcp_presence_schedule(ngx_mcp_session_t *s);
static void ngx_mcp_presence_checked(redisAsyncContext *ac, void *reply,
    void *data);
static void ngx_mcp_presence_again(ngx_mcp_session_t *s);
static void ngx_mcp_presence_again_set(redisAsyncContext *ac, void *reply,
    void *data);
static ngx_int_t ngx_mcp_presence_write(ngx_mcp_session_t *s, const char *how,
    redisCallbackFn *handler);
static void ngx_mcp_presence_notify(u_char *id, u_char *key);


static ngx_queue_t  ngx_mcp_presences = {           /* touched last: last */
    &ngx_mcp_presences, &ngx_mcp_presences
};

static ngx_mcp_timer_t  ngx_mcp_presence_timer;


void
ngx_mcp_presence_init(void)
{
    ngx_mcp_presence_timer.handler = ngx_mcp_presence_sessions;
}


void
ngx_mcp_presence_enter(ngx_mcp_session_t *s)
{
    if (!ngx_mcp_redis_used()) {
        return;
    }

    ngx_queue_insert_head(&ngx_mcp_presences, &s->presence);
    s->in_directory = 1;

    if (ngx_mcp_redis_is_up()) {
        (void) ngx_mcp_presence_refresh(s);
    }
}


void
ngx_mcp_presence_leave(ngx_mcp_session_t *s)
{
    if (s->in_directory) {
        ngx_queue_remove(&s->presence);
        s->in_directory = 0;
    }
}


void
ngx_mcp_presence_every_second(void)
{
    if (!ngx_mcp_presence_timer.set) {
        ngx_mcp_presence_sessions(NULL);
    }
}


void
ngx_mcp_presence_all(void)
{
    ngx_queue_t        *q;
    ngx_mcp_session_t  *s;

    for (q = ngx_queue_head(&ngx_mcp_presences);
         q != ngx_queue_sentinel(&ngx_mcp_presences);
         q = ngx_queue_next(q))
    {
        s = ngx_queue_data(q, ngx_mcp_session_t, presence);
        s->refreshed_at = ngx_current_msec - NGX_MCP_PRESENCE_REFRESH_MS;
    }

    ngx_mcp_presence_sessions(NULL);
}


/*
 * Those whose time has come, some at a time.
 */

static void
ngx_mcp_presence_sessions(void *data)
{
    ngx_uint_t          n;
    ngx_queue_t        *q;
    ngx_mcp_session_t  *s;

    for (n = 0; n < NGX_MCP_PRESENCE_MAX_COMMANDS; n++) {

        if (ngx_queue_empty(&ngx_mcp_presences) || !ngx_mcp_redis_is_up()) {
            return;
        }

        q = ngx_queue_head(&ngx_mcp_presences);
        s = ngx_queue_data(q, ngx_mcp_session_t, presence);

        if (ngx_current_msec - s->refreshed_at < NGX_MCP_PRESENCE_REFRESH_MS
            || ngx_mcp_presence_refresh(s) != NGX_OK)
        {
            return;
        }
    }

    ngx_mcp_timer_set(&ngx_mcp_presence_timer, NGX_MCP_PRESENCE_NEXT_MS);
}


/*
 * A new session takes the key, whoever had it.  One that was known already
 * only keeps it: it may be another's by now.
 */

static ngx_int_t
ngx_mcp_presence_refresh(ngx_mcp_session_t *s)
{
    u_char     buf[NGX_MCP_REDIS_MAX_KEY_LEN];
    ngx_int_t  rc;
    ngx_str_t  argv[4];

    if (s->published) {
        ngx_str_set(&argv[0], "GETEX");
        ngx_mcp_redis_key(&argv[1], buf, 's', s->sid.key);
        ngx_str_set(&argv[2], "EX");
        ngx_str_set(&argv[3], "60");

        rc = ngx_mcp_presence_ask(s->sid.key,
                                   ngx_mcp_presence_checked, 4, argv);

    } else {
        rc = ngx_mcp_presence_write(s, "GET", ngx_mcp_presence_set);
    }

    if (rc == NGX_OK) {
        s->refreshed_at = ngx_current_msec;

        ngx_queue_remove(&s->presence);
        ngx_queue_insert_tail(&ngx_mcp_presences, &s->presence);
    }

    return rc;
}


static ngx_int_t
ngx_mcp_presence_ask(u_char *key, redisCallbackFn *handler, ngx_uint_t argc,
    ngx_str_t *argv)
{
    ngx_int_t                  rc;
    ngx_mcp_presence_check_t  *asked;

    asked = ngx_alloc(sizeof(ngx_mcp_presence_check_t), ngx_cycle->log);
    if (asked == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(asked->key, key, NGX_MCP_DIGEST_LEN);

    rc = ngx_mcp_redis_command(handler, asked, argc, argv);

    if (rc != NGX_OK) {
        ngx_free(asked);
    }

    return rc;
}


/*
 * The reply is who had the session before.
 */

static void
ngx_mcp_presence_set(redisAsyncContext *ac, void *reply, void *data)
{
    u_char                     id[NGX_MCP_WORKER_ID_LEN];
    redisReply                *r = reply;
    ngx_mcp_session_t         *s;
    ngx_mcp_presence_check_t  *asked = data;

    s = ngx_mcp_sessions_find(asked->key);

    if (ngx_mcp_worker_lease_failed(ac, r)) {

        if (s) {
            ngx_mcp_presence_schedule(s);
        }

    } else {

        if (s) {
            s->published = 1;
        }

        if (ngx_mcp_redis_id(id, r) == NGX_OK
            && ngx_memcmp(id, ngx_mcp_workers_self()->id,
                          NGX_MCP_WORKER_ID_LEN)
               != 0)
        {
            ngx_mcp_presence_notify(id, asked->key);
        }
    }

    ngx_free(asked);
}


static void
ngx_mcp_presence_schedule(ngx_mcp_session_t *s)
{
    s->refreshed_at = ngx_current_msec - NGX_MCP_PRESENCE_REFRESH_MS
                 + NGX_MCP_PRESENCE_RETRY_MS;

    ngx_queue_remove(&s->presence);
    ngx_queue_insert_head(&ngx_mcp_presences, &s->presence);
}


/*
 * The reply is who has it.
 */

static void
ngx_mcp_presence_checked(redisAsyncContext *ac, void *reply, void *data)
{
    u_char                     id[NGX_MCP_WORKER_ID_LEN];
    redisReply                *r = reply;
    ngx_mcp_session_t         *s;
    ngx_mcp_presence_check_t  *asked = data;

    s = ngx_mcp_worker_lease_failed(ac, r)
        ? NULL : ngx_mcp_sessions_find(asked->key);

    ngx_free(asked);

    /* one that is not announced is a new one, opened since this was asked */

    if (s == NULL || !s->published) {
        return;
    }

    if (r->type == REDIS_REPLY_NIL) {
        ngx_mcp_presence_again(s);
        return;
    }

    if (ngx_mcp_redis_id(id, r) == NGX_OK
        && ngx_memcmp(id, ngx_mcp_workers_self()->id, NGX_MCP_WORKER_ID_LEN)
           != 0)
    {
        ngx_mcp_sessions_close(s, NGX_MCP_CLOSE_REPLACED);
    }
}


/*
 * Redis has forgotten it.  Should another have it by now, the next look
 * finds out.
 */

static void
ngx_mcp_presence_again(ngx_mcp_session_t *s)
{
    (void) ngx_mcp_presence_write(s, "NX", ngx_mcp_presence_again_set);
}


static void
ngx_mcp_presence_again_set(redisAsyncContext *ac, void *reply, void *data)
{
    ngx_mcp_worker_lease_ignore(ac, reply, NULL);

    ngx_free(data);
}


/*
 * Writes that this worker has the session: SET, with "GET" or "NX".
 */

static ngx_int_t
ngx_mcp_presence_write(ngx_mcp_session_t *s, const char *how,
    redisCallbackFn *handler)
{
    u_char     buf[NGX_MCP_REDIS_MAX_KEY_LEN];
    u_char     hex[NGX_MCP_REDIS_ID_LEN];
    ngx_str_t  argv[6];

    ngx_str_set(&argv[0], "SET");
    ngx_mcp_redis_key(&argv[1], buf, 's', s->sid.key);

    argv[2].data = hex;
    argv[2].len = ngx_hex_dump(hex, ngx_mcp_workers_self()->id,
                               NGX_MCP_WORKER_ID_LEN)
                  - hex;

    ngx_str_set(&argv[3], "EX");
    ngx_str_set(&argv[4], "60");

    argv[5].data = (u_char *) how;
    argv[5].len = ngx_strlen(how);

    return ngx_mcp_presence_ask(s->sid.key, handler, 6, argv);
}


/*
 * To the worker that had the session.  Nobody waits for it: what is lost is
 * found when that worker touches the session the next time.
 */

static void
ngx_mcp_presence_notify(u_char *id, u_char *key)
{
    ngx_mcp_packet_t  *packet;

    packet = ngx_mcp_packet_alloc(NGX_MCP_DIGEST_LEN, ngx_cycle->log);
    if (packet == NULL) {
        return;
    }

    ngx_memcpy(packet->body, key, NGX_MCP_DIGEST_LEN);

    ngx_mcp_redis_send(packet, NGX_MCP_PACKET_REPLACED, id,
                       ngx_mcp_worker_lease_ignore);
}


void
ngx_mcp_presence_replaced(u_char *key)
{
    ngx_mcp_session_t  *s;

    s = ngx_mcp_sessions_find(key);

    if (s && s->published) {
        (void) ngx_mcp_presence_refresh(s);
    }
}

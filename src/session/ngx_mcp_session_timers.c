
/*
 * The timers are part of the session and are deleted when it closes.
 */

#include "ngx_mcp_session_timers.h"
#include "ngx_mcp_bus.h"
#include "ngx_mcp_dispatch.h"


static void ngx_http_mcp_sse_expiry_set_recheck(
    ngx_http_mcp_sse_session_t *s);
static void ngx_http_mcp_sse_expiry_idle(void *data);
static void ngx_http_mcp_sse_expiry_look_again(void *data);
static void ngx_http_mcp_sse_expiry_drained(void *data);


static ngx_http_mcp_sse_recheck_pt  ngx_http_mcp_sse_expiry_ask;
static ngx_msec_t                   ngx_http_mcp_sse_expiry_drain_time;
static ngx_uint_t                   ngx_http_mcp_sse_expiry_stopping;


void
ngx_http_mcp_sse_expiry_init(ngx_http_mcp_sse_recheck_pt ask)
{
    ngx_http_mcp_sse_expiry_ask = ask;
}


void
ngx_http_mcp_sse_expiry_start(ngx_http_mcp_sse_session_t *s)
{
    s->idle.handler = ngx_http_mcp_sse_expiry_idle;
    s->idle.data = s;
    s->recheck.handler = ngx_http_mcp_sse_expiry_look_again;
    s->recheck.data = s;
    s->drain.handler = ngx_http_mcp_sse_expiry_drained;
    s->drain.data = s;

    /* the messages of Streamable HTTP come by other ways */

    if (s->conf->idle_timeout != NGX_HTTP_MCP_SSE_OFF && !s->streamable) {
        ngx_http_mcp_sse_tick_set(&s->idle, s->conf->idle_timeout);
    }

    ngx_http_mcp_sse_expiry_set_recheck(s);

    /* it waited, and the worker has begun to shut down meanwhile */

    if (ngx_exiting) {
        ngx_http_mcp_sse_tick_set(&s->drain,
                                  ngx_http_mcp_sse_expiry_drain_time);
    }
}


void
ngx_http_mcp_sse_expiry_active(ngx_http_mcp_sse_session_t *s)
{
    if (s->idle.set) {
        ngx_http_mcp_sse_tick_set(&s->idle, s->conf->idle_timeout);
    }
}


void
ngx_http_mcp_sse_expiry_end(ngx_http_mcp_sse_session_t *s)
{
    ngx_http_mcp_sse_tick_del(&s->idle);
    ngx_http_mcp_sse_tick_del(&s->recheck);
    ngx_http_mcp_sse_tick_del(&s->drain);
}


/*
 * Jittered, or all streams of a morning would be looked up at once.
 */

static void
ngx_http_mcp_sse_expiry_set_recheck(ngx_http_mcp_sse_session_t *s)
{
    time_t      left;
    ngx_msec_t  recheck;

    recheck = s->conf->auth_recheck;
    recheck = recheck - recheck / 4 + ngx_random() % (recheck / 2 + 1);

    /* an id that is refused must not have a stream that stays */

    left = s->sid.issued + s->conf->session_ttl - ngx_time();
    left = ngx_max(left, 0);

    if (left < (time_t) (recheck / 1000)) {
        recheck = left * 1000;
    }

    ngx_http_mcp_sse_tick_set(&s->recheck, recheck);
}


static void
ngx_http_mcp_sse_expiry_idle(void *data)
{
    ngx_http_mcp_sse_session_t  *s = data;

    /* whoever waits for an answer is not idle */

    if (ngx_http_mcp_sse_session_busy(s)) {
        ngx_http_mcp_sse_tick_set(&s->idle, s->conf->idle_timeout);
        return;
    }

    ngx_http_mcp_sse_session_close(s, NGX_HTTP_MCP_SSE_IDLE);
}


static void
ngx_http_mcp_sse_expiry_look_again(void *data)
{
    ngx_http_mcp_sse_session_t  *s = data;

    if (ngx_time() - s->sid.issued >= s->conf->session_ttl) {
        ngx_http_mcp_sse_session_close(s, NGX_HTTP_MCP_SSE_EXPIRED);
        return;
    }

    ngx_http_mcp_sse_expiry_set_recheck(s);

    ngx_http_mcp_sse_expiry_ask(s);
}


void
ngx_http_mcp_sse_expiry_rechecked(u_char *key, u_char *credential,
    ngx_uint_t status, ngx_str_t *principal)
{
    ngx_http_mcp_sse_session_t  *s;

    s = ngx_http_mcp_sse_bus_find(key);

    /* another stream may have taken over meanwhile, with another credential */

    if (s == NULL
        || ngx_memcmp(s->credential.digest, credential,
                      NGX_HTTP_MCP_SSE_DIGEST)
           != 0)
    {
        return;
    }

    /* a credential that is now another user's is as good as none */

    if ((status == 0
         && (principal->len != s->user.len
             || ngx_strncmp(principal->data, s->user.data, s->user.len) != 0))
        || (status && status < NGX_HTTP_INTERNAL_SERVER_ERROR))
    {
        ngx_http_mcp_sse_session_close(s, NGX_HTTP_MCP_SSE_REVOKED);
    }
}


void
ngx_http_mcp_sse_expiry_drain(ngx_msec_t drain)
{
    ngx_queue_t                 *q;
    ngx_http_mcp_sse_session_t  *s;

    ngx_http_mcp_sse_expiry_drain_time = drain;

    for (q = ngx_queue_head(ngx_http_mcp_sse_session_list());
         q != ngx_queue_sentinel(ngx_http_mcp_sse_session_list());
         q = ngx_queue_next(q))
    {
        s = ngx_queue_data(q, ngx_http_mcp_sse_session_t, queue);

        /* not all at once: each comes back to the new workers */

        if (s->open) {
            ngx_http_mcp_sse_tick_set(&s->drain, ngx_random() % (drain + 1));
        }
    }
}


static void
ngx_http_mcp_sse_expiry_drained(void *data)
{
    ngx_http_mcp_sse_session_t  *s = data;

    s->draining = 1;

    ngx_http_mcp_sse_session_check(s);
}


void
ngx_http_mcp_sse_expiry_stop(void)
{
    ngx_queue_t                 *q, *next, none;
    ngx_http_mcp_sse_session_t  *s;

    ngx_http_mcp_sse_expiry_stopping = 1;

    ngx_queue_init(&none);

    for (q = ngx_queue_head(ngx_http_mcp_sse_session_list());
         q != ngx_queue_sentinel(ngx_http_mcp_sse_session_list());
         q = next)
    {
        next = ngx_queue_next(q);

        s = ngx_queue_data(q, ngx_http_mcp_sse_session_t, queue);

        ngx_http_mcp_sse_session_close(s, NGX_HTTP_MCP_SSE_STOPPING);

        /* of one that was closed before, calls may go on unheard */

        s->ending = 1;

        ngx_http_mcp_sse_dispatch_abandon(s, &none, 1);
    }
}


ngx_uint_t
ngx_http_mcp_sse_expiry_stopped(void)
{
    return ngx_http_mcp_sse_expiry_stopping;
}

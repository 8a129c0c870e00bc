
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Timers of sessions with a stream: idle time-out, expiry of the session id,
 * recheck of the credential, drain at shutdown.
 *
 * The timers are embedded in the session and deleted when it is closed.
 */

#include "ngx_mcp_session_timers.h"
#include "ngx_mcp_bus.h"
#include "ngx_mcp_dispatch.h"
#include "ngx_mcp_registry.h"
#include "ngx_mcp_session_lost.h"


static void ngx_mcp_session_timers_set_recheck(ngx_mcp_session_t *s);
static ngx_uint_t ngx_mcp_session_timers_renew(ngx_mcp_session_t *s);
static void ngx_mcp_session_timers_idle(void *data);
static void ngx_mcp_session_timers_retry(void *data);
static void ngx_mcp_session_timers_verdict(ngx_mcp_session_t *s,
    ngx_uint_t status, ngx_str_t *principal);
static void ngx_mcp_session_timers_drained(void *data);


static ngx_mcp_session_recheck_pt  ngx_mcp_session_timers_recheck;
static ngx_msec_t                  ngx_mcp_session_timers_drain_time;
static ngx_uint_t                  ngx_mcp_session_timers_stopping;


void
ngx_mcp_session_timers_init(ngx_mcp_session_recheck_pt recheck)
{
    ngx_mcp_session_timers_recheck = recheck;
}


void
ngx_mcp_session_timers_start(ngx_mcp_session_t *s)
{
    s->idle.handler = ngx_mcp_session_timers_idle;
    s->idle.data = s;
    s->recheck.handler = ngx_mcp_session_timers_retry;
    s->recheck.data = s;
    s->drain.handler = ngx_mcp_session_timers_drained;
    s->drain.data = s;

    /* messages of Streamable HTTP do not pass this session */

    if (s->conf->idle_timeout != NGX_MCP_OFF && !s->streamable) {
        ngx_mcp_timer_set(&s->idle, s->conf->idle_timeout);
    }

    ngx_mcp_session_timers_set_recheck(s);

    /* the worker may have begun to shut down while the request waited */

    if (ngx_exiting) {
        ngx_mcp_timer_set(&s->drain, ngx_mcp_session_timers_drain_time);
    }
}


void
ngx_mcp_session_timers_active(ngx_mcp_session_t *s)
{
    if (s->idle.set) {
        ngx_mcp_timer_set(&s->idle, s->conf->idle_timeout);
    }
}


void
ngx_mcp_session_timers_stop_session(ngx_mcp_session_t *s)
{
    ngx_mcp_timer_del(&s->idle);
    ngx_mcp_timer_del(&s->recheck);
    ngx_mcp_timer_del(&s->drain);
    ngx_mcp_timer_del(&s->grace);
}


/*
 * A quarter more or less: streams that were opened at the same time must not
 * be rechecked at the same time.
 */

static void
ngx_mcp_session_timers_set_recheck(ngx_mcp_session_t *s)
{
    time_t      left;
    ngx_msec_t  recheck;

    recheck = s->conf->auth_recheck;
    recheck = recheck - recheck / 4 + ngx_random() % (recheck / 2 + 1);

    /* the stream ends with its session id, whose messages are refused then */

    left = s->sid.issued + s->conf->session_ttl - ngx_time();
    left = ngx_max(left, 0);

    if (left < (time_t) (recheck / 1000)) {
        recheck = left * 1000;
    }

    ngx_mcp_timer_set(&s->recheck, recheck);
}


static void
ngx_mcp_session_timers_idle(void *data)
{
    ngx_mcp_session_t  *s = data;

    /* a session with an open request is not idle */

    if (ngx_mcp_session_busy(s)) {
        ngx_mcp_timer_set(&s->idle, s->conf->idle_timeout);
        return;
    }

    ngx_mcp_session_close(s, NGX_MCP_CLOSE_IDLE);
}


static void
ngx_mcp_session_timers_retry(void *data)
{
    ngx_mcp_session_t  *s = data;

    if (ngx_time() - s->sid.issued >= s->conf->session_ttl) {
        ngx_mcp_session_close(s, NGX_MCP_CLOSE_EXPIRED);
        return;
    }

    ngx_mcp_session_timers_set_recheck(s);

    (void) ngx_mcp_session_timers_renew(s);

    ngx_mcp_session_timers_recheck(s);
}


/*
 * Takes over the newest credential that POSTs have brought.  Returns whether
 * there is one.
 */

static ngx_uint_t
ngx_mcp_session_timers_renew(ngx_mcp_session_t *s)
{
    ngx_mcp_credential_t  cred;

    if (ngx_mcp_registry_renewed(s, &cred) != NGX_OK) {
        return 0;
    }

    if (s->renewed) {
        ngx_free(s->renewed);
    }

    s->credential = cred;
    s->renewed = cred.value.data;

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, ngx_cycle->log, 0,
                   "mcp session %*s takes a newer credential over",
                   (size_t) NGX_MCP_HASH_LEN, s->sid.hash);

    return 1;
}


void
ngx_mcp_session_timers_rechecked(u_char *key, u_char *credential,
    ngx_uint_t status, ngx_str_t *principal)
{
    ngx_mcp_session_t  *s, *next;

    for (s = ngx_mcp_sessions_find(key); s; s = next) {
        next = ngx_mcp_sessions_next(s);

        /* the session may have been replaced by one with another credential */

        if (ngx_memcmp(s->credential.digest, credential, NGX_MCP_DIGEST_LEN)
            == 0)
        {
            ngx_mcp_session_timers_verdict(s, status, principal);
        }
    }
}


static void
ngx_mcp_session_timers_verdict(ngx_mcp_session_t *s, ngx_uint_t status,
    ngx_str_t *principal)
{
    ngx_log_debug3(NGX_LOG_DEBUG_HTTP, ngx_cycle->log, 0,
                   "mcp session %*s credential rechecked: %ui",
                   (size_t) NGX_MCP_HASH_LEN, s->sid.hash, status);

    /* a credential of another user is refused, too */

    if ((status == 0
         && (principal->len != s->user.len
             || ngx_strncmp(principal->data, s->user.data, s->user.len) != 0))
        || (status && status < NGX_HTTP_INTERNAL_SERVER_ERROR))
    {
        /* a POST may have brought another one while this one was looked up */

        if (ngx_mcp_session_timers_renew(s)) {
            ngx_mcp_session_timers_recheck(s);
            return;
        }

        ngx_mcp_session_close(s, NGX_MCP_CLOSE_UNAUTHORIZED);
    }
}


void
ngx_mcp_session_timers_drain(ngx_msec_t drain)
{
    ngx_queue_t        *q;
    ngx_mcp_session_t  *s;

    ngx_mcp_session_timers_drain_time = drain;

    for (q = ngx_queue_head(ngx_mcp_session_list());
         q != ngx_queue_sentinel(ngx_mcp_session_list());
         q = ngx_queue_next(q))
    {
        s = ngx_queue_data(q, ngx_mcp_session_t, queue);

        /* spread the clients that reconnect to the new workers */

        if (s->open) {
            ngx_mcp_timer_set(&s->drain, ngx_random() % (drain + 1));
        }
    }
}


static void
ngx_mcp_session_timers_drained(void *data)
{
    ngx_mcp_session_t  *s = data;

    ngx_log_debug3(NGX_LOG_DEBUG_HTTP, ngx_cycle->log, 0,
                   "mcp session %*s drains, busy: %ui",
                   (size_t) NGX_MCP_HASH_LEN, s->sid.hash,
                   ngx_mcp_session_busy(s));

    s->draining = 1;

    ngx_mcp_session_check(s);
}


void
ngx_mcp_session_timers_stop(void)
{
    ngx_queue_t        *q, *next;
    ngx_mcp_session_t  *s;

    ngx_mcp_session_timers_stopping = 1;

    for (q = ngx_queue_head(ngx_mcp_session_list());
         q != ngx_queue_sentinel(ngx_mcp_session_list());
         q = next)
    {
        next = ngx_queue_next(q);

        s = ngx_queue_data(q, ngx_mcp_session_t, queue);

        ngx_mcp_session_close(s, NGX_MCP_CLOSE_STOPPING);

        /* calls of a session that was closed before may still run */

        ngx_mcp_session_lost_forget(s);

        s->ending = 1;

        ngx_mcp_dispatch_abandon(s, 1);
    }
}


ngx_uint_t
ngx_mcp_session_timers_stopped(void)
{
    return ngx_mcp_session_timers_stopping;
}

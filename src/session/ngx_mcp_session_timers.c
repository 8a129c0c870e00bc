
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Timers of sessions with a stream: idle time-out, expiry of the session id,
 * recheck of the credential, drain at shutdown.
 *
 * One timer, embedded in the session and deleted when it is closed, expires
 * at the first of these times or earlier.
 */

#include "ngx_mcp_session_timers.h"
#include "ngx_mcp_bus.h"
#include "ngx_mcp_dispatch.h"
#include "ngx_mcp_session_credential.h"
#include "ngx_mcp_session_lost.h"


static void ngx_mcp_session_timers_arm(ngx_mcp_session_t *s);
static void ngx_mcp_session_timers_set_recheck(ngx_mcp_session_t *s);
static void ngx_mcp_session_timers_handler(void *data);
static void ngx_mcp_session_timers_drained(ngx_mcp_session_t *s);
static void ngx_mcp_session_timers_retry(ngx_mcp_session_t *s);
static void ngx_mcp_session_timers_idle(ngx_mcp_session_t *s);


/* messages of Streamable HTTP do not pass its session */

#define ngx_mcp_session_timers_may_idle(s)                                    \
    ((s)->conf->idle_timeout != NGX_MCP_OFF && !(s)->streamable)

#define ngx_mcp_session_timers_left(msec)                                     \
    ((ngx_msec_int_t) ((msec) - ngx_current_msec))


static ngx_msec_t  ngx_mcp_session_timers_drain_time;
static ngx_uint_t  ngx_mcp_session_timers_stopping;


void
ngx_mcp_session_timers_start(ngx_mcp_session_t *s)
{
    s->timer.handler = ngx_mcp_session_timers_handler;
    s->timer.data = s;
    s->active = ngx_current_msec;

    ngx_mcp_session_timers_set_recheck(s);

    /* the worker may have begun to shut down while the request waited */

    if (ngx_exiting) {
        s->drain = ngx_current_msec + ngx_mcp_session_timers_drain_time;
        s->drains = 1;
    }

    ngx_mcp_session_timers_arm(s);
}


/*
 * The timer is not moved: that would cost more than to set it again when it
 * has expired too early.
 */

void
ngx_mcp_session_timers_active(ngx_mcp_session_t *s)
{
    s->active = ngx_current_msec;
}


void
ngx_mcp_session_timers_stop_session(ngx_mcp_session_t *s)
{
    ngx_mcp_timer_del(&s->timer);
    ngx_mcp_timer_del(&s->grace);
}


static void
ngx_mcp_session_timers_arm(ngx_mcp_session_t *s)
{
    ngx_msec_int_t  next, left;

    next = ngx_mcp_session_timers_left(s->recheck);

    if (ngx_mcp_session_timers_may_idle(s)) {
        left = ngx_mcp_session_timers_left(s->active + s->conf->idle_timeout);
        next = ngx_min(next, left);
    }

    if (s->drains) {
        left = ngx_mcp_session_timers_left(s->drain);
        next = ngx_min(next, left);
    }

    ngx_mcp_timer_set(&s->timer, ngx_max(next, 0));
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

    s->recheck = ngx_current_msec + recheck;
}


static void
ngx_mcp_session_timers_handler(void *data)
{
    ngx_mcp_session_t  *s = data;

    if (s->drains && ngx_mcp_session_timers_left(s->drain) <= 0) {
        ngx_mcp_session_timers_drained(s);
    }

    if (s->open && ngx_mcp_session_timers_left(s->recheck) <= 0) {
        ngx_mcp_session_timers_retry(s);
    }

    if (s->open
        && ngx_mcp_session_timers_may_idle(s)
        && ngx_mcp_session_timers_left(s->active + s->conf->idle_timeout) <= 0)
    {
        ngx_mcp_session_timers_idle(s);
    }

    if (s->open) {
        ngx_mcp_session_timers_arm(s);
    }
}


static void
ngx_mcp_session_timers_idle(ngx_mcp_session_t *s)
{
    /* a session with an open request is not idle */

    if (ngx_mcp_session_busy(s)) {
        s->active = ngx_current_msec;
        return;
    }

    ngx_mcp_session_close(s, NGX_MCP_CLOSE_IDLE);
}


static void
ngx_mcp_session_timers_retry(ngx_mcp_session_t *s)
{
    if (ngx_time() - s->sid.issued >= s->conf->session_ttl) {
        ngx_mcp_session_close(s, NGX_MCP_CLOSE_EXPIRED);
        return;
    }

    ngx_mcp_session_timers_set_recheck(s);

    ngx_mcp_session_credential_recheck(s);
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
            s->drain = ngx_current_msec + ngx_random() % (drain + 1);
            s->drains = 1;
            ngx_mcp_session_timers_arm(s);
        }
    }
}


static void
ngx_mcp_session_timers_drained(ngx_mcp_session_t *s)
{
    ngx_log_debug3(NGX_LOG_DEBUG_HTTP, ngx_cycle->log, 0,
                   "mcp session %*s drains, busy: %ui",
                   (size_t) NGX_MCP_HASH_LEN, s->sid.hash,
                   ngx_mcp_session_busy(s));

    s->drains = 0;
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

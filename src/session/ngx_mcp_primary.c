
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Which of several GET streams of a session of Streamable HTTP is the primary
 * one, that gets what Frappe publishes.
 *
 * Of the streams of a session in this worker the newest one leads: it has the
 * role, if the worker has it, and otherwise the timer that asks for it.
 */

#include "ngx_mcp_primary.h"
#include "ngx_mcp_events.h"
#include "ngx_mcp_list_changed.h"
#include "ngx_mcp_registry.h"
#include "ngx_mcp_sessions.h"


/* a message: the key of the session, one of these, the name of the worker */

#define NGX_MCP_PRIMARY_CLAIMED   'c'
#define NGX_MCP_PRIMARY_HELD      'h'     /* it has claimed before */
#define NGX_MCP_PRIMARY_RELEASED  'r'
#define NGX_MCP_PRIMARY_ASKED     'a'

#define NGX_MCP_PRIMARY_KIND      NGX_MCP_DIGEST_LEN
#define NGX_MCP_PRIMARY_NAME      (NGX_MCP_PRIMARY_KIND + 1)
#define NGX_MCP_PRIMARY_LEN       (NGX_MCP_PRIMARY_NAME                       \
                                   + NGX_MCP_EVENTS_NAME_LEN)

/*
 * After a claim of another worker it is asked soon, so that it knows that there
 * is one more.  The sum of the others is below the 60 seconds in which a dead
 * worker is replaced.
 */

#define NGX_MCP_PRIMARY_FIRST_MS   1000
#define NGX_MCP_PRIMARY_ASK_MS     30000
#define NGX_MCP_PRIMARY_ANSWER_MS  4000

/* claims when Redis is up again */

#define NGX_MCP_PRIMARY_PACE       200
#define NGX_MCP_PRIMARY_PACE_MS    10

#define NGX_MCP_PRIMARY_HOLDS      ((ngx_uint_t) -1)


/* s->primary: owned by its session */

struct ngx_mcp_primary_s {
    ngx_mcp_session_t  *session;

    /* the messages for which it has or had the role last */

    ngx_uint_t          since;
    ngx_uint_t          until;         /* less than; ..._HOLDS: it has it */

    ngx_mcp_timer_t     timer;         /* set if it leads and has no role; or
                                          claims again */
    unsigned            asked:1;       /* then: claims it, else: asks */
    unsigned            others:1;      /* other workers have streams */
};


static void ngx_mcp_primary_inherit(ngx_mcp_primary_t *p,
    ngx_mcp_primary_t *from);
static ngx_mcp_primary_t *ngx_mcp_primary_leader(u_char *key);
static void ngx_mcp_primary_hold(ngx_mcp_primary_t *p);
static void ngx_mcp_primary_drop(ngx_mcp_primary_t *p);
static void ngx_mcp_primary_wait(ngx_mcp_primary_t *p, ngx_msec_t msec);
static void ngx_mcp_primary_handler(void *data);
static void ngx_mcp_primary_claim(ngx_mcp_primary_t *p);
static void ngx_mcp_primary_publish(u_char *key, u_char kind);
static void ngx_mcp_primary_claimed_own(ngx_mcp_primary_t *p, u_char *key);
static void ngx_mcp_primary_claimed_other(ngx_mcp_primary_t *p,
    ngx_uint_t kind);
static ngx_uint_t ngx_mcp_primary_leads(ngx_mcp_primary_t *p);
static void ngx_mcp_primary_again(ngx_mcp_session_t *s, ngx_uint_t n);


static ngx_uint_t  ngx_mcp_primary_messages;


ngx_int_t
ngx_mcp_primary_enter(ngx_mcp_session_t *s)
{
    ngx_uint_t          alone;
    ngx_mcp_primary_t  *p, *before;

    if (!ngx_mcp_events_used() || !s->streamable || s->listen.len) {
        return NGX_OK;
    }

    /* recovery of the zone, which may run inside, may close it */

    alone = ngx_mcp_registry_is_alone(s);

    if (!s->open) {
        return NGX_ERROR;
    }

    p = ngx_calloc(sizeof(ngx_mcp_primary_t), ngx_cycle->log);
    if (p == NULL) {
        return NGX_ERROR;
    }

    p->session = s;
    p->timer.handler = ngx_mcp_primary_handler;
    p->timer.data = p;

    before = ngx_mcp_primary_leader(s->sid.key);
    s->primary = p;

    if (before) {
        ngx_mcp_primary_inherit(p, before);

    } else if (!alone) {
        p->others = 1;

    } else if (ngx_mcp_zone()->conf->redis == NULL) {
        ngx_mcp_primary_hold(p);
    }

    if (before == NULL || p->until != NGX_MCP_PRIMARY_HOLDS) {
        ngx_mcp_primary_claim(p);
    }

    return NGX_OK;
}


/*
 * Another stream leads: it gets the role, or the timer.
 */

static void
ngx_mcp_primary_inherit(ngx_mcp_primary_t *p, ngx_mcp_primary_t *from)
{
    p->others = from->others;

    if (from->until == NGX_MCP_PRIMARY_HOLDS) {
        ngx_mcp_primary_drop(from);
        ngx_mcp_primary_hold(p);

    } else {
        ngx_mcp_primary_wait(p, NGX_MCP_PRIMARY_ASK_MS);
    }

    ngx_mcp_timer_del(&from->timer);
}


void
ngx_mcp_primary_leave(ngx_mcp_session_t *s)
{
    ngx_mcp_primary_t  *p, *next;

    p = s->primary;

    if (p == NULL) {
        return;
    }

    s->primary = NULL;

    next = ngx_mcp_primary_leader(s->sid.key);

    if (next) {

        if (ngx_mcp_primary_leads(p)) {
            ngx_mcp_primary_inherit(next, p);
        }

        /* what it was to tell its client */

        if (s->receiver && s->receiver->changed) {
            ngx_mcp_list_changed(next->session->receiver,
                                 s->receiver->changed);
        }

    } else if (p->until == NGX_MCP_PRIMARY_HOLDS && p->others) {
        ngx_mcp_primary_publish(s->sid.key, NGX_MCP_PRIMARY_RELEASED);
    }

    ngx_mcp_timer_del(&p->timer);
    ngx_free(p);
}


/*
 * Returns the newest GET stream of that session, or NULL.
 */

static ngx_mcp_primary_t *
ngx_mcp_primary_leader(u_char *key)
{
    ngx_mcp_primary_t  *p;
    ngx_mcp_session_t  *s;

    p = NULL;

    for (s = ngx_mcp_sessions_find(key); s; s = ngx_mcp_sessions_next(s)) {
        if (s->primary) {
            p = s->primary;
        }
    }

    return p;
}


static void
ngx_mcp_primary_hold(ngx_mcp_primary_t *p)
{
    if (p->until != NGX_MCP_PRIMARY_HOLDS) {
        p->since = ngx_mcp_primary_messages + 1;
        p->until = NGX_MCP_PRIMARY_HOLDS;
    }

    ngx_mcp_timer_del(&p->timer);
}


static void
ngx_mcp_primary_drop(ngx_mcp_primary_t *p)
{
    p->until = ngx_mcp_primary_messages + 1;
}


ngx_uint_t
ngx_mcp_primary_message(void)
{
    return ++ngx_mcp_primary_messages;
}


ngx_uint_t
ngx_mcp_primary_sends(ngx_mcp_session_t *s, ngx_uint_t number)
{
    ngx_mcp_primary_t  *p;

    p = s->primary;

    return p == NULL || (number >= p->since && number < p->until);
}


/*
 * It asks for the role after that time, unless it hears a claim.
 */

static void
ngx_mcp_primary_wait(ngx_mcp_primary_t *p, ngx_msec_t msec)
{
    p->asked = 0;
    ngx_mcp_timer_set(&p->timer, ngx_mcp_timer_spread(msec, ngx_random()));
}


static void
ngx_mcp_primary_handler(void *data)
{
    ngx_mcp_primary_t  *p = data;

    if (p->asked) {
        ngx_mcp_primary_claim(p);
        return;
    }

    ngx_mcp_primary_publish(p->session->sid.key, NGX_MCP_PRIMARY_ASKED);

    ngx_mcp_primary_wait(p, NGX_MCP_PRIMARY_ANSWER_MS);
    p->asked = 1;
}


/*
 * If nothing comes back, it goes on to ask.
 */

static void
ngx_mcp_primary_claim(ngx_mcp_primary_t *p)
{
    ngx_mcp_primary_publish(p->session->sid.key, NGX_MCP_PRIMARY_CLAIMED);

    if (p->until != NGX_MCP_PRIMARY_HOLDS) {
        ngx_mcp_primary_wait(p, NGX_MCP_PRIMARY_ASK_MS);
    }
}


static void
ngx_mcp_primary_publish(u_char *key, u_char kind)
{
    u_char     data[NGX_MCP_PRIMARY_LEN];
    ngx_str_t  bytes;

    ngx_memcpy(data, key, NGX_MCP_DIGEST_LEN);
    data[NGX_MCP_PRIMARY_KIND] = kind;
    ngx_memcpy(&data[NGX_MCP_PRIMARY_NAME], ngx_mcp_events_name(),
               NGX_MCP_EVENTS_NAME_LEN);

    bytes.len = NGX_MCP_PRIMARY_LEN;
    bytes.data = data;

    /* while Redis is lost nothing is published, and all claim later */

    (void) ngx_mcp_events_claim(&bytes);
}


void
ngx_mcp_primary_claimed(ngx_str_t *bytes)
{
    u_char             *key;
    ngx_uint_t          kind;
    ngx_mcp_primary_t  *p;

    if (bytes->len != NGX_MCP_PRIMARY_LEN) {
        return;
    }

    key = bytes->data;
    kind = bytes->data[NGX_MCP_PRIMARY_KIND];

    p = ngx_mcp_primary_leader(key);

    if (ngx_memcmp(&bytes->data[NGX_MCP_PRIMARY_NAME], ngx_mcp_events_name(),
                   NGX_MCP_EVENTS_NAME_LEN)
        != 0)
    {
        if (p) {
            ngx_mcp_primary_claimed_other(p, kind);
        }

    } else if (kind == NGX_MCP_PRIMARY_CLAIMED
               || kind == NGX_MCP_PRIMARY_HELD)
    {
        ngx_mcp_primary_claimed_own(p, key);
    }
}


static void
ngx_mcp_primary_claimed_own(ngx_mcp_primary_t *p, u_char *key)
{
    if (p) {
        ngx_mcp_primary_hold(p);
        return;
    }

    /* the stream has closed meanwhile */

    ngx_mcp_primary_publish(key, NGX_MCP_PRIMARY_RELEASED);
}


static void
ngx_mcp_primary_claimed_other(ngx_mcp_primary_t *p, ngx_uint_t kind)
{
    ngx_uint_t  holds;

    p->others = 1;
    holds = (p->until == NGX_MCP_PRIMARY_HOLDS);

    switch (kind) {

    case NGX_MCP_PRIMARY_CLAIMED:
    case NGX_MCP_PRIMARY_HELD:

        if (holds) {
            ngx_mcp_primary_drop(p);
        }

        ngx_mcp_primary_wait(p, (kind == NGX_MCP_PRIMARY_CLAIMED)
                                ? NGX_MCP_PRIMARY_FIRST_MS
                                : NGX_MCP_PRIMARY_ASK_MS);
        return;

    case NGX_MCP_PRIMARY_RELEASED:

        if (!holds) {
            ngx_mcp_primary_claim(p);
        }

        return;

    case NGX_MCP_PRIMARY_ASKED:

        if (holds) {
            ngx_mcp_primary_publish(p->session->sid.key, NGX_MCP_PRIMARY_HELD);
        }

        return;
    }
}


void
ngx_mcp_primary_lost(void)
{
    ngx_queue_t        *q;
    ngx_mcp_primary_t  *p;
    ngx_mcp_session_t  *s;

    for (q = ngx_queue_head(ngx_mcp_session_list());
         q != ngx_queue_sentinel(ngx_mcp_session_list());
         q = ngx_queue_next(q))
    {
        s = ngx_queue_data(q, ngx_mcp_session_t, queue);
        p = s->primary;

        if (p && p->until == NGX_MCP_PRIMARY_HOLDS) {
            ngx_mcp_primary_drop(p);
            ngx_mcp_primary_wait(p, NGX_MCP_PRIMARY_ASK_MS);
        }
    }
}


void
ngx_mcp_primary_up(void)
{
    ngx_uint_t          n;
    ngx_queue_t        *q;
    ngx_mcp_session_t  *s;

    n = 0;

    for (q = ngx_queue_head(ngx_mcp_session_list());
         q != ngx_queue_sentinel(ngx_mcp_session_list());
         q = ngx_queue_next(q))
    {
        s = ngx_queue_data(q, ngx_mcp_session_t, queue);

        if (ngx_mcp_primary_leads(s->primary)) {
            ngx_mcp_primary_again(s, n++);
        }
    }
}


static ngx_uint_t
ngx_mcp_primary_leads(ngx_mcp_primary_t *p)
{
    return p && (p->until == NGX_MCP_PRIMARY_HOLDS || p->timer.set);
}


/*
 * Claims after the "n" sessions before it.
 */

static void
ngx_mcp_primary_again(ngx_mcp_session_t *s, ngx_uint_t n)
{
    ngx_uint_t          alone;
    ngx_mcp_primary_t  *p;

    alone = ngx_mcp_zone()->conf->redis == NULL && ngx_mcp_registry_is_alone(s);
    p = s->primary;

    if (p == NULL) {
        return;
    }

    if (alone) {
        ngx_mcp_primary_hold(p);
    }

    p->asked = 1;
    ngx_mcp_timer_set(&p->timer, n / NGX_MCP_PRIMARY_PACE
                                 * NGX_MCP_PRIMARY_PACE_MS);
}

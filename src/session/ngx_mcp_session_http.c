
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Sessions of Streamable HTTP in this worker: created by a POST, found by the
 * next ones, freed when no call waits or runs.
 *
 * They are kept in lists by a byte of the digest of the session id, or by a
 * hash of the user.  The own event of a session frees it when it has no task.
 */

#include "ngx_mcp_session_http.h"
#include "ngx_mcp_session_lost.h"
#include "ngx_mcp_bus.h"
#include "ngx_mcp_dispatch.h"
#include "ngx_mcp_remote_subscriptions.h"
#include "ngx_mcp_session_credential.h"
#include "ngx_mcp_subscribe.h"


#define NGX_MCP_SESSION_HTTP_LISTS  64   /* at most 256: by one byte */


static ngx_uint_t ngx_mcp_session_http_matches(ngx_mcp_session_t *s,
    ngx_mcp_ctx_t *ctx);
static ngx_uint_t ngx_mcp_session_http_same_user(ngx_mcp_session_t *s,
    ngx_mcp_ctx_t *ctx);
static ngx_mcp_session_t *ngx_mcp_session_http_create(ngx_http_request_t *r,
    ngx_queue_t *list);
static ngx_uint_t ngx_mcp_session_http_too_many(ngx_http_request_t *r);
static ngx_queue_t *ngx_mcp_session_http_list(ngx_uint_t hash);
static ngx_uint_t ngx_mcp_session_http_full(ngx_mcp_session_t *s,
    ngx_mcp_envelope_t *env);
static void ngx_mcp_session_http_event(ngx_event_t *ev);
static void ngx_mcp_session_http_announced(ngx_uint_t kind, u_char *key,
    u_char *data, size_t len);
static void ngx_mcp_session_http_cancel(u_char *key, ngx_str_t *id);
static void ngx_mcp_session_http_ended(u_char *key);


static ngx_queue_t  ngx_mcp_session_http_lists[NGX_MCP_SESSION_HTTP_LISTS];
static ngx_uint_t   ngx_mcp_session_http_count;


void
ngx_mcp_session_http_init(void)
{
    ngx_uint_t  i;

    for (i = 0; i < NGX_MCP_SESSION_HTTP_LISTS; i++) {
        ngx_queue_init(&ngx_mcp_session_http_lists[i]);
    }

    ngx_mcp_announce_init(ngx_mcp_session_http_announced);
}


/*
 * A session belongs to a location: calls run with its configuration.
 */

ngx_int_t
ngx_mcp_session_http_get(ngx_http_request_t *r, ngx_mcp_session_t **session)
{
    ngx_queue_t        *q, *list;
    ngx_mcp_ctx_t      *ctx;
    ngx_mcp_session_t  *s;

    ctx = ngx_http_get_module_ctx(r, ngx_http_mcp_sse_module);

    list = ngx_mcp_session_http_list(ctx->has_session_id
                                   ? ctx->sid.key[0]
                                   : ngx_crc32_short(ctx->vars.user.data,
                                                     ctx->vars.user.len));

    for (q = ngx_queue_head(list);
         q != ngx_queue_sentinel(list);
         q = ngx_queue_next(q))
    {
        s = ngx_queue_data(q, ngx_mcp_session_t, queue);

        if (s->conf == ngx_http_get_module_loc_conf(r, ngx_http_mcp_sse_module)
            && s->cscf == ngx_http_get_module_srv_conf(r, ngx_http_core_module)
            && ngx_mcp_session_http_matches(s, ctx))
        {
            *session = s;
            return NGX_OK;
        }
    }

    if (ctx->has_session_id && ngx_mcp_session_http_too_many(r)) {
        return NGX_BUSY;
    }

    *session = ngx_mcp_session_http_create(r, list);

    return *session ? NGX_OK : NGX_ERROR;
}


/*
 * Requests without a session id are counted for the user, whom a client
 * cannot choose.
 */

static ngx_uint_t
ngx_mcp_session_http_matches(ngx_mcp_session_t *s, ngx_mcp_ctx_t *ctx)
{
    if (ctx->has_session_id == s->anonymous) {
        return 0;
    }

    if (ctx->has_session_id) {
        return ngx_memcmp(s->sid.key, ctx->sid.key, NGX_MCP_DIGEST_LEN)
               == 0;
    }

    return ngx_mcp_session_http_same_user(s, ctx);
}


static ngx_uint_t
ngx_mcp_session_http_same_user(ngx_mcp_session_t *s, ngx_mcp_ctx_t *ctx)
{
    ngx_str_t  *user, *site;

    user = &ctx->vars.user;
    site = &ctx->vars.site;

    return s->user.len == user->len
           && s->site.len == site->len
           && ngx_memcmp(s->user.data, user->data, user->len) == 0
           && ngx_memcmp(s->site.data, site->data, site->len) == 0;
}


/*
 * Each initialize yields a session id, and each session may run
 * mcp_sse_max_calls: limit the sessions of a user that have calls.
 */

static ngx_uint_t
ngx_mcp_session_http_too_many(ngx_http_request_t *r)
{
    ngx_uint_t           i, n, max;
    ngx_queue_t         *q, *list;
    ngx_mcp_ctx_t       *ctx;
    ngx_mcp_session_t   *s;
    ngx_mcp_loc_conf_t  *conf;

    ctx = ngx_http_get_module_ctx(r, ngx_http_mcp_sse_module);
    conf = ngx_http_get_module_loc_conf(r, ngx_http_mcp_sse_module);

    max = conf->max_sessions;

    if (ngx_mcp_session_http_count < max) {
        return 0;
    }

    n = 0;

    for (i = 0; i < NGX_MCP_SESSION_HTTP_LISTS; i++) {
        list = &ngx_mcp_session_http_lists[i];

        for (q = ngx_queue_head(list);
             q != ngx_queue_sentinel(list);
             q = ngx_queue_next(q))
        {
            s = ngx_queue_data(q, ngx_mcp_session_t, queue);

            if (!s->anonymous
                && ngx_mcp_session_http_same_user(s, ctx)
                && ngx_mcp_session_busy(s)
                && ++n == max)
            {
                return 1;
            }
        }
    }

    return 0;
}


static ngx_mcp_session_t *
ngx_mcp_session_http_create(ngx_http_request_t *r, ngx_queue_t *list)
{
    ngx_mcp_ctx_t      *ctx;
    ngx_mcp_session_t  *s;

    ctx = ngx_http_get_module_ctx(r, ngx_http_mcp_sse_module);

    s = ngx_mcp_session_alloc(r, NULL, ngx_mcp_session_http_event);
    if (s == NULL) {
        return NULL;
    }

    if (ctx->has_session_id) {
        s->sid = ctx->sid;

    } else {
        ngx_memset(s->sid.hash, '-', NGX_MCP_HASH_LEN);
        s->anonymous = 1;
    }

    s->streamable = 1;

    if (ctx->has_session_id) {
        ngx_mcp_subscribe_recall(s);
    }

    ngx_log_debug3(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "mcp http session %*s created, anonymous: %d",
                   (size_t) NGX_MCP_HASH_LEN, s->sid.hash, s->anonymous);

    ngx_queue_insert_tail(list, &s->queue);
    ngx_mcp_session_http_count++;

    return s;
}


static ngx_queue_t *
ngx_mcp_session_http_list(ngx_uint_t hash)
{
    return &ngx_mcp_session_http_lists[hash % NGX_MCP_SESSION_HTTP_LISTS];
}


ngx_int_t
ngx_mcp_session_http_accept(ngx_mcp_session_t *s, ngx_mcp_envelope_t *env)
{
    if (s->ncalls + s->nqueued + env->nmessages
        > (ngx_uint_t) s->conf->max_calls
        && ngx_mcp_session_http_full(s, env))
    {
        return NGX_BUSY;
    }

    s->pending += env->nmessages;
    s->bytes += env->size;

    (void) ngx_atomic_fetch_add(&ngx_mcp_workers_self()->pending,
                                env->nmessages);

    return NGX_OK;
}


/*
 * docs/PROTOCOL.md 7.17: messages that wait are limited as in the inboxes of
 * legacy sessions, for a session by number and bytes, for all by bytes.
 */

static ngx_uint_t
ngx_mcp_session_http_full(ngx_mcp_session_t *s, ngx_mcp_envelope_t *env)
{
    size_t              all;
    ngx_uint_t          i;
    ngx_queue_t        *q, *list;
    ngx_mcp_zone_t     *zone;
    ngx_mcp_session_t  *other;

    zone = ngx_mcp_zone();

    if (s->pending
        && (s->pending + env->nmessages > (ngx_uint_t) zone->conf->max_inbox
            || s->bytes + env->size > zone->size / 8))
    {
        return 1;
    }

    all = 0;

    for (i = 0; i < NGX_MCP_SESSION_HTTP_LISTS; i++) {
        list = &ngx_mcp_session_http_lists[i];

        for (q = ngx_queue_head(list);
             q != ngx_queue_sentinel(list);
             q = ngx_queue_next(q))
        {
            other = ngx_queue_data(q, ngx_mcp_session_t, queue);
            all += other->bytes;
        }
    }

    return all && all + env->size > zone->size / 2;
}


static void
ngx_mcp_session_http_event(ngx_event_t *ev)
{
    ngx_mcp_session_t  *s = ev->data;

    /* what was cancelled may have been in the way of others */

    ngx_mcp_dispatch_next(s);

    if (ngx_mcp_session_busy(s)) {
        return;
    }

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, ngx_cycle->log, 0,
                   "mcp http session %*s freed",
                   (size_t) NGX_MCP_HASH_LEN, s->sid.hash);

    ngx_queue_remove(&s->queue);
    ngx_mcp_session_http_count--;
    ngx_free(s);
}


static void
ngx_mcp_session_http_announced(ngx_uint_t kind, u_char *key, u_char *data,
    size_t len)
{
    ngx_str_t  id;

    switch (kind) {

    case NGX_MCP_ANNOUNCE_CANCEL:
        id.data = data;
        id.len = len;
        ngx_mcp_session_http_cancel(key, &id);
        ngx_mcp_session_lost_cancel(key, &id);
        return;

    case NGX_MCP_ANNOUNCE_ENDED:
        ngx_mcp_subscriptions_forget(key);
        ngx_mcp_session_http_ended(key);
        return;

    case NGX_MCP_ANNOUNCE_RESYNC:
        ngx_mcp_session_http_ended(NULL);
        return;

    case NGX_MCP_ANNOUNCE_REFUSED:
        ngx_mcp_session_credential_announced(key);
        return;

    case NGX_MCP_ANNOUNCE_SUBSCRIPTIONS:
        ngx_mcp_remote_subscriptions_changed(key, data, len);
        return;
    }
}


static void
ngx_mcp_session_http_cancel(u_char *key, ngx_str_t *id)
{
    ngx_queue_t        *q, *list;
    ngx_mcp_session_t  *s;

    list = ngx_mcp_session_http_list(key[0]);

    for (q = ngx_queue_head(list);
         q != ngx_queue_sentinel(list);
         q = ngx_queue_next(q))
    {
        s = ngx_queue_data(q, ngx_mcp_session_t, queue);

        if (ngx_memcmp(s->sid.key, key, NGX_MCP_DIGEST_LEN) == 0) {
            ngx_mcp_dispatch_cancel(s, id);

            /* it may have waited for a place alone */

            ngx_mcp_task_over(s);
        }
    }
}


/*
 * Closes the streams of the session with that key; without a key, those of all
 * ended session ids.  Calls go on, since their POSTs wait for the answers.
 */

static void
ngx_mcp_session_http_ended(u_char *key)
{
    ngx_queue_t        *q, *next, *list;
    ngx_mcp_session_t  *s, *other;

    if (key) {

        for (s = ngx_mcp_sessions_find(key); s; s = other) {
            other = ngx_mcp_sessions_next(s);

            if (s->streamable) {
                ngx_mcp_session_close(s, NGX_MCP_CLOSE_DELETED);
            }
        }

        return;
    }

    list = ngx_mcp_session_list();

    for (q = ngx_queue_head(list); q != ngx_queue_sentinel(list); q = next) {
        next = ngx_queue_next(q);

        s = ngx_queue_data(q, ngx_mcp_session_t, queue);

        if (s->streamable && s->open && ngx_mcp_revocation_check(s->sid.key)) {
            ngx_mcp_session_close(s, NGX_MCP_CLOSE_DELETED);
        }
    }
}


void
ngx_mcp_session_http_stop(void)
{
    ngx_uint_t          i;
    ngx_queue_t        *q, *list;
    ngx_mcp_session_t  *s;

    for (i = 0; i < NGX_MCP_SESSION_HTTP_LISTS; i++) {
        list = &ngx_mcp_session_http_lists[i];

        for (q = ngx_queue_head(list);
             q != ngx_queue_sentinel(list);
             q = ngx_queue_next(q))
        {
            s = ngx_queue_data(q, ngx_mcp_session_t, queue);

            s->ending = 1;

            ngx_mcp_dispatch_abandon(s, 1);
            ngx_mcp_session_check(s);
        }
    }
}

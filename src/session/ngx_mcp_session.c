
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Sessions with a stream: open, receive, close, free.
 *
 * A session is created with its stream and owned by this worker.  It is closed
 * once, for one reason.  Its own event frees it when it is closed and nothing
 * waits or runs for it: a call in flight still needs its session.
 */

#include "ngx_mcp_session.h"
#include "ngx_mcp_bus.h"
#include "ngx_mcp_dispatch.h"
#include "ngx_mcp_listen.h"
#include "ngx_mcp_primary.h"
#include "ngx_mcp_push_session.h"
#include "ngx_mcp_question.h"
#include "ngx_mcp_reply.h"
#include "ngx_mcp_session_client.h"
#include "ngx_mcp_session_credential.h"
#include "ngx_mcp_session_end.h"
#include "ngx_mcp_session_lost.h"
#include "ngx_mcp_session_timers.h"
#include "ngx_mcp_subscribe.h"
#include "ngx_mcp_unregister.h"
#include "ngx_mcp_header.h"


#define ngx_mcp_session_of(s)                                                 \
    ((ngx_mcp_session_t *) ((u_char *) (s) - offsetof(ngx_mcp_session_t, sink)))


static ngx_int_t ngx_mcp_session_events_site(ngx_http_request_t *r,
    ngx_str_t *site);
static u_char *ngx_mcp_session_copy(u_char *p, ngx_str_t *dst, ngx_str_t *src);
static ngx_mcp_event_t *ngx_mcp_session_first(ngx_mcp_session_t *s,
    ngx_http_request_t *r);
static void ngx_mcp_session_receive(ngx_mcp_session_t *s,
    ngx_mcp_envelope_t *env);
static void ngx_mcp_session_event(ngx_event_t *ev);
static void ngx_mcp_session_tell(ngx_mcp_sink_t *sink, ngx_mcp_task_t *task,
    ngx_mcp_event_t *ev, ngx_uint_t is_answer);
static ngx_int_t ngx_mcp_session_room(ngx_mcp_sink_t *sink, size_t size);
static void ngx_mcp_session_stream_closed(void *data, ngx_uint_t reason);
static void ngx_mcp_session_ended(ngx_mcp_session_t *s);
static void ngx_mcp_session_free(ngx_mcp_session_t *s);


static ngx_mcp_session_handlers_t  ngx_mcp_session_handlers = {
    ngx_mcp_session_receive,
    ngx_mcp_session_close
};

static ngx_queue_t  ngx_mcp_sessions;


ngx_int_t
ngx_mcp_session_init(ngx_cycle_t *cycle)
{
    ngx_queue_init(&ngx_mcp_sessions);

    ngx_mcp_task_init(ngx_mcp_session_ended);

    return ngx_mcp_bus_init(cycle, &ngx_mcp_session_handlers);
}


void
ngx_mcp_session_exit(void)
{
    ngx_mcp_bus_exit();
}


ngx_queue_t *
ngx_mcp_session_list(void)
{
    return &ngx_mcp_sessions;
}


ngx_mcp_session_t *
ngx_mcp_session_create(ngx_http_request_t *r, ngx_mcp_session_id_t *sid,
    u_char *text)
{
    ngx_mcp_ctx_t      *ctx;
    ngx_mcp_session_t  *s;

    ctx = ngx_http_get_module_ctx(r, ngx_http_mcp_sse_module);

    s = ngx_mcp_session_alloc(r, &ctx->auth.credential, ngx_mcp_session_event);
    if (s == NULL) {
        return NULL;
    }

    if (ctx->modern && ngx_mcp_listen_create(s, ctx->modern->listen) != NGX_OK)
    {
        ngx_free(s);
        return NULL;
    }

    s->sid = *sid;
    ngx_memcpy(s->text, text, NGX_MCP_SESSION_ID_LEN);

    ngx_queue_init(&s->sink.tasks);
    s->sink.conf = s->conf;
    s->sink.tell = ngx_mcp_session_tell;
    s->sink.room = ngx_mcp_session_room;
    s->sink.progress = 1;

    s->created = ngx_current_msec;
    s->open = 1;

    ngx_queue_insert_tail(&ngx_mcp_sessions, &s->queue);

    return s;
}


ngx_mcp_session_t *
ngx_mcp_session_alloc(ngx_http_request_t *r, ngx_mcp_credential_t *cred,
    ngx_event_handler_pt handler)
{
    u_char             *p;
    ngx_str_t           listen, site;
    ngx_mcp_ctx_t      *ctx;
    ngx_mcp_session_t  *s;

    ctx = ngx_http_get_module_ctx(r, ngx_http_mcp_sse_module);

    if (ngx_mcp_session_events_site(r, &site) != NGX_OK) {
        return NULL;
    }

    ngx_str_null(&listen);

    if (cred && ctx->modern) {
        listen = ctx->modern->id;
    }

    s = ngx_calloc(sizeof(ngx_mcp_session_t)
                   + ctx->vars.user.len + ctx->vars.site.len + site.len
                   + listen.len
                   + (cred ? cred->value.len + cred->csrf_token.len : 0),
                   r->connection->log);
    if (s == NULL) {
        return NULL;
    }

    p = (u_char *) (s + 1);

    p = ngx_mcp_session_copy(p, &s->user, &ctx->vars.user);
    p = ngx_mcp_session_copy(p, &s->site, &ctx->vars.site);
    p = ngx_mcp_session_copy(p, &s->events_site, &site);
    p = ngx_mcp_session_copy(p, &s->listen, &listen);

    if (cred) {
        s->credential = *cred;

        p = ngx_mcp_session_copy(p, &s->credential.value, &cred->value);
        (void) ngx_mcp_session_copy(p, &s->credential.csrf_token,
                                    &cred->csrf_token);
    }

    if (s->events_site.len == 0) {
        s->events_site = s->site;
    }

    s->cscf = ngx_http_get_module_srv_conf(r, ngx_http_core_module);
    s->conf = ngx_http_get_module_loc_conf(r, ngx_http_mcp_sse_module);

    ngx_queue_init(&s->inbox);
    ngx_queue_init(&s->waiting);
    ngx_queue_init(&s->running);
    ngx_queue_init(&s->kept);

    s->event.handler = handler;
    s->event.data = s;
    s->event.log = ngx_cycle->log;

    return s;
}


/*
 * The value of mcp_sse_events_site; empty: that of mcp_sse_site.
 */

static ngx_int_t
ngx_mcp_session_events_site(ngx_http_request_t *r, ngx_str_t *site)
{
    ngx_mcp_loc_conf_t  *conf;

    ngx_str_null(site);

    conf = ngx_http_get_module_loc_conf(r, ngx_http_mcp_sse_module);

    return conf->events_site ? ngx_http_complex_value(r, conf->events_site,
                                                      site)
                             : NGX_OK;
}


static u_char *
ngx_mcp_session_copy(u_char *p, ngx_str_t *dst, ngx_str_t *src)
{
    dst->len = src->len;
    dst->data = p;

    return src->len ? ngx_cpymem(p, src->data, src->len) : p;
}


ngx_int_t
ngx_mcp_session_open(ngx_mcp_session_t *s, ngx_http_request_t *r,
    ngx_uint_t keepalive_event)
{
    u_char                            digest[NGX_MCP_DIGEST_LEN];
    ngx_int_t                         rc;
    ngx_mcp_event_t                  *first;
    ngx_mcp_stream_owner_t            owner;

    rc = ngx_mcp_session_user(&s->site, &s->user, digest);

    if (rc == NGX_OK) {
        rc = ngx_mcp_push_session_enter(s);
    }

    if (rc == NGX_OK) {
        rc = ngx_mcp_bus_register(s, digest, s->conf->max_sessions);
    }

    if (rc != NGX_OK) {
        ngx_mcp_session_free(s);
        return rc == NGX_ERROR ? NGX_HTTP_INTERNAL_SERVER_ERROR : rc;
    }

    owner.stream = &s->stream;
    owner.data = s;
    owner.closed = ngx_mcp_session_stream_closed;
    owner.conf = s->conf;
    owner.limit = s->conf->queue;
    owner.keepalive_event = keepalive_event;

    first = (ngx_mcp_primary_enter(s) == NGX_OK)
            ? ngx_mcp_session_first(s, r) : NULL;

    rc = first ? ngx_mcp_stream_open(r, &owner, first)
               : NGX_HTTP_INTERNAL_SERVER_ERROR;

    if (s->stream == NULL) {
        ngx_log_debug3(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                       "mcp session %*s has not opened: %i",
                       (size_t) NGX_MCP_HASH_LEN, s->sid.hash, rc);

        s->open = 0;
        ngx_mcp_push_session_leave(s);
        ngx_mcp_bus_unregister(s, 0, NULL, 0);
        ngx_post_event(&s->event, &ngx_posted_events);
        return rc;
    }

    s->sink.open = 1;

    if (s->resumed || (s->streamable && s->listen.len == 0)) {
        ngx_mcp_subscribe_recall(s);
    }

    if (s->resumed) {
        ngx_mcp_session_client_again(s);
        ngx_mcp_session_lost_inherit(s);
    }

    ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                  "SSE connection established: %*s for user: %V",
                  (size_t) NGX_MCP_HASH_LEN, s->sid.hash, &s->user);

    ngx_mcp_count(NGX_MCP_COUNT_OPENED);

    ngx_mcp_session_timers_start(s);

    return rc;
}


ngx_int_t
ngx_mcp_session_user(ngx_str_t *site, ngx_str_t *user, u_char *digest)
{
    ngx_str_t        parts[3];
    ngx_mcp_zone_t  *zone;

    zone = ngx_mcp_zone();

    ngx_str_set(&parts[0], "user");
    parts[1] = *site;
    parts[2] = *user;

    return ngx_mcp_hmac(digest, zone->secrets->elts, parts, 3);
}


ngx_int_t
ngx_mcp_session_limit(ngx_http_request_t *r)
{
    u_char               digest[NGX_MCP_DIGEST_LEN];
    ngx_mcp_ctx_t       *ctx;
    ngx_mcp_loc_conf_t  *conf;

    ctx = ngx_http_get_module_ctx(r, ngx_http_mcp_sse_module);
    conf = ngx_http_get_module_loc_conf(r, ngx_http_mcp_sse_module);

    if (ngx_mcp_session_user(&ctx->vars.site, &ctx->vars.user,
                             digest)
        != NGX_OK)
    {
        return NGX_BUSY;
    }

    return ngx_mcp_registry_limit(digest, conf->max_sessions);
}


/*
 * Browsers send the value of "id:" as Last-Event-ID when they reconnect
 * (HTML standard, 9.2).
 */

static ngx_mcp_event_t *
ngx_mcp_session_first(ngx_mcp_session_t *s, ngx_http_request_t *r)
{
    ngx_str_t      *uri;
    ngx_mcp_ctx_t  *ctx;

    if (s->listen.len) {
        ctx = ngx_http_get_module_ctx(r, ngx_http_mcp_sse_module);

        return ngx_mcp_reply_acknowledged(&s->listen, ctx->modern->listen);
    }

    if (s->streamable) {
        return ngx_mcp_event_format(sizeof(": stream\n\n"),
                                    ngx_cycle->log, ": stream\n\n");
    }

    uri = &s->conf->message_uri;

    return ngx_mcp_event_format(
               sizeof("id: \nevent: endpoint\ndata: ?session_id=\n\n")
               + 2 * NGX_MCP_SESSION_ID_LEN + uri->len,
               ngx_cycle->log,
               "id: %*s\nevent: endpoint\ndata: %V%ssession_id=%*s\n\n",
               (size_t) NGX_MCP_SESSION_ID_LEN, s->text, uri,
               ngx_strlchr(uri->data, uri->data + uri->len, '?') ? "&" : "?",
               (size_t) NGX_MCP_SESSION_ID_LEN, s->text);
}


/*
 * Called by the bus.  The event runs after the POST is answered.
 */

static void
ngx_mcp_session_receive(ngx_mcp_session_t *s, ngx_mcp_envelope_t *env)
{
    ngx_log_debug4(NGX_LOG_DEBUG_HTTP, ngx_cycle->log, 0,
                   "mcp session %*s receives messages: %ui, bytes: %uz",
                   (size_t) NGX_MCP_HASH_LEN, s->sid.hash, env->nmessages,
                   env->size);

    ngx_queue_insert_tail(&s->inbox, &env->queue);

    ngx_post_event(&s->event, &ngx_posted_events);
}


static void
ngx_mcp_session_event(ngx_event_t *ev)
{
    ngx_mcp_session_t  *s = ev->data;

    if (s->open && s->waits) {
        return;
    }

    if (s->open && !ngx_queue_empty(&s->inbox)) {
        ngx_mcp_session_timers_active(s);
    }

    ngx_mcp_session_dispatch(s);
    ngx_mcp_dispatch_next(s);

    if (!s->open && !s->lost && !ngx_mcp_session_busy(s)) {
        ngx_mcp_session_free(s);
        return;
    }

    ngx_mcp_session_check(s);
}


void
ngx_mcp_session_dispatch(ngx_mcp_session_t *s)
{
    ngx_queue_t         *q;
    ngx_mcp_envelope_t  *env;

    while (!ngx_queue_empty(&s->inbox)) {
        q = ngx_queue_head(&s->inbox);
        ngx_queue_remove(q);

        env = ngx_queue_data(q, ngx_mcp_envelope_t, queue);

        if (s->open) {
            ngx_mcp_session_credential_received(s, env);
        }

        ngx_mcp_dispatch(s, env, &s->sink);
    }
}


static void
ngx_mcp_session_tell(ngx_mcp_sink_t *sink, ngx_mcp_task_t *task,
    ngx_mcp_event_t *ev, ngx_uint_t is_answer)
{
    ngx_mcp_session_t  *s;

    s = ngx_mcp_session_of(sink);

    ngx_log_debug4(NGX_LOG_DEBUG_HTTP, ngx_cycle->log, 0,
                   "mcp session %*s sends an event, answer: %ui, call: %d",
                   (size_t) NGX_MCP_HASH_LEN, s->sid.hash, is_answer,
                   task ? 1 : 0);

    if (s->lost) {
        ngx_mcp_session_lost_keep(s, task, ev, is_answer);
        return;
    }

    ngx_mcp_stream_send(s->stream, ev);
}


static ngx_int_t
ngx_mcp_session_room(ngx_mcp_sink_t *sink, size_t size)
{
    ngx_mcp_session_t  *s;

    s = ngx_mcp_session_of(sink);

    if (s->lost) {
        return NGX_DECLINED;
    }

    return ngx_mcp_stream_has_room(s->stream, size) ? NGX_OK : NGX_BUSY;
}


static void
ngx_mcp_session_stream_closed(void *data, ngx_uint_t reason)
{
    ngx_mcp_session_close(data, reason);
}


/*
 * Runs after a task has ended, for sessions of both transports.
 */

static void
ngx_mcp_session_ended(ngx_mcp_session_t *s)
{
    ngx_mcp_dispatch_next(s);

    ngx_mcp_session_check(s);
}


/*
 * The session is not freed here, since the caller may use it.
 */

void
ngx_mcp_session_check(ngx_mcp_session_t *s)
{
    ngx_mcp_session_record_t  *record;

    if (ngx_mcp_session_busy(s)) {
        return;
    }

    if (!s->open) {

        if (!s->lost) {
            ngx_post_event(&s->event, &ngx_posted_events);
        }

        return;
    }

    record = s->record;

    if (s->draining
        && s->listed
        && (record == NULL || record->bytes == 0))
    {
        ngx_mcp_session_close(s, NGX_MCP_CLOSE_STOPPING);
    }
}


ngx_uint_t
ngx_mcp_session_busy(ngx_mcp_session_t *s)
{
    return s->ncalls
           || !ngx_queue_empty(&s->waiting)
           || !ngx_queue_empty(&s->inbox);
}


/*
 * Messages in the inbox are accepted.  If the client has left, they are run
 * and their answers are kept for who takes the session over, or dropped.  If
 * the server ends the stream, they are not run and are answered with an error.
 */

void
ngx_mcp_session_close(ngx_mcp_session_t *s, ngx_uint_t reason)
{
    ngx_msec_t  grace;

    if (!s->open) {
        return;
    }

    s->open = 0;

    ngx_mcp_session_timers_stop_session(s);

    ngx_mcp_session_end_log(s, reason);

    /* no message can follow those in the inbox */

    ngx_mcp_unregister_begin(s);

    grace = (reason == NGX_MCP_CLOSE_CLIENT_LEFT && !s->streamable)
            ? s->conf->grace : 0;

    s->lost = (grace != 0);

    if (!ngx_mcp_session_end_by_client(reason) && s->stream) {
        ngx_mcp_session_end_stream(s, reason);
        s->sink.open = 0;

    } else {
        s->sink.open = s->lost;

        if (!s->lost) {
            ngx_mcp_question_end_session(s, "The client has left");
        }

        ngx_mcp_session_dispatch(s);
    }

    ngx_mcp_session_lost_leave(s, grace);
    ngx_mcp_push_session_leave(s);

    ngx_post_event(&s->event, &ngx_posted_events);
}


static void
ngx_mcp_session_free(ngx_mcp_session_t *s)
{
    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, ngx_cycle->log, 0,
                   "mcp session %*s freed",
                   (size_t) NGX_MCP_HASH_LEN, s->sid.hash);

    ngx_mcp_timer_del(&s->grace);
    ngx_mcp_push_session_leave(s);

    if (s->event.posted) {
        ngx_delete_posted_event(&s->event);
    }

    ngx_queue_remove(&s->queue);

    if (s->renewed) {
        ngx_free(s->renewed);
    }

    if (s->client) {
        ngx_free(s->client);
    }

    ngx_free(s->filter);   /* may be NULL */
    ngx_free(s);
}


/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Submits the messages of a Streamable HTTP POST to the dispatcher: creates the
 * exchange, makes the session id of an initialize, finds the session.
 *
 * If a message is forwarded, the messages are copied to an envelope, since
 * tasks may outlive the request.
 */

#include "ngx_mcp_submit.h"
#include "ngx_mcp_session_http.h"
#include "ngx_mcp_bus.h"
#include "ngx_mcp_counters.h"
#include "ngx_mcp_dispatch.h"
#include "ngx_mcp_exchange.h"
#include "ngx_mcp_question_response.h"
#include "ngx_mcp_repeats.h"
#include "ngx_mcp_forward_headers.h"
#include "ngx_mcp_identity.h"
#include "ngx_mcp_response.h"
#include "ngx_mcp_session_timers.h"
#include "ngx_mcp_suspend.h"
#include "ngx_mcp_json_text.h"


/*
 * How often a request looks whether the zone is recovered; and the time that it
 * waits at least.
 */

#define NGX_MCP_SUBMIT_RETRY_MS     20
#define NGX_MCP_SUBMIT_MIN_WAIT_MS  1000


static ngx_int_t ngx_mcp_submit_ready(ngx_http_request_t *r);
static ngx_int_t ngx_mcp_submit_wait(ngx_http_request_t *r,
    ngx_mcp_exchange_t *x);
static void ngx_mcp_submit_retry(void *data);
static ngx_int_t ngx_mcp_submit_messages(ngx_mcp_exchange_t *x);
static ngx_int_t ngx_mcp_submit_session(ngx_mcp_exchange_t *x,
    ngx_mcp_jsonrpc_message_t *message);
static ngx_uint_t ngx_mcp_submit_forwards(ngx_mcp_exchange_t *x,
    ngx_array_t *messages);
static ngx_int_t ngx_mcp_submit_envelope(ngx_mcp_exchange_t *x,
    ngx_array_t *messages, ngx_mcp_session_t **s, ngx_mcp_envelope_t **env);
static ngx_int_t ngx_mcp_submit_refuse(ngx_http_request_t *r, ngx_int_t rc,
    ngx_mcp_session_t *s);


ngx_int_t
ngx_mcp_submit(ngx_http_request_t *r, ngx_array_t *messages, ngx_uint_t batch)
{
    ngx_mcp_exchange_t  *x;

    x = ngx_mcp_exchange_create(r);

    if (x == NULL || ngx_mcp_submit_session(x, messages->elts) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (x->ctx->has_session_id) {
        ngx_mcp_question_responses(r->pool, x->ctx->sid.key, messages,
                                   x->conf->ask_timeout);
    }

    x->messages = messages;
    x->batch = batch;
    x->deadline = ngx_current_msec
                  + ngx_max(x->conf->grace, NGX_MCP_SUBMIT_MIN_WAIT_MS);

    return ngx_mcp_submit_ready(r);
}


/*
 * While the zone is recovered, requests in flight at other workers may not be
 * known: a request of a session waits (docs/PROTOCOL.md 12.8).
 */

static ngx_int_t
ngx_mcp_submit_ready(ngx_http_request_t *r)
{
    ngx_mcp_ctx_t       *ctx;
    ngx_mcp_exchange_t  *x;

    ctx = ngx_http_get_module_ctx(r, ngx_http_mcp_sse_module);
    x = ctx->exchange;

    if (ngx_mcp_zone()->root->phase == NGX_MCP_ZONE_READY
        || !ctx->has_session_id
        || !ngx_mcp_submit_forwards(x, x->messages))
    {
        return ngx_mcp_submit_messages(x);
    }

    return ngx_mcp_submit_wait(r, x);
}


static ngx_int_t
ngx_mcp_submit_wait(ngx_http_request_t *r, ngx_mcp_exchange_t *x)
{
    ngx_mcp_ctx_t  *ctx;

    ctx = x->ctx;

    if (ngx_mcp_session_timers_stopped()
        || (ngx_msec_int_t) (ngx_current_msec - x->deadline) >= 0)
    {
        return ngx_mcp_refuse(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                              NGX_MCP_ERR_UNAVAILABLE,
                              "Server is recovering");
    }

    if (ngx_mcp_suspend(r, ngx_mcp_submit_ready) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->suspend->timer.handler = ngx_mcp_submit_retry;
    ctx->suspend->timer.data = r;
    ngx_mcp_timer_set(&ctx->suspend->timer, NGX_MCP_SUBMIT_RETRY_MS);

    return NGX_DONE;
}


static void
ngx_mcp_submit_retry(void *data)
{
    ngx_mcp_resume(data);
}


static ngx_int_t
ngx_mcp_submit_messages(ngx_mcp_exchange_t *x)
{
    ngx_int_t                   rc;
    ngx_uint_t                  i;
    ngx_array_t                *messages;
    ngx_mcp_session_t          *s;
    ngx_http_request_t         *r;
    ngx_mcp_envelope_t         *env;
    ngx_mcp_jsonrpc_message_t  *message;

    r = x->request;
    messages = x->messages;
    message = messages->elts;

    s = NULL;
    env = NULL;

    if (ngx_mcp_submit_forwards(x, messages)) {
        rc = ngx_mcp_submit_envelope(x, messages, &s, &env);

        if (rc == NGX_AGAIN) {
            return ngx_mcp_submit_wait(r, x);
        }

        if (rc != NGX_OK) {
            return ngx_mcp_submit_refuse(r, rc, s);
        }

    } else if (x->ctx->has_session_id) {

        /* the session is active: its streams are not evicted */

        ngx_mcp_registry_active(x->ctx->sid.key, messages->nelts);
    }

    ngx_log_debug4(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "mcp submit messages: %ui, requests: %d, to session: %*s",
                   messages->nelts, x->asked,
                   (size_t) (s ? NGX_MCP_HASH_LEN : 4),
                   s ? s->sid.hash : (u_char *) "none");

    if (env) {
        ngx_mcp_dispatch(s, env, &x->sink);
        ngx_mcp_session_check(s);

        return ngx_mcp_exchange_wait(x);
    }

    for (i = 0; i < messages->nelts; i++) {
        ngx_mcp_dispatch_message(NULL, NULL, &x->sink, &message[i]);
    }

    return ngx_mcp_exchange_wait(x);
}


/*
 * An initialize gets a session id, which is sent if it succeeds.
 */

static ngx_int_t
ngx_mcp_submit_session(ngx_mcp_exchange_t *x,
    ngx_mcp_jsonrpc_message_t *message)
{
    if (message->type != NGX_MCP_JSONRPC_REQUEST
        || !ngx_mcp_str_is(&message->method, "initialize"))
    {
        return NGX_OK;
    }

    x->client = ngx_palloc(x->request->pool, sizeof(ngx_mcp_client_t));

    if (x->client == NULL
        || ngx_mcp_identity_read(x->request->pool, &message->params, x->client,
                                 &x->newest)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_mcp_submit_session_id(x);
}


ngx_int_t
ngx_mcp_submit_session_id(ngx_mcp_exchange_t *x)
{
    u_char               *hash, buf[NGX_MCP_CLIENT_MAX_CLAIMS];
    ngx_str_t             claims;
    ngx_mcp_zone_t       *zone;
    ngx_mcp_session_id_t  sid;

    x->session.data = ngx_pnalloc(x->request->pool,
                                  NGX_MCP_SESSION_ID_MAX_LEN
                                  + NGX_MCP_HASH_LEN);
    if (x->session.data == NULL) {
        return NGX_ERROR;
    }

    hash = x->session.data + NGX_MCP_SESSION_ID_MAX_LEN;

    claims.data = buf;
    claims.len = ngx_mcp_client_claims(x->client, buf);

    zone = ngx_mcp_zone();

    if (ngx_mcp_session_id_make(&sid, &x->session, zone->secrets->elts,
                                zone->root->instance, ngx_time(),
                                "streamable", &x->ctx->vars.site,
                                &x->ctx->vars.user, &claims)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_memcpy(hash, sid.hash, NGX_MCP_HASH_LEN);

    x->ctx->vars.session.data = hash;
    x->ctx->vars.session.len = NGX_MCP_HASH_LEN;

    return ngx_mcp_identity_claims(x->request, &claims);
}


/*
 * Returns whether any of the messages is forwarded; finds out whether there is
 * a request, too.
 */

static ngx_uint_t
ngx_mcp_submit_forwards(ngx_mcp_exchange_t *x, ngx_array_t *messages)
{
    ngx_uint_t                  i, forwards;
    ngx_mcp_jsonrpc_message_t  *message;

    forwards = 0;
    message = messages->elts;

    for (i = 0; i < messages->nelts; i++) {

        if (message[i].type == NGX_MCP_JSONRPC_REQUEST) {
            x->asked = 1;
        }

        if (ngx_mcp_dispatch_forwards(x->conf, &message[i])) {
            forwards = 1;
        }
    }

    return forwards;
}


/*
 * Makes the envelope, enters the ids of its requests and finds the session,
 * which accepts it.  NGX_DECLINED: the headers are too large; NGX_ABORT: the
 * zone is full; NGX_AGAIN: it is in recovery; NGX_BUSY: too many sessions if *s
 * is NULL, else too many messages.
 */

static ngx_int_t
ngx_mcp_submit_envelope(ngx_mcp_exchange_t *x, ngx_array_t *messages,
    ngx_mcp_session_t **s, ngx_mcp_envelope_t **env)
{
    ngx_int_t            rc;
    ngx_http_request_t  *r;

    r = x->request;

    rc = ngx_mcp_forward_headers(r, messages, env);
    if (rc != NGX_OK) {
        return rc;
    }

    rc = ngx_mcp_repeats_enter(r, &x->sink, messages);

    if (rc == NGX_DECLINED) {
        rc = NGX_ABORT;
    }

    if (rc == NGX_OK) {
        rc = ngx_mcp_session_http_get(r, s);
    }

    if (rc == NGX_OK) {
        rc = ngx_mcp_session_http_accept(*s, *env);
    }

    if (rc != NGX_OK) {
        ngx_mcp_in_flight_free_all(&x->sink.in_flight);
        ngx_mcp_envelope_free(*env);

        if (*s) {
            ngx_mcp_session_check(*s);
        }
    }

    return rc;
}


static ngx_int_t
ngx_mcp_submit_refuse(ngx_http_request_t *r, ngx_int_t rc,
    ngx_mcp_session_t *s)
{
    switch (rc) {

    case NGX_DECLINED:
        return ngx_mcp_refuse(r, NGX_MCP_HTTP_FIELDS_TOO_LARGE,
                              NGX_MCP_ERR_INVALID_REQUEST,
                              "Headers too large");

    case NGX_ABORT:
        ngx_mcp_count(NGX_MCP_COUNT_ZONE_FULL);

        return ngx_mcp_refuse(r, NGX_HTTP_TOO_MANY_REQUESTS,
                              NGX_MCP_ERR_TOO_MANY, "Too many messages");

    case NGX_BUSY:
        ngx_mcp_count(s ? NGX_MCP_COUNT_INBOX_FULL
                        : NGX_MCP_COUNT_SESSIONS_FULL);

        return ngx_mcp_refuse(r, NGX_HTTP_TOO_MANY_REQUESTS,
                              NGX_MCP_ERR_TOO_MANY,
                              s ? "Too many messages" : "Too many sessions");

    default:
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
}

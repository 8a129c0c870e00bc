
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Asks the backend again whether a user may read a resource that has changed.
 *
 * A question is in one of two lists, which own it: it waits, or its call runs
 * and its handler frees it.  It has the key of its session, which may end, or
 * be taken over, meanwhile.  An update of many sessions must not become as many
 * calls at once: few run, and few wait.
 */

#include "ngx_mcp_subscribe_check.h"
#include "ngx_mcp_call.h"
#include "ngx_mcp_counters.h"
#include "ngx_mcp_header.h"
#include "ngx_mcp_listen.h"
#include "ngx_mcp_remote_subscriptions.h"
#include "ngx_mcp_sessions.h"
#include "ngx_mcp_stream.h"


#define NGX_MCP_SUBSCRIBE_CHECK_RUNNING  8      /* calls of this worker */
#define NGX_MCP_SUBSCRIBE_CHECK_MAX      256    /* with those that wait */


typedef struct {
    ngx_queue_t                 queue;
    ngx_mcp_call_t             *call;           /* while it runs */
    ngx_mcp_subscribe_send_pt   send;
    ngx_uint_t                  readable;       /* the backend has read it */
    u_char                      key[NGX_MCP_DIGEST_LEN];
    u_char                      uri[NGX_MCP_DIGEST_LEN];
    ngx_str_t                   raw_uri;        /* behind this struct */
} ngx_mcp_subscribe_check_t;


static ngx_int_t ngx_mcp_subscribe_check_age(ngx_mcp_session_t *s, u_char *uri,
    ngx_msec_t *age);
static ngx_uint_t ngx_mcp_subscribe_check_asked(ngx_queue_t *list, u_char *key,
    u_char *uri);
static void ngx_mcp_subscribe_check_next(void);
static ngx_mcp_call_t *ngx_mcp_subscribe_check_call(
    ngx_mcp_subscribe_check_t *check, ngx_mcp_session_t *s);
static ngx_int_t ngx_mcp_subscribe_check_headers(ngx_mcp_session_t *s,
    ngx_mcp_call_t *call);
static u_char *ngx_mcp_subscribe_check_copy(u_char *p, ngx_str_t *dst,
    ngx_str_t *src);
static ngx_int_t ngx_mcp_subscribe_check_body(ngx_mcp_subscribe_check_t *check,
    ngx_mcp_call_t *call);
static void ngx_mcp_subscribe_check_classify(ngx_mcp_call_t *call);
static void ngx_mcp_subscribe_check_handler(ngx_mcp_call_t *call);
static void ngx_mcp_subscribe_check_note(ngx_mcp_session_t *s, u_char *uri);
static void ngx_mcp_subscribe_check_send(ngx_mcp_subscribe_check_t *check);


static ngx_queue_t  ngx_mcp_subscribe_check_waiting = {
    &ngx_mcp_subscribe_check_waiting, &ngx_mcp_subscribe_check_waiting
};

static ngx_queue_t  ngx_mcp_subscribe_check_running = {
    &ngx_mcp_subscribe_check_running, &ngx_mcp_subscribe_check_running
};

static ngx_uint_t  ngx_mcp_subscribe_check_nrunning;
static ngx_uint_t  ngx_mcp_subscribe_check_n;   /* in both lists */

static ngx_str_t  ngx_mcp_subscribe_check_method = ngx_string("resources/read");
static ngx_str_t  ngx_mcp_subscribe_check_json = ngx_string("application/json");
static ngx_str_t  ngx_mcp_subscribe_check_host = ngx_string("host");
static ngx_str_t  ngx_mcp_subscribe_check_accept = ngx_string("accept");
static ngx_str_t  ngx_mcp_subscribe_check_type = ngx_string("content-type");
static ngx_str_t  ngx_mcp_subscribe_check_forwarded =
                                                 ngx_string("x-forwarded-for");
static ngx_str_t  ngx_mcp_subscribe_check_auth = ngx_string("authorization");
static ngx_str_t  ngx_mcp_subscribe_check_cookie = ngx_string("cookie");
static ngx_str_t  ngx_mcp_subscribe_check_csrf =
                                            ngx_string("x-frappe-csrf-token");


ngx_int_t
ngx_mcp_subscribe_digest(ngx_str_t *text, u_char *uri)
{
    u_char  digest[NGX_MCP_SHA256_LEN];

    if (ngx_mcp_sha256(digest, text->data, text->len) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_memcpy(uri, digest, NGX_MCP_DIGEST_LEN);

    return NGX_OK;
}


void
ngx_mcp_subscribe_updated(ngx_mcp_session_t *s, u_char *uri,
    ngx_str_t *raw_uri, ngx_mcp_subscribe_send_pt send)
{
    ngx_msec_t                  age;
    ngx_mcp_subscribe_check_t  *check;

    if (ngx_mcp_subscribe_check_age(s, uri, &age) != NGX_OK) {
        return;
    }

    if (age < s->conf->auth_recheck) {
        send(s, raw_uri);
        return;
    }

    if (ngx_mcp_subscribe_check_n == NGX_MCP_SUBSCRIBE_CHECK_MAX) {
        ngx_mcp_count(NGX_MCP_COUNT_EVENTS_QUEUE);
        return;
    }

    if (ngx_mcp_subscribe_check_asked(&ngx_mcp_subscribe_check_waiting,
                                      s->sid.key, uri))
    {
        return;
    }

    check = ngx_calloc(sizeof(ngx_mcp_subscribe_check_t) + raw_uri->len,
                       ngx_cycle->log);
    if (check == NULL) {
        return;
    }

    check->send = send;
    ngx_memcpy(check->key, s->sid.key, NGX_MCP_DIGEST_LEN);
    ngx_memcpy(check->uri, uri, NGX_MCP_DIGEST_LEN);

    check->raw_uri.len = raw_uri->len;
    check->raw_uri.data = (u_char *) (check + 1);
    ngx_memcpy(check->raw_uri.data, raw_uri->data, raw_uri->len);

    ngx_queue_insert_tail(&ngx_mcp_subscribe_check_waiting, &check->queue);
    ngx_mcp_subscribe_check_n++;

    ngx_mcp_subscribe_check_next();
}


/*
 * Returns NGX_OK and how long ago the backend was asked, if the session has
 * subscribed to the resource.
 */

static ngx_int_t
ngx_mcp_subscribe_check_age(ngx_mcp_session_t *s, u_char *uri, ngx_msec_t *age)
{
    if (s->listen.len) {
        return ngx_mcp_listen_find(s, uri, age);
    }

    return (ngx_mcp_zone()->root->subscriptions_size == 0)
           ? NGX_DECLINED : ngx_mcp_subscriptions_find(s->sid.key, uri, age);
}


/*
 * An update is one with another that waits; not with one whose call runs, after
 * which the client may read the resource too early.
 */

static ngx_uint_t
ngx_mcp_subscribe_check_asked(ngx_queue_t *list, u_char *key, u_char *uri)
{
    ngx_queue_t                *q;
    ngx_mcp_subscribe_check_t  *check;

    for (q = ngx_queue_head(list);
         q != ngx_queue_sentinel(list);
         q = ngx_queue_next(q))
    {
        check = ngx_queue_data(q, ngx_mcp_subscribe_check_t, queue);

        if (ngx_memcmp(check->key, key, NGX_MCP_DIGEST_LEN) == 0
            && ngx_memcmp(check->uri, uri, NGX_MCP_DIGEST_LEN) == 0)
        {
            return 1;
        }
    }

    return 0;
}


static void
ngx_mcp_subscribe_check_next(void)
{
    ngx_queue_t                *q;
    ngx_mcp_session_t          *s;
    ngx_mcp_subscribe_check_t  *check;

    while (ngx_mcp_subscribe_check_nrunning < NGX_MCP_SUBSCRIBE_CHECK_RUNNING
           && !ngx_queue_empty(&ngx_mcp_subscribe_check_waiting))
    {
        q = ngx_queue_head(&ngx_mcp_subscribe_check_waiting);
        ngx_queue_remove(q);

        check = ngx_queue_data(q, ngx_mcp_subscribe_check_t, queue);

        s = ngx_mcp_sessions_find(check->key);
        check->call = s ? ngx_mcp_subscribe_check_call(check, s) : NULL;

        if (check->call == NULL
            || ngx_mcp_call_start(check->call) != NGX_OK)
        {
            ngx_mcp_subscribe_check_n--;
            ngx_free(check);
            continue;
        }

        ngx_queue_insert_tail(&ngx_mcp_subscribe_check_running, &check->queue);
        ngx_mcp_subscribe_check_nrunning++;
    }
}


static ngx_mcp_call_t *
ngx_mcp_subscribe_check_call(ngx_mcp_subscribe_check_t *check,
    ngx_mcp_session_t *s)
{
    ngx_mcp_call_t  *call;

    call = ngx_mcp_call_create(s->cscf, ngx_cycle->log);
    if (call == NULL) {
        return NULL;
    }

    call->uri = s->conf->call_uri;
    call->args = s->conf->call_args;
    call->timeout = s->conf->call_timeout;
    call->max_answer = s->conf->max_answer;
    call->classify = ngx_mcp_subscribe_check_classify;
    call->handler = ngx_mcp_subscribe_check_handler;
    call->data = check;
    call->jsonrpc = 1;

    ngx_mcp_jsonrpc_answer_begin(&call->scan, call->pool);

    if (ngx_mcp_subscribe_check_headers(s, call) != NGX_OK
        || ngx_mcp_subscribe_check_body(check, call) != NGX_OK)
    {
        ngx_mcp_call_free(call);
        return NULL;
    }

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, &call->log, 0,
                   "mcp session %*s: the backend is asked for a resource again",
                   (size_t) NGX_MCP_HASH_LEN, s->sid.hash);

    return call;
}


/*
 * Copies what is of the session, which may end before the call.
 */

static ngx_int_t
ngx_mcp_subscribe_check_headers(ngx_mcp_session_t *s, ngx_mcp_call_t *call)
{
    u_char                *p;
    ngx_str_t              value, csrf, address;
    ngx_mcp_vars_t        *vars;
    ngx_http_request_t    *r;
    ngx_mcp_credential_t  *cred;

    r = call->request;
    vars = &call->ctx.vars;
    cred = &s->credential;

    /* Frappe can restrict users to addresses */

    ngx_str_null(&address);

    if (s->stream) {
        address = ngx_mcp_stream_request(s->stream)->connection->addr_text;
    }

    p = ngx_pnalloc(call->pool, s->user.len + s->site.len + NGX_MCP_HASH_LEN
                                + cred->value.len + cred->csrf_token.len
                                + address.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    p = ngx_mcp_subscribe_check_copy(p, &vars->user, &s->user);
    p = ngx_mcp_subscribe_check_copy(p, &vars->site, &s->site);
    p = ngx_mcp_subscribe_check_copy(p, &value, &cred->value);
    p = ngx_mcp_subscribe_check_copy(p, &csrf, &cred->csrf_token);
    p = ngx_mcp_subscribe_check_copy(p, &call->address, &address);

    vars->session.len = NGX_MCP_HASH_LEN;
    vars->session.data = p;
    ngx_memcpy(p, s->sid.hash, NGX_MCP_HASH_LEN);

    vars->method = ngx_mcp_subscribe_check_method;

    if (ngx_mcp_header_push(r, &ngx_mcp_subscribe_check_host, &vars->site)
        != NGX_OK
        || ngx_mcp_header_push(r, &ngx_mcp_subscribe_check_accept,
                               &ngx_mcp_subscribe_check_json)
           != NGX_OK
        || ngx_mcp_header_push(r, &ngx_mcp_subscribe_check_type,
                               &ngx_mcp_subscribe_check_json)
           != NGX_OK
        || (address.len
            && ngx_mcp_header_push(r, &ngx_mcp_subscribe_check_forwarded,
                                   &call->address)
               != NGX_OK)
        || (cred->cookie && csrf.len
            && ngx_mcp_header_push(r, &ngx_mcp_subscribe_check_csrf, &csrf)
               != NGX_OK))
    {
        return NGX_ERROR;
    }

    /* mcp_sse_principal alone: there is none */

    if (value.len == 0) {
        return NGX_OK;
    }

    return ngx_mcp_header_push(r, cred->cookie
                                  ? &ngx_mcp_subscribe_check_cookie
                                  : &ngx_mcp_subscribe_check_auth, &value);
}


static u_char *
ngx_mcp_subscribe_check_copy(u_char *p, ngx_str_t *dst, ngx_str_t *src)
{
    dst->len = src->len;
    dst->data = p;

    return src->len ? ngx_cpymem(p, src->data, src->len) : p;
}


static ngx_int_t
ngx_mcp_subscribe_check_body(ngx_mcp_subscribe_check_t *check,
    ngx_mcp_call_t *call)
{
    u_char  *p;

    p = ngx_pnalloc(call->pool,
                    sizeof("{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":"
                           "\"resources/read\",\"params\":{\"uri\":}}")
                    + check->raw_uri.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    call->body.data = p;
    call->body.len = ngx_sprintf(p, "{\"jsonrpc\":\"2.0\",\"id\":0,"
                                 "\"method\":\"resources/read\","
                                 "\"params\":{\"uri\":%V}}",
                                 &check->raw_uri)
                     - p;

    return NGX_OK;
}


/*
 * Without an answer the session does not get to know either, but goes on to be
 * subscribed: the backend is asked again at the next update.
 */

static void
ngx_mcp_subscribe_check_classify(ngx_mcp_call_t *call)
{
    ngx_str_t                   body;
    ngx_mcp_jsonrpc_answer_t    answer;
    ngx_mcp_subscribe_check_t  *check;

    check = call->data;

    call->ctx.vars.result = NGX_MCP_RESULT_BACKEND;

    if (call->end != NGX_MCP_CALL_DONE || call->answer == NULL) {

        if (call->end == NGX_MCP_CALL_CANCELLED) {
            call->ctx.vars.result = NGX_MCP_RESULT_CANCELLED;
        }

        return;
    }

    body.data = call->answer->pos;
    body.len = call->answer->last - call->answer->pos;

    if (ngx_mcp_jsonrpc_answer_end(&call->scan, &body, &answer) != NGX_OK
        || (!answer.response && answer.value.data == NULL)
        || (call->status != NGX_HTTP_OK && !answer.response))
    {
        return;
    }

    check->readable = !answer.error && !answer.tool_error;

    call->ctx.vars.result = check->readable ? NGX_MCP_RESULT_OK
                                            : NGX_MCP_RESULT_ERROR;
}


static void
ngx_mcp_subscribe_check_handler(ngx_mcp_call_t *call)
{
    ngx_mcp_subscribe_check_t  *check;

    check = call->data;

    ngx_queue_remove(&check->queue);
    ngx_mcp_subscribe_check_nrunning--;
    ngx_mcp_subscribe_check_n--;

    if (check->readable) {
        ngx_mcp_subscribe_check_send(check);
    }

    ngx_free(check);

    ngx_mcp_subscribe_check_next();
}


/*
 * The backend has read the resource.
 */

static void
ngx_mcp_subscribe_check_note(ngx_mcp_session_t *s, u_char *uri)
{
    time_t  expires;

    if (s->listen.len) {
        ngx_mcp_listen_read(s, uri);
        return;
    }

    expires = s->sid.issued + s->conf->session_ttl;

    (void) ngx_mcp_subscriptions_add(s->sid.key, s->user_key, expires, uri);
    ngx_mcp_remote_subscriptions_add(s->sid.key, s->user_key, expires, uri);
}


/*
 * The client may have unsubscribed meanwhile.
 */

static void
ngx_mcp_subscribe_check_send(ngx_mcp_subscribe_check_t *check)
{
    ngx_msec_t          age;
    ngx_mcp_session_t  *s, *next;

    s = ngx_mcp_sessions_find(check->key);

    if (s == NULL
        || ngx_mcp_subscribe_check_age(s, check->uri, &age) != NGX_OK)
    {
        return;
    }

    ngx_mcp_subscribe_check_note(s, check->uri);

    for ( /* void */ ; s; s = next) {
        next = ngx_mcp_sessions_next(s);

        check->send(s, &check->raw_uri);
    }
}


void
ngx_mcp_subscribe_check_stop(void)
{
    ngx_queue_t                *q, *next;
    ngx_mcp_subscribe_check_t  *check;

    for (q = ngx_queue_head(&ngx_mcp_subscribe_check_waiting);
         q != ngx_queue_sentinel(&ngx_mcp_subscribe_check_waiting);
         q = next)
    {
        next = ngx_queue_next(q);

        ngx_mcp_subscribe_check_n--;
        ngx_free(ngx_queue_data(q, ngx_mcp_subscribe_check_t, queue));
    }

    ngx_queue_init(&ngx_mcp_subscribe_check_waiting);

    for (q = ngx_queue_head(&ngx_mcp_subscribe_check_running);
         q != ngx_queue_sentinel(&ngx_mcp_subscribe_check_running);
         q = ngx_queue_next(q))
    {
        check = ngx_queue_data(q, ngx_mcp_subscribe_check_t, queue);
        ngx_mcp_call_end(check->call, NGX_MCP_CALL_CANCELLED);
    }
}

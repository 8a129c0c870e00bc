
/*
 * Sessions of one worker by commands, for t/session/ *.t (MCPTest::Zone), with
 * those of t/shm/shm.c: the functions of src/session, on top of calls, streams
 * and a bus of the test.
 *
 *     N stream NAME USER [resumed] [http] [KEY]    a stream opens
 *     N post NAME JSON | N http NAME KEY JSON      messages, to a stream or as
 *                                                  a POST with a session id
 *     N answer ID STATUS JSON | N fail ID END      a call ends
 *     N updated NAME URI                           a resource has changed; if
 *                                                  told: "update:NAME:URI"
 *     N events                                     runs posted events
 *
 * An answer has behind it what was done: ">ID": a call was started, "!ID": it
 * was ended, "NAME<DATA>": an event was sent, "NAME[DATA]": and it was the last
 * one, "NAME(DATA)": an answer to a POST, "dropped": a good answer that nobody
 * wants, "x:NAME": the session was freed.  In DATA "_" is a blank, "|" LF.
 */

#define OTHER_COMMANDS
#include "../shm/shm.c"
#include "ngx_mcp_barrier.h"
#include "ngx_mcp_bus.h"
#include "ngx_mcp_call.h"
#include "ngx_mcp_call_id.h"
#include "ngx_mcp_call_log.h"
#include "ngx_mcp_dispatch.h"
#include "ngx_mcp_header.h"
#include "ngx_mcp_identity.h"
#include "ngx_mcp_outcome.h"
#include "ngx_mcp_place_queue.h"
#include "ngx_mcp_repeats.h"
#include "ngx_mcp_session.h"
#include "ngx_mcp_session_credential.h"
#include "ngx_mcp_session_end.h"
#include "ngx_mcp_session_http.h"
#include "ngx_mcp_session_lost.h"
#include "ngx_mcp_session_timers.h"
#include "ngx_mcp_stream.h"
#include "ngx_mcp_subscribe_check.h"
#include "ngx_mcp_task.h"


struct ngx_mcp_stream_s {
    ngx_mcp_stream_owner_t      owner;
    char                        name[32];
};


typedef struct {
    char                        name[32];
    ngx_mcp_session_t          *s;
    ngx_mcp_stream_t            stream;
    ngx_uint_t                  stream_open;
} named_t;


typedef struct {
    ngx_mcp_sink_t              sink;
    char                        name[32];
    u_char                      key[NGX_MCP_DIGEST_LEN];
} post_t;


static named_t                  named_[MAX_SESSIONS];
static ngx_uint_t               nnamed;
static post_t                   posts[MAX_SESSIONS];
static ngx_uint_t               nposts;
static ngx_mcp_call_t          *calls[MAX_SESSIONS];
static ngx_mcp_loc_conf_t       second_conf;
static ngx_http_core_srv_conf_t core_srv_conf;
static ngx_uint_t               no_stream, no_call, damaged, holds;
static char                     credential[64] = "first";
static ngx_pool_t              *scanned;         /* of the messages of a POST */


static named_t *
of(const char *name)
{
    ngx_uint_t  i;

    for (i = nnamed; i; i--) {
        if (strcmp(named_[i - 1].name, name) == 0) {
            return &named_[i - 1];
        }
    }

    fprintf(stderr, "no session \"%s\"\n", name);
    abort();
}


static const char *
name_of(ngx_mcp_session_t *s)
{
    ngx_uint_t  i;

    for (i = nnamed; i; i--) {
        if (named_[i - 1].s == s) {
            return named_[i - 1].name;
        }
    }

    return "?";
}


static void
freed(void *p)
{
    ngx_uint_t  i;

    for (i = 0; p && i < nnamed; i++) {
        if (named_[i].s == p) {
            happens(" x:%s", named_[i].name);
            named_[i].s = NULL;
        }
    }
}


static void
prints(const char *name, char begin, u_char *p, size_t len, char end)
{
    size_t  i;
    char    text[4096];

    for (i = 0; i < len && i < sizeof(text) - 1; i++) {
        text[i] = p[i] == ' ' ? '_' : p[i] == '\n' ? '|' : (char) p[i];
    }

    text[i] = '\0';
    happens(" %s%c%s%c", name, begin, text, end);
}


/* the rooms below */

static void
sent(ngx_mcp_stream_t *stream, ngx_mcp_event_t *ev, char begin, char end)
{
    if (ev == NULL) {
        prints(stream->name, begin, (u_char *) "", 0, end);
        return;
    }

    prints(stream->name, begin, ev->pos, ev->last - ev->pos, end);
    ngx_free(ev);
}


ngx_int_t
ngx_mcp_stream_open(ngx_http_request_t *r, ngx_mcp_stream_owner_t *owner,
    ngx_mcp_event_t *first)
{
    named_t  *o;

    if (no_stream) {
        ngx_free(first);
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    o = of(name_of(owner->data));
    o->stream.owner = *owner;
    o->stream_open = 1;
    snprintf(o->stream.name, sizeof(o->stream.name), "%s", o->name);

    *owner->stream = &o->stream;
    sent(&o->stream, first, '<', '>');
    happens(" limit=%d%s", (int) owner->limit,
            owner->keepalive_event ? " ping" : "");

    return NGX_DONE;
}


void
ngx_mcp_stream_send(ngx_mcp_stream_t *stream, ngx_mcp_event_t *ev)
{
    sent(stream, ev, '<', '>');
}


ngx_uint_t
ngx_mcp_stream_has_room(ngx_mcp_stream_t *stream, size_t size)
{
    return 1;
}


void
ngx_mcp_stream_end(ngx_mcp_stream_t *stream, ngx_mcp_event_t *ev)
{
    *stream->owner.stream = NULL;
    sent(stream, ev, '[', ']');
}


void
ngx_mcp_timer_hold(void)
{
    holds++;
}


void
ngx_mcp_timer_release(void)
{
    holds--;
}


/* any stream has the same one */

ngx_http_request_t *
ngx_mcp_stream_request(ngx_mcp_stream_t *stream)
{
    static void                *ctxs[1];
    static ngx_mcp_ctx_t        ctx;
    static ngx_connection_t     c;
    static ngx_http_request_t   r;

    if (r.pool == NULL) {
        ngx_str_set(&c.addr_text, "1.2.3.4");
        r.connection = &c;
        r.pool = ngx_create_pool(1024, &log_);
        r.ctx = ctxs;
        ctxs[0] = &ctx;
    }

    return &r;
}


ngx_int_t
ngx_mcp_identity_read(ngx_pool_t *pool, ngx_str_t *params,
    ngx_mcp_client_t *client, ngx_str_t *newest)
{
    return ngx_mcp_client_initialize(pool, params, client);
}


ngx_int_t
ngx_mcp_bus_init(ngx_cycle_t *c, ngx_mcp_session_handlers_t *h)
{
    ngx_mcp_sessions_init(h);

    return ngx_mcp_workers_init(c, registered);
}


void
ngx_mcp_bus_exit(void)
{
    ngx_mcp_workers_exit();
}


ngx_int_t
ngx_mcp_bus_register(ngx_mcp_session_t *s, u_char *user, ngx_uint_t max)
{
    ngx_int_t           rc;
    ngx_mcp_session_t  *old;

    old = s->streamable ? NULL : ngx_mcp_sessions_find(s->sid.key);

    if (old) {
        ngx_mcp_sessions_close(old, NGX_MCP_CLOSE_REPLACED);
    }

    ngx_memcpy(s->user_key, user, NGX_MCP_DIGEST_LEN);
    rc = ngx_mcp_registry_enter(s, user, max);

    if (rc == NGX_OK) {
        ngx_mcp_sessions_add(s);
    }

    return rc;
}


void
ngx_mcp_bus_unregister(ngx_mcp_session_t *s, ngx_msec_t grace, ngx_str_t *open,
    ngx_uint_t n)
{
    ngx_mcp_unregister(s, grace, open, n);
    ngx_mcp_sessions_remove(s);
}


void
ngx_mcp_bus_announce(ngx_uint_t kind, u_char *key, u_char *data, size_t len)
{
    happens(" announce:%d:%.*s", (int) kind, (int) len, data);
    (void) ngx_mcp_announce(kind, key, data, len);
}


void
ngx_mcp_remote_subscriptions_add(u_char *key, u_char *user, time_t expires,
    u_char *uri)
{
    happens(" noted:%.16s", (char *) uri);
}


/* without mcp_sse_events */

ngx_uint_t
ngx_mcp_events_used(void)
{
    return 0;
}


void
ngx_mcp_call_id_leave(ngx_mcp_call_id_t *id)
{
}


void
ngx_mcp_barrier_cancel(ngx_mcp_barrier_t *barrier)
{
}


static void
sends_update(ngx_mcp_session_t *s, ngx_str_t *raw_uri)
{
    happens(" update:%s:%.*s", name_of(s), (int) raw_uri->len, raw_uri->data);
}


void
ngx_mcp_vars_set(ngx_mcp_vars_t *vars, ngx_mcp_jsonrpc_message_t *message)
{
    vars->method = message->method;
    vars->id = message->id;
}


ngx_int_t
ngx_mcp_header_push(ngx_http_request_t *r, ngx_str_t *name, ngx_str_t *value)
{
    char  *p;

    p = (char *) r->headers_in.server.data;

    snprintf(p + strlen(p), 1024 - strlen(p), "|%.*s=%.*s", (int) name->len,
             name->data, (int) value->len, value->data);

    return NGX_OK;
}


void
ngx_mcp_call_log_error(ngx_mcp_call_t *call, const char *what)
{
    happens(" log:%s", what);
}


ngx_mcp_call_t *
ngx_mcp_call_create(ngx_http_core_srv_conf_t *cscf, ngx_log_t *log)
{
    ngx_mcp_call_t  *call;

    if (no_call == 1) {
        return NULL;
    }

    call = calloc(1, sizeof(ngx_mcp_call_t));
    call->pool = ngx_create_pool(4096, &log_);
    call->request = ngx_pcalloc(call->pool, sizeof(ngx_http_request_t));
    call->request->headers_in.server.data = ngx_pcalloc(call->pool, 1024);
    call->log = log_;
    call->cscf = cscf;
    call->length = -1;
    call->retry_after = -1;

    return call;
}


void
ngx_mcp_call_free(ngx_mcp_call_t *call)
{
    ngx_destroy_pool(call->pool);

    if (call->answer) {
        ngx_free(call->answer);
    }

    if (call->envelope) {
        ngx_mcp_envelope_free(call->envelope);
    }

    if (call->place) {
        ngx_mcp_places_release(call->place);
    }

    free(call);
}


static ngx_str_t *
call_id(ngx_mcp_call_t *call)
{
    ngx_mcp_vars_t  *vars;

    vars = &call->ctx.vars;

    return vars->id.len ? &vars->id : &vars->method;
}


ngx_int_t
ngx_mcp_call_start(ngx_mcp_call_t *call)
{
    ngx_uint_t  i;

    if (no_call) {
        ngx_mcp_call_free(call);
        return NGX_ERROR;
    }

    for (i = 0; calls[i]; i++) { /* void */ }

    calls[i] = call;
    call->started = ngx_current_msec;
    call->began = 1;
    happens(" >%.*s", (int) call_id(call)->len, call_id(call)->data);

    return NGX_OK;
}


static void
call_event(ngx_event_t *ev)
{
    ngx_uint_t       i;
    ngx_mcp_call_t  *call;

    call = ev->data;

    for (i = 0; calls[i] != call; i++) { /* void */ }

    calls[i] = NULL;
    call->classify(call);

    if (call->ctx.vars.result == NGX_MCP_RESULT_DROPPED) {
        happens(" dropped");
    }

    call->handler(call);
    ngx_mcp_call_free(call);
}


void
ngx_mcp_call_end(ngx_mcp_call_t *call, ngx_uint_t end)
{
    if (call->end) {
        return;
    }

    happens(" !%.*s", (int) call_id(call)->len, call_id(call)->data);

    call->end = end;
    call->event.handler = call_event;
    call->event.data = call;
    call->event.log = &log_;
    ngx_post_event(&call->event, &ngx_posted_events);
}


static ngx_mcp_call_t *
call_of(const char *id)
{
    ngx_uint_t  i;
    ngx_str_t  *s;

    for (i = 0; i < MAX_SESSIONS; i++) {
        if (calls[i] == NULL || calls[i]->end) {
            continue;
        }

        s = call_id(calls[i]);

        if (s->len == strlen(id) && ngx_memcmp(s->data, id, s->len) == 0) {
            return calls[i];
        }
    }

    fprintf(stderr, "no call \"%s\"\n", id);
    abort();
}


/* the auth room */

static void
recheck(ngx_mcp_session_t *s)
{
    happens(" recheck:%s:%.*s", name_of(s), (int) s->credential.value.len,
            s->credential.value.data);
}


static void
renewed(ngx_mcp_session_t *s, ngx_mcp_credential_t *cred)
{
    happens(" renewed:%s:%.*s%s", name_of(s), (int) cred->value.len,
            cred->value.data, cred->cookie ? ":cookie" : "");
}


static void
refused(ngx_mcp_session_t *s, ngx_mcp_credential_t *cred, ngx_msec_t started)
{
    happens(" refused:%.*s:%d", (int) cred->value.len, cred->value.data,
            (int) (ngx_current_msec - started));
}


static void
announced_refusal(u_char *digest)
{
    happens(" refused:%.16s", digest);
}


static ngx_mcp_session_credential_handlers_t  credentials = {
    recheck, renewed, refused, announced_refusal
};


/* commands */

static ngx_int_t
other_init(void)
{
    ngx_int_t  rc;

    ngx_http_core_module.ctx_index = 1;

    ngx_str_set(&loc_conf.call_uri, "/call");
    ngx_str_set(&loc_conf.call_args, "a=b");
    ngx_str_set(&loc_conf.message_uri, "/messages");
    loc_conf.local = NGX_MCP_LOCAL_PING;
    loc_conf.ping_result = NGX_MCP_PING_EMPTY;
    loc_conf.grace = 5000;
    loc_conf.idle_timeout = 60000;
    loc_conf.session_ttl = 100000;
    loc_conf.call_timeout = 30000;
    loc_conf.progress = 1000;
    loc_conf.retry = 2000;
    loc_conf.max_answer = 1000;
    loc_conf.queue = 1000;
    loc_conf.max_calls = 2;
    loc_conf.max_sessions = 3;
    loc_conf.auth_recheck = 40000000;
    second_conf = loc_conf;

    rc = ngx_mcp_session_init(&cycle);
    ngx_mcp_session_http_init();
    ngx_mcp_session_credential_init(&credentials);
    ngx_mcp_place_queue_init();

    return rc;
}


static ngx_http_request_t *
request(const char *user)
{
    static ngx_mcp_ctx_t       ctx;
    static ngx_http_request_t  r;
    static ngx_connection_t    c;
    static void               *ctxs[2], *loc_confs[2], *srv_confs[2];

    ngx_memzero(&ctx, sizeof(ngx_mcp_ctx_t));

    c.log = &log_;
    ctxs[0] = &ctx;
    loc_confs[0] = &loc_conf;
    srv_confs[1] = &core_srv_conf;

    r.ctx = ctxs;
    r.loc_conf = loc_confs;
    r.srv_conf = srv_confs;
    r.connection = &c;
    r.pool = scanned;

    ctx.vars.user.data = (u_char *) user;
    ctx.vars.user.len = strlen(user);
    ngx_str_set(&ctx.vars.site, "site");

    ctx.auth.credential.value.data = (u_char *) credential;
    ctx.auth.credential.value.len = strlen(credential);
    ngx_memcpy(ctx.auth.credential.digest, key_of(credential),
               NGX_MCP_DIGEST_LEN);

    return &r;
}


static const char *
command_stream(void)
{
    int                    i;
    u_char                 text[NGX_MCP_SESSION_ID_LEN];
    named_t               *o;
    const char            *key;
    ngx_int_t              rc;
    ngx_uint_t             resumed, http;
    ngx_http_request_t    *r;
    ngx_mcp_session_id_t   sid;

    key = word[2];
    resumed = 0;
    http = 0;

    for (i = 4; i < nwords; i++) {
        if (strcmp(word[i], "resumed") == 0) {
            resumed = 1;

        } else if (strcmp(word[i], "http") == 0) {
            http = 1;

        } else {
            key = word[i];
        }
    }

    ngx_memzero(&sid, sizeof(ngx_mcp_session_id_t));
    ngx_memcpy(sid.key, key_of(key), NGX_MCP_DIGEST_LEN);
    ngx_memcpy(sid.hash, "0123456789abcdef", NGX_MCP_HASH_LEN);
    sid.issued = ngx_time();
    ngx_memset(text, 'T', NGX_MCP_SESSION_ID_LEN);

    r = request(word[3]);
    o = &named_[nnamed++ % MAX_SESSIONS];
    ngx_memzero(o, sizeof(named_t));
    snprintf(o->name, sizeof(o->name), "%s", word[2]);

    o->s = ngx_mcp_session_create(r, &sid, text);

    if (o->s == NULL) {
        return "no memory";
    }

    o->s->resumed = resumed;
    o->s->streamable = http;

    rc = ngx_mcp_session_open(o->s, r, 0);

    return rc == NGX_HTTP_INTERNAL_SERVER_ERROR ? "500" : rc_name(rc);
}


static ngx_mcp_envelope_t *
json_envelope(char *json, ngx_array_t **messages)
{
    ngx_str_t     body;
    ngx_uint_t    batch;
    ngx_keyval_t *kv;
    ngx_array_t  *headers;

    body.data = (u_char *) json;
    body.len = strlen(json);

    if (ngx_mcp_jsonrpc_scan(scanned, &body, messages, &batch) != NGX_OK) {
        fprintf(stderr, "no JSON-RPC: %s\n", json);
        abort();
    }

    headers = ngx_array_create(scanned, 2, sizeof(ngx_keyval_t));

    if (credential[0]) {
        kv = ngx_array_push(headers);
        ngx_str_set(&kv->key, "authorization");

        if (credential[0] == '=') {
            ngx_str_set(&kv->key, "cookie");
        }

        kv->value.data = (u_char *) credential;
        kv->value.len = strlen(credential);
    }

    kv = ngx_array_push(headers);
    ngx_str_null(&kv->key);
    ngx_str_set(&kv->value, "1.2.3.4");

    return ngx_mcp_envelope_make(headers, *messages, &log_);
}


/* post NAME JSON [START_BEFORE]: from another instance, unconfirmed */

static const char *
command_post(void)
{
    ngx_array_t         *messages;
    ngx_mcp_session_t   *s;
    ngx_mcp_envelope_t  *env;
    ngx_mcp_delivery_e   rc;

    s = of(word[2])->s;
    env = json_envelope(word[3], &messages);

    if (nwords > 4) {
        env->unconfirmed = 1;
        env->start_before = ngx_current_msec + number(4);
    }

    if (damaged) {
        ngx_memset(env->data + env->size - 4, 1, 4);
    }

    rc = ngx_mcp_inbox_accept(s, env);

    if (rc == NGX_MCP_DELIVERY_ACCEPTED) {
        ngx_mcp_sessions_receive(s, env);

    } else {
        ngx_mcp_envelope_free(env);
    }

    return delivery_name(rc);
}


static void
post_tell(ngx_mcp_sink_t *sink, ngx_mcp_task_t *task, ngx_mcp_event_t *ev,
    ngx_uint_t is_answer)
{
    ngx_str_t  data;

    if (ev == NULL) {
        prints(((post_t *) sink)->name, '(', (u_char *) "", 0, ')');
        return;
    }

    ngx_mcp_event_data(ev, &data);
    prints(((post_t *) sink)->name, is_answer ? '(' : '{', data.data, data.len,
           is_answer ? ')' : '}');
    ngx_free(ev);
}


static ngx_int_t
post_room(ngx_mcp_sink_t *sink, size_t size)
{
    return NGX_OK;
}


static void
post_ended(ngx_mcp_sink_t *sink)
{
    happens(" %s.", ((post_t *) sink)->name);
}


/* http NAME KEY|- USER JSON [second]: a POST, of another location */

static const char *
command_http(void)
{
    post_t                     *post;
    ngx_int_t                   rc;
    u_char                     *pos;
    ngx_array_t                *messages;
    ngx_mcp_ctx_t              *ctx;
    ngx_http_request_t         *r;
    ngx_mcp_session_t          *s;
    ngx_mcp_envelope_t         *env;
    ngx_mcp_jsonrpc_message_t   m;

    r = request(word[4]);
    ctx = r->ctx[0];

    if (nwords > 6) {
        r->loc_conf[0] = &second_conf;
    }

    post = &posts[nposts++ % MAX_SESSIONS];
    ngx_memzero(post, sizeof(post_t));
    snprintf(post->name, sizeof(post->name), "%s", word[2]);
    ngx_queue_init(&post->sink.tasks);
    ngx_queue_init(&post->sink.in_flight);
    post->sink.conf = r->loc_conf[0];
    post->sink.tell = post_tell;
    post->sink.ended = post_ended;
    post->sink.progress = 1;
    post->sink.room = post_room;
    post->sink.streamable = 1;
    post->sink.open = 1;

    if (strcmp(word[3], "-") != 0) {
        ctx->has_session_id = 1;
        ngx_memcpy(ctx->sid.key, key_of(word[3]), NGX_MCP_DIGEST_LEN);
        ngx_memcpy(ctx->sid.hash, "0123456789abcdef", NGX_MCP_HASH_LEN);
        ngx_memcpy(post->key, ctx->sid.key, NGX_MCP_DIGEST_LEN);
        post->sink.session_key = post->key;
    }

    env = json_envelope(word[5], &messages);
    rc = ngx_mcp_repeats_enter(r, &post->sink, messages);

    if (rc == NGX_OK) {
        rc = ngx_mcp_session_http_get(r, &s);
    }

    if (rc == NGX_OK && strcmp(name_of(s), "?") == 0) {
        named_[nnamed % MAX_SESSIONS].s = s;
        snprintf(named_[nnamed++ % MAX_SESSIONS].name, 32, "s%s", word[3]);
    }

    if (rc == NGX_OK) {
        rc = ngx_mcp_session_http_accept(s, env);
    }

    if (rc != NGX_OK) {
        ngx_mcp_in_flight_free_all(&post->sink.in_flight);
        ngx_mcp_envelope_free(env);
        return rc_name(rc);
    }

    pos = NULL;

    while (ngx_mcp_envelope_message(env, &pos, &m) == NGX_OK) {
        ngx_mcp_dispatch_message(s, env, &post->sink, &m);
    }

    ngx_mcp_envelope_free(env);
    ngx_mcp_dispatch_next(s);
    ngx_mcp_session_check(s);

    return "ok";
}


static const char *
command_answer(void)
{
    size_t           len;
    ngx_mcp_call_t  *call;

    call = call_of(word[2]);
    call->status = number(3);
    call->proxied = 1;
    call->answered = 1;

    if (nwords > 4) {
        len = strlen(word[4]);
        call->answer = ngx_mcp_event_alloc(len + 256, &log_);
        call->answer->last = ngx_cpymem(call->answer->last, word[4], len);
        call->length = len;
    }

    call->end = NGX_MCP_CALL_DONE;
    call->event.data = call;
    call_event(&call->event);

    return "ok";
}


static const char *
command_call(void)
{
    ngx_mcp_call_t  *call;

    call = call_of(word[2]);

    happens(" %.*s?%.*s %d %d %.*s", (int) call->uri.len, call->uri.data,
            (int) call->args.len, call->args.data, (int) call->timeout,
            (int) call->max_answer, (int) call->address.len,
            call->address.data);
    happens(" %s", call->request->headers_in.server.data);
    happens(" %.*s", (int) call->body.len, call->body.data);
    happens(" %.*s:%.*s:%.*s", (int) call->ctx.vars.session.len,
            call->ctx.vars.session.data, (int) call->ctx.vars.user.len,
            call->ctx.vars.user.data, (int) call->ctx.vars.site.len,
            call->ctx.vars.site.data);

    return "call";
}


static const char *
command_counter(void)
{
    ngx_uint_t           i;
    ngx_mcp_counters_t  *counters;

    static struct { const char *name; ngx_uint_t n; }  names[] = {
        { "opened", NGX_MCP_COUNT_OPENED },
        { "requests", NGX_MCP_COUNT_REQUESTS },
        { "notifications", NGX_MCP_COUNT_NOTIFICATIONS },
        { "repeated", NGX_MCP_COUNT_REPEATED },
        { "cancelled", NGX_MCP_COUNT_CANCELLED },
        { "abandoned", NGX_MCP_COUNT_ABANDONED },
        { "expired", NGX_MCP_COUNT_REDIS_EXPIRED },
        { "not-started", NGX_MCP_COUNT_NOT_STARTED },
        { NULL, 0 }
    };

    counters = &ngx_mcp_zone()->root->counters;

    for (i = 0; names[i].name; i++) {
        if (counters->counts[names[i].n]) {
            happens(" %s=%d", names[i].name,
                    (int) counters->counts[names[i].n]);
        }
    }

    for (i = 0; i <= NGX_MCP_CLOSE_DELETED; i++) {
        if (counters->counts[NGX_MCP_COUNT_ENDED + i]) {
            happens(" %s=%d", reason_of(i),
                    (int) counters->counts[NGX_MCP_COUNT_ENDED + i]);
        }
    }

    return "counters";
}


static const char *
command_state(ngx_mcp_session_t *s)
{
    if (s == NULL) {
        return "freed";
    }

    happens(" pending=%d bytes=%d calls=%d messages=%d kept=%d%s%s%s%s",
            (int) s->pending, (int) s->bytes, (int) s->ncalls,
            (int) s->messages, (int) s->kept_size, s->open ? " open" : "",
            s->lost ? " lost" : "", s->waits ? " waits" : "",
            s->draining ? " draining" : "");

    return "state";
}


static const char *
other_command(void)
{
    named_t     *o;
    ngx_str_t    principal;
    ngx_uint_t   i;
    const char  *answer;

    static const char  *first[] = { "left", "slow", "end-stream", "state",
                                    "age", "updated", NULL };

    o = NULL;

    for (i = 0; first[i]; i++) {
        if (strcmp(word[1], first[i]) == 0) {
            o = of(word[2]);
        }
    }

    if (strcmp(word[1], "stream") == 0) {
        return command_stream();
    }

    if (strcmp(word[1], "post") == 0 || strcmp(word[1], "http") == 0) {
        scanned = ngx_create_pool(4096, &log_);
        answer = word[1][0] == 'p' ? command_post() : command_http();
        ngx_destroy_pool(scanned);
        return answer;
    }

    if (strcmp(word[1], "gone") == 0) {
        for (i = 0; i < nposts; i++) {
            if (strcmp(posts[i].name, word[2]) == 0) {
                posts[i].sink.open = 0;
                ngx_mcp_task_detach(&posts[i].sink);
            }
        }

        return "ok";
    }

    if (strcmp(word[1], "answer") == 0) {
        return command_answer();
    }

    if (strcmp(word[1], "fail") == 0) {
        ngx_mcp_call_end(call_of(word[2]), number(3));
        return "ok";
    }

    if (strcmp(word[1], "call-of") == 0) {
        return command_call();
    }

    if (strcmp(word[1], "holds") == 0) {
        happens(" %d", (int) holds);
        return "holds";
    }

    if (strcmp(word[1], "counters") == 0) {
        return command_counter();
    }

    if (strcmp(word[1], "state") == 0) {
        return command_state(o->s);
    }

    if (strcmp(word[1], "left") == 0 || strcmp(word[1], "slow") == 0) {
        *o->stream.owner.stream = NULL;
        o->stream.owner.closed(o->stream.owner.data,
                               word[1][0] == 'l' ? NGX_MCP_CLOSE_CLIENT_LEFT
                                                 : NGX_MCP_CLOSE_SLOW_CLIENT);
        return "ok";
    }

    if (strcmp(word[1], "end-stream") == 0) {
        ngx_mcp_session_close(o->s, number(3));
        return "ok";
    }

    if (strcmp(word[1], "age") == 0) {
        o->s->sid.issued -= number(3);
        return "ok";
    }

    if (strcmp(word[1], "rechecked") == 0) {
        principal = string(5);
        ngx_mcp_session_credential_rechecked(key_of(word[2]), key_of(word[3]),
                                             number(4), &principal);
        return "ok";
    }

    if (strcmp(word[1], "drain-sessions") == 0) {
        ngx_exiting = 1;
        ngx_mcp_session_timers_drain(number(2));
        return "ok";
    }

    if (strcmp(word[1], "stop") == 0) {
        ngx_mcp_session_timers_stop();
        return ngx_mcp_session_timers_stopped() ? "ok" : "not stopped";
    }

    if (strcmp(word[1], "stop-posts") == 0) {
        ngx_mcp_session_http_stop();
        return "ok";
    }

    if (strcmp(word[1], "updated") == 0) {
        principal = string(3);
        ngx_mcp_subscribe_updated(o->s, key_of(word[3]), &principal,
                                  sends_update);
        return "ok";
    }

    if (strcmp(word[1], "stop-checks") == 0) {
        ngx_mcp_subscribe_check_stop();
        return "ok";
    }

    if (strcmp(word[1], "set") == 0) {
        if (strcmp(word[2], "credential") == 0) {
            snprintf(credential, sizeof(credential), "%s", word[3]);

        } else if (strcmp(word[2], "no-stream") == 0) {
            no_stream = number(3);

        } else if (strcmp(word[2], "no-call") == 0) {
            no_call = number(3);

        } else if (strcmp(word[2], "damaged") == 0) {
            damaged = number(3);

        } else if (strcmp(word[2], "recheck") == 0) {
            loc_conf.auth_recheck = number(3);

        } else if (strcmp(word[2], "grace") == 0) {
            loc_conf.grace = number(3);

        } else if (strcmp(word[2], "ttl") == 0) {
            loc_conf.session_ttl = number(3);

        } else if (strcmp(word[2], "idle") == 0) {
            loc_conf.idle_timeout = number(3);
        }

        return "ok";
    }

    return NULL;
}

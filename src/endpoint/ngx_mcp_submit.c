
/*
 * The messages of an exchange are copied to an envelope that its tasks keep:
 * they may outlive the request.
 */

#include "ngx_mcp_submit.h"
#include "ngx_mcp_session_http.h"
#include "ngx_mcp_bus.h"
#include "ngx_mcp_counters.h"
#include "ngx_mcp_dispatch.h"
#include "ngx_mcp_exchange.h"
#include "ngx_mcp_negotiate.h"
#include "ngx_mcp_forward_headers.h"
#include "ngx_mcp_reply.h"
#include "ngx_mcp_response.h"
#include "ngx_mcp_json_text.h"
#include "ngx_mcp_protocol_version.h"


static ngx_int_t ngx_mcp_submit_session(ngx_mcp_exchange_t *x,
    ngx_mcp_jsonrpc_message_t *message);
static ngx_uint_t ngx_mcp_submit_calls(ngx_http_request_t *r,
    ngx_array_t *messages);
static ngx_uint_t ngx_mcp_submit_forwards(ngx_mcp_loc_conf_t *conf,
    ngx_mcp_jsonrpc_message_t *message);
static ngx_int_t ngx_mcp_submit_envelope(ngx_http_request_t *r,
    ngx_array_t *messages, ngx_mcp_session_t **s, ngx_mcp_envelope_t **env);
static void ngx_mcp_submit_run(ngx_mcp_exchange_t *x, ngx_array_t *messages,
    ngx_mcp_session_t *s, ngx_mcp_envelope_t *env);
static void ngx_mcp_submit_one(ngx_mcp_exchange_t *x, ngx_mcp_session_t *s,
    ngx_mcp_envelope_t *env, ngx_mcp_jsonrpc_message_t *message);
static void ngx_mcp_submit_own(ngx_mcp_exchange_t *x,
    ngx_mcp_jsonrpc_message_t *message);
static void ngx_mcp_submit_task(ngx_mcp_exchange_t *x, ngx_mcp_session_t *s,
    ngx_mcp_envelope_t *env, ngx_mcp_jsonrpc_message_t *message);


ngx_int_t
ngx_mcp_submit(ngx_http_request_t *r, ngx_array_t *messages, ngx_uint_t batch)
{
    ngx_int_t            rc;
    ngx_mcp_session_t   *s;
    ngx_mcp_exchange_t  *x;
    ngx_mcp_envelope_t  *env;

    x = ngx_mcp_exchange_create(r);

    if (x == NULL || ngx_mcp_submit_session(x, messages->elts) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    x->batch = batch;

    s = NULL;
    env = NULL;

    rc = ngx_mcp_submit_envelope(r, messages, &s, &env);

    switch (rc) {

    case NGX_OK:
        break;

    case NGX_DECLINED:
        return ngx_mcp_refuse(r, NGX_MCP_HTTP_FIELDS_TOO_LARGE,
                              NGX_MCP_ERR_INVALID_REQUEST,
                              "Headers too large");

    case NGX_BUSY:
        ngx_mcp_count(s ? NGX_MCP_COUNT_INBOX_FULL
                                 : NGX_MCP_COUNT_SESSIONS_FULL);

        return ngx_mcp_refuse(r, NGX_HTTP_TOO_MANY_REQUESTS,
                              NGX_MCP_ERR_TOO_MANY,
                              s ? "Too many messages"
                                         : "Too many sessions");

    default:
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    /* its stream is not one that nobody uses */

    if (x->ctx->has_session_id) {
        ngx_mcp_registry_active(x->ctx->sid.key, messages->nelts);
    }

    ngx_mcp_submit_run(x, messages, s, env);

    if (!x->asked) {
        x->answered = 1;

        return x->failed ? NGX_HTTP_INTERNAL_SERVER_ERROR
                         : ngx_mcp_respond(r, NGX_HTTP_ACCEPTED, NULL);
    }

    return ngx_mcp_exchange_wait(x);
}


/*
 * An initialize gets a session id, which is known before its answer is: any
 * worker and instance takes it without having heard of it.
 */

static ngx_int_t
ngx_mcp_submit_session(ngx_mcp_exchange_t *x,
    ngx_mcp_jsonrpc_message_t *message)
{
    u_char               *hash;
    ngx_str_t             offered;
    ngx_mcp_session_id_t  sid;
    ngx_mcp_zone_t       *zone;

    if (message->type != NGX_MCP_JSONRPC_REQUEST
        || !ngx_mcp_str_is(&message->method, "initialize"))
    {
        return NGX_OK;
    }

    x->session.data = ngx_pnalloc(x->request->pool,
                                  NGX_MCP_SESSION_ID_LEN
                                  + NGX_MCP_HASH_LEN);
    if (x->session.data == NULL) {
        return NGX_ERROR;
    }

    x->session.len = NGX_MCP_SESSION_ID_LEN;
    hash = x->session.data + NGX_MCP_SESSION_ID_LEN;

    zone = ngx_mcp_zone();

    if (ngx_mcp_session_id_make(&sid, x->session.data, zone->secrets->elts,
                                zone->root->instance, ngx_time(),
                                "streamable", &x->ctx->vars.site,
                                &x->ctx->vars.user)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_memcpy(hash, sid.hash, NGX_MCP_HASH_LEN);

    x->ctx->vars.session.data = hash;
    x->ctx->vars.session.len = NGX_MCP_HASH_LEN;

    ngx_str_null(&offered);

    if (ngx_mcp_protocol_version_offered(x->request->pool, &message->params,
                                         &offered)
        == NGX_ERROR)
    {
        return NGX_ERROR;
    }

    x->newest = ngx_mcp_negotiate_limit(&offered);

    return NGX_OK;
}


/*
 * The messages for the backend are copied, since they may outlive r.
 */

static ngx_int_t
ngx_mcp_submit_envelope(ngx_http_request_t *r, ngx_array_t *messages,
    ngx_mcp_session_t **s, ngx_mcp_envelope_t **env)
{
    ngx_int_t  rc;

    if (!ngx_mcp_submit_calls(r, messages)) {
        return NGX_OK;
    }

    rc = ngx_mcp_forward_headers(r, messages, env);
    if (rc != NGX_OK) {
        return rc;
    }

    rc = ngx_mcp_session_http_get(r, s);

    if (rc == NGX_OK) {
        rc = ngx_mcp_session_http_room(*s, *env);
    }

    if (rc != NGX_OK) {
        ngx_mcp_envelope_free(*env);

        if (*s) {
            ngx_mcp_session_check(*s);
        }
    }

    return rc;
}


static ngx_uint_t
ngx_mcp_submit_calls(ngx_http_request_t *r, ngx_array_t *messages)
{
    ngx_uint_t                  i;
    ngx_mcp_jsonrpc_message_t  *message;
    ngx_mcp_loc_conf_t         *conf;

    conf = ngx_http_get_module_loc_conf(r, ngx_http_mcp_sse_module);

    message = messages->elts;

    for (i = 0; i < messages->nelts; i++) {
        if (ngx_mcp_submit_forwards(conf, &message[i])) {
            return 1;
        }
    }

    return 0;
}


/*
 * Whether a message is for the backend.
 */

static ngx_uint_t
ngx_mcp_submit_forwards(ngx_mcp_loc_conf_t *conf,
    ngx_mcp_jsonrpc_message_t *message)
{
    switch (message->type) {

    case NGX_MCP_JSONRPC_REQUEST:
        return (ngx_mcp_dispatch_flag(&message->method) & conf->local) == 0;

    case NGX_MCP_JSONRPC_NOTIFICATION:
        return !ngx_mcp_str_is(&message->method, "notifications/initialized")
               && !ngx_mcp_str_is(&message->method, "notifications/cancelled");

    default: /* NGX_MCP_JSONRPC_RESPONSE */
        return 0;
    }
}


/*
 * Releases the caller's reference to env.
 */

static void
ngx_mcp_submit_run(ngx_mcp_exchange_t *x, ngx_array_t *messages,
    ngx_mcp_session_t *s, ngx_mcp_envelope_t *env)
{
    u_char                     *pos;
    ngx_uint_t                  i;
    ngx_mcp_jsonrpc_message_t  *message, copy;

    pos = NULL;
    message = messages->elts;

    for (i = 0; i < messages->nelts; i++) {

        if (env == NULL) {
            ngx_mcp_submit_one(x, NULL, NULL, &message[i]);
            continue;
        }

        if (ngx_mcp_envelope_message(env, &pos, &copy) != NGX_OK) {
            x->failed = 1;
            break;
        }

        ngx_mcp_submit_one(x, s, env, &copy);
    }

    if (env) {
        ngx_mcp_envelope_free(env);

        ngx_mcp_dispatch_next(s);
        ngx_mcp_session_check(s);
    }
}


static void
ngx_mcp_submit_one(ngx_mcp_exchange_t *x, ngx_mcp_session_t *s,
    ngx_mcp_envelope_t *env, ngx_mcp_jsonrpc_message_t *message)
{
    ngx_mcp_count(NGX_MCP_COUNT_REQUESTS
                  + message->type - NGX_MCP_JSONRPC_REQUEST);

    if (message->type == NGX_MCP_JSONRPC_REQUEST) {
        x->asked = 1;
    }

    /* without an actor none of them is for the backend */

    if (s == NULL || !ngx_mcp_submit_forwards(x->conf, message)) {
        ngx_mcp_submit_own(x, message);
        return;
    }

    /* within a session, an id stands for one request at a time */

    if (message->type == NGX_MCP_JSONRPC_REQUEST
        && !s->anonymous
        && ngx_mcp_dispatch_known(s, &message->id))
    {
        ngx_log_error(NGX_LOG_INFO, x->request->connection->log, 0,
                      "mcp sse: session %*s repeats a request whose answer is "
                      "still to come, not run",
                      (size_t) NGX_MCP_HASH_LEN, s->sid.hash);

        ngx_mcp_count(NGX_MCP_COUNT_REPEATED);

        ngx_mcp_exchange_push(x,
            ngx_mcp_reply_error(&message->id,
                                NGX_MCP_ERR_INVALID_REQUEST,
                                "Request id is in use", ""));
        return;
    }

    ngx_mcp_submit_task(x, s, env, message);
}


/*
 * What is not for the backend.
 */

static void
ngx_mcp_submit_own(ngx_mcp_exchange_t *x, ngx_mcp_jsonrpc_message_t *message)
{
    if (message->type == NGX_MCP_JSONRPC_REQUEST) {
        ngx_mcp_count_call(&message->method, NGX_MCP_RESULT_LOCAL);

        ngx_mcp_exchange_push(x,
            ngx_mcp_reply_local(x->conf, &message->id,
                          ngx_mcp_dispatch_flag(&message->method)));
        return;
    }

    /* whichever worker has it; this one, too, learns of it by an event */

    if (message->type == NGX_MCP_JSONRPC_NOTIFICATION
        && message->request_id.data
        && x->ctx->has_session_id
        && ngx_mcp_str_is(&message->method, "notifications/cancelled"))
    {
        ngx_mcp_bus_announce(NGX_MCP_ANNOUNCE_CANCEL,
                             x->ctx->sid.key,
                             message->request_id.data,
                             message->request_id.len);
    }
}


static void
ngx_mcp_submit_task(ngx_mcp_exchange_t *x, ngx_mcp_session_t *s,
    ngx_mcp_envelope_t *env, ngx_mcp_jsonrpc_message_t *message)
{
    ngx_mcp_task_t  *task;

    task = ngx_mcp_task_create(s, env, message);

    if (task == NULL) {
        x->failed = 1;
        return;
    }

    (void) ngx_atomic_fetch_add(&ngx_mcp_workers_self()->pending, 1);

    if (task->silent) {
        return;
    }

    x->ntasks++;
    ngx_mcp_task_attach(task, &x->sink);

    /* progress needs a stream */

    if (!x->ctx->accept_stream) {
        ngx_mcp_timer_del(&task->progress);
    }
}

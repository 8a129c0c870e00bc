
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * logging/setLevel, resources/subscribe and resources/unsubscribe of the older
 * era: what is asked is kept in the zone, and in Redis for other instances.
 *
 * A subscription needs a resource that the user may read, which only the
 * backend knows: it gets resources/read with the params of the client, for the
 * id of its request.
 */

#include "ngx_mcp_subscribe.h"
#include "ngx_mcp_events.h"
#include "ngx_mcp_json_text.h"
#include "ngx_mcp_remote_subscriptions.h"
#include "ngx_mcp_reply.h"
#include "ngx_mcp_request_meta.h"
#include "ngx_mcp_subscribe_check.h"


#define NGX_MCP_SUBSCRIBE_POOL_SIZE  1024


typedef enum {
    NGX_MCP_SUBSCRIBE_OTHER = 0,
    NGX_MCP_SUBSCRIBE_LEVEL,
    NGX_MCP_SUBSCRIBE_ADD,
    NGX_MCP_SUBSCRIBE_REMOVE
} ngx_mcp_subscribe_method_e;


/* of the session: see shm/ngx_mcp_subscriptions.h */

typedef struct {
    u_char       user[NGX_MCP_DIGEST_LEN];
    time_t       expires;
} ngx_mcp_subscribe_session_t;


static ngx_uint_t ngx_mcp_subscribe_method(ngx_str_t *method);
static ngx_int_t ngx_mcp_subscribe_level(ngx_mcp_session_t *s,
    ngx_mcp_sink_t *sink, ngx_mcp_jsonrpc_message_t *message);
static ngx_int_t ngx_mcp_subscribe_add(ngx_mcp_session_t *s,
    ngx_mcp_sink_t *sink, ngx_mcp_jsonrpc_message_t *message);
static ngx_int_t ngx_mcp_subscribe_remove(ngx_mcp_session_t *s,
    ngx_mcp_sink_t *sink, ngx_mcp_jsonrpc_message_t *message);
static ngx_int_t ngx_mcp_subscribe_params(ngx_str_t *params,
    ngx_uint_t *level, u_char *uri);
static ngx_int_t ngx_mcp_subscribe_session(ngx_mcp_session_t *s,
    ngx_mcp_subscribe_session_t *of);
static ngx_int_t ngx_mcp_subscribe_done(ngx_mcp_sink_t *sink,
    ngx_mcp_jsonrpc_message_t *message);
static ngx_int_t ngx_mcp_subscribe_refuse(ngx_mcp_sink_t *sink,
    ngx_mcp_jsonrpc_message_t *message, ngx_int_t code, const char *text);


static ngx_str_t  ngx_mcp_subscribe_read = ngx_string("\"resources/read\"");


ngx_uint_t
ngx_mcp_subscribe_handles(ngx_mcp_jsonrpc_message_t *message)
{
    return message->type == NGX_MCP_JSONRPC_REQUEST
           && ngx_mcp_subscribe_method(&message->method)
           && ngx_mcp_events_used();
}


static ngx_uint_t
ngx_mcp_subscribe_method(ngx_str_t *method)
{
    switch (method->len) {

    case sizeof("logging/setLevel") - 1:
        return ngx_mcp_str_is(method, "logging/setLevel")
               ? NGX_MCP_SUBSCRIBE_LEVEL : NGX_MCP_SUBSCRIBE_OTHER;

    case sizeof("resources/subscribe") - 1:
        return ngx_mcp_str_is(method, "resources/subscribe")
               ? NGX_MCP_SUBSCRIBE_ADD : NGX_MCP_SUBSCRIBE_OTHER;

    case sizeof("resources/unsubscribe") - 1:
        return ngx_mcp_str_is(method, "resources/unsubscribe")
               ? NGX_MCP_SUBSCRIBE_REMOVE : NGX_MCP_SUBSCRIBE_OTHER;

    default:
        return NGX_MCP_SUBSCRIBE_OTHER;
    }
}


ngx_int_t
ngx_mcp_subscribe(ngx_mcp_session_t *s, ngx_mcp_sink_t *sink,
    ngx_mcp_jsonrpc_message_t *message)
{
    ngx_int_t  rc;

    switch (ngx_mcp_subscribe_method(&message->method)) {

    case NGX_MCP_SUBSCRIBE_LEVEL:
        rc = ngx_mcp_subscribe_level(s, sink, message);
        break;

    case NGX_MCP_SUBSCRIBE_ADD:
        rc = ngx_mcp_subscribe_add(s, sink, message);
        break;

    default: /* NGX_MCP_SUBSCRIBE_REMOVE */
        rc = ngx_mcp_subscribe_remove(s, sink, message);
    }

    if (rc != NGX_OK) {
        message->raw_method = ngx_mcp_subscribe_read;
        return rc;
    }

    if (sink->streamable) {
        ngx_mcp_in_flight_free(ngx_mcp_in_flight_take(&sink->in_flight));
    }

    ngx_mcp_count_call(&message->method, sink->open ? NGX_MCP_RESULT_LOCAL
                                                    : NGX_MCP_RESULT_DROPPED);

    return NGX_OK;
}


/*
 * Without a session id there is nothing that the level could be kept for.
 */

static ngx_int_t
ngx_mcp_subscribe_level(ngx_mcp_session_t *s, ngx_mcp_sink_t *sink,
    ngx_mcp_jsonrpc_message_t *message)
{
    u_char                        uri[NGX_MCP_DIGEST_LEN];
    ngx_int_t                     rc;
    ngx_uint_t                    level;
    ngx_mcp_subscribe_session_t   of;

    rc = ngx_mcp_subscribe_params(&message->params, &level, uri);

    if (rc == NGX_ERROR) {
        return ngx_mcp_subscribe_refuse(sink, message, NGX_MCP_ERR_INTERNAL,
                                        "Internal server error");
    }

    if (level == NGX_MCP_LOG_UNKNOWN) {
        return ngx_mcp_subscribe_refuse(sink, message,
                                        NGX_MCP_ERR_INVALID_PARAMS,
                                        "Invalid params: no such level");
    }

    if (s->anonymous) {
        return ngx_mcp_subscribe_done(sink, message);
    }

    if (ngx_mcp_subscribe_session(s, &of) != NGX_OK
        || ngx_mcp_subscriptions_level(s->sid.key, of.user, of.expires, level)
           != NGX_OK)
    {
        return ngx_mcp_subscribe_refuse(sink, message, NGX_MCP_ERR_TOO_MANY,
                                        "No room for another level");
    }

    ngx_mcp_remote_subscriptions_level(s->sid.key, of.user, of.expires, level);

    return ngx_mcp_subscribe_done(sink, message);
}


static ngx_int_t
ngx_mcp_subscribe_add(ngx_mcp_session_t *s, ngx_mcp_sink_t *sink,
    ngx_mcp_jsonrpc_message_t *message)
{
    u_char       uri[NGX_MCP_DIGEST_LEN];
    ngx_int_t    rc;
    ngx_msec_t   age;
    ngx_uint_t   level;

    if (s->anonymous) {
        return ngx_mcp_subscribe_refuse(sink, message,
                                        NGX_MCP_ERR_INVALID_PARAMS,
                                        "Subscriptions need a session");
    }

    rc = ngx_mcp_subscribe_params(&message->params, &level, uri);

    if (rc == NGX_OK) {
        rc = ngx_mcp_subscriptions_find(s->sid.key, uri, &age);

        if (rc == NGX_OK && age < s->conf->auth_recheck) {
            return ngx_mcp_subscribe_done(sink, message);
        }

        if (rc != NGX_BUSY) {
            return NGX_DECLINED;
        }
    }

    switch (rc) {

    case NGX_BUSY:
        return ngx_mcp_subscribe_refuse(sink, message, NGX_MCP_ERR_TOO_MANY,
                                        "Too many subscriptions");

    case NGX_DECLINED:
        return ngx_mcp_subscribe_refuse(sink, message,
                                        NGX_MCP_ERR_INVALID_PARAMS,
                                        "Invalid params: no uri");

    default: /* NGX_ERROR */
        return ngx_mcp_subscribe_refuse(sink, message, NGX_MCP_ERR_INTERNAL,
                                        "Internal server error");
    }
}


static ngx_int_t
ngx_mcp_subscribe_remove(ngx_mcp_session_t *s, ngx_mcp_sink_t *sink,
    ngx_mcp_jsonrpc_message_t *message)
{
    u_char                        uri[NGX_MCP_DIGEST_LEN];
    ngx_uint_t                    level;
    ngx_mcp_subscribe_session_t   of;

    if (!s->anonymous
        && ngx_mcp_subscribe_params(&message->params, &level, uri) == NGX_OK
        && ngx_mcp_subscribe_session(s, &of) == NGX_OK)
    {
        ngx_mcp_subscriptions_remove(s->sid.key, uri);
        ngx_mcp_remote_subscriptions_remove(s->sid.key, of.user, of.expires,
                                            uri);
    }

    return ngx_mcp_subscribe_done(sink, message);
}


ngx_uint_t
ngx_mcp_subscribe_asked(ngx_mcp_task_t *task)
{
    return task->message.raw_method.data == ngx_mcp_subscribe_read.data;
}


ngx_mcp_event_t *
ngx_mcp_subscribe_answer(ngx_mcp_task_t *task)
{
    u_char                        uri[NGX_MCP_DIGEST_LEN];
    ngx_uint_t                    level;
    ngx_mcp_session_t            *s;
    ngx_mcp_subscribe_session_t   of;

    s = task->session;

    if (task->answer.tool_error) {
        return ngx_mcp_reply_error(task->sink, &task->message.id,
                                   NGX_MCP_ERR_INVALID_PARAMS,
                                   "The resource cannot be read", "");
    }

    if (ngx_mcp_subscribe_params(&task->message.params, &level, uri) != NGX_OK
        || ngx_mcp_subscribe_session(s, &of) != NGX_OK
        || ngx_mcp_subscriptions_add(s->sid.key, of.user, of.expires, uri)
           != NGX_OK)
    {
        return ngx_mcp_reply_error(task->sink, &task->message.id,
                                   NGX_MCP_ERR_TOO_MANY,
                                   "Too many subscriptions", "");
    }

    ngx_mcp_remote_subscriptions_add(s->sid.key, of.user, of.expires, uri);

    return ngx_mcp_reply_local(task->sink, &task->message.id,
                               NGX_MCP_LOCAL_LOGGING);
}


void
ngx_mcp_subscribe_recall(ngx_mcp_session_t *s)
{
    ngx_mcp_subscribe_session_t  of;

    if (ngx_mcp_events_used()
        && ngx_mcp_remote_subscriptions_asks(s->sid.key)
        && ngx_mcp_subscribe_session(s, &of) == NGX_OK)
    {
        ngx_mcp_remote_subscriptions_recall(s->sid.key, of.user, of.expires);
    }
}


/*
 * Reads the level of setLevel, and the digest of the URI.  Returns NGX_OK;
 * NGX_DECLINED: there is no URI, which setLevel does not need; NGX_ERROR.
 */

static ngx_int_t
ngx_mcp_subscribe_params(ngx_str_t *params, ngx_uint_t *level, u_char *uri)
{
    ngx_int_t                rc;
    ngx_pool_t              *pool;
    ngx_mcp_request_meta_t   meta;

    *level = NGX_MCP_LOG_UNKNOWN;

    pool = ngx_create_pool(NGX_MCP_SUBSCRIBE_POOL_SIZE, ngx_cycle->log);
    if (pool == NULL) {
        return NGX_ERROR;
    }

    rc = ngx_mcp_request_meta(pool, params, &meta);

    if (rc == NGX_OK) {
        *level = ngx_mcp_log_level(&meta.level);

        rc = meta.uri.data ? ngx_mcp_subscribe_digest(&meta.uri, uri)
                           : NGX_DECLINED;
    }

    ngx_destroy_pool(pool);

    return rc;
}


static ngx_int_t
ngx_mcp_subscribe_session(ngx_mcp_session_t *s,
    ngx_mcp_subscribe_session_t *of)
{
    of->expires = s->sid.issued + s->conf->session_ttl;

    return ngx_mcp_session_user(&s->site, &s->user, of->user);
}


static ngx_int_t
ngx_mcp_subscribe_done(ngx_mcp_sink_t *sink,
    ngx_mcp_jsonrpc_message_t *message)
{
    if (sink->open) {
        sink->tell(sink, NULL,
                   ngx_mcp_reply_local(sink, &message->id,
                                       NGX_MCP_LOCAL_LOGGING), 1);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_mcp_subscribe_refuse(ngx_mcp_sink_t *sink,
    ngx_mcp_jsonrpc_message_t *message, ngx_int_t code, const char *text)
{
    if (sink->open) {
        sink->tell(sink, NULL,
                   ngx_mcp_reply_error(sink, &message->id, code, text, ""), 1);
    }

    return NGX_OK;
}

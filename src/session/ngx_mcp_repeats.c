
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Requests that are sent again while their id is in flight.
 *
 * A client whose connection has broken sends its request again, with the same
 * id.  Tools must not run twice for that.  The worker that runs the request
 * knows its task; of other workers' requests the zone has the ids.
 */

#include "ngx_mcp_repeats.h"
#include "ngx_mcp_dispatch.h"
#include "ngx_mcp_reply.h"
#include "ngx_mcp_siphash.h"
#include "ngx_mcp_bus.h"


static ngx_int_t ngx_mcp_repeats_key(ngx_http_request_t *r, ngx_str_t *id,
    u_char *key);
static const char *ngx_mcp_repeats_attach(ngx_mcp_task_t *task,
    ngx_mcp_sink_t *sink, ngx_mcp_jsonrpc_message_t *message);
static ngx_uint_t ngx_mcp_repeats_same(ngx_mcp_jsonrpc_message_t *a,
    ngx_mcp_jsonrpc_message_t *b);


ngx_int_t
ngx_mcp_repeats_enter(ngx_http_request_t *r, ngx_mcp_sink_t *sink,
    ngx_array_t *messages)
{
    u_char                      key[NGX_MCP_DIGEST_LEN];
    ngx_uint_t                  i;
    ngx_mcp_jsonrpc_message_t  *message;

    if (sink->session_key == NULL) {
        return NGX_OK;
    }

    message = messages->elts;

    for (i = 0; i < messages->nelts; i++) {

        if (message[i].type != NGX_MCP_JSONRPC_REQUEST
            || !ngx_mcp_dispatch_forwards(sink->conf, &message[i]))
        {
            continue;
        }

        if (ngx_mcp_repeats_key(r, &message[i].id, key) != NGX_OK
            || ngx_mcp_in_flight_add(&sink->in_flight, key) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return ngx_mcp_in_flight_enter(&sink->in_flight, sink->session_key,
                                   messages->nelts);
}


/*
 * In the zone, an id of a session is represented by a hash, whose key is the
 * digest of the session id: only who has that could make another request take
 * the hash of this one.
 */

static ngx_int_t
ngx_mcp_repeats_key(ngx_http_request_t *r, ngx_str_t *id, u_char *key)
{
    u_char         *p;
    ngx_str_t       kind, value, text;
    ngx_mcp_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_mcp_sse_module);

    if (ngx_mcp_jsonrpc_id_value(r->pool, id, &kind, &value) != NGX_OK) {
        return NGX_ERROR;
    }

    text.len = kind.len + value.len;
    text.data = ngx_pnalloc(r->pool, text.len);

    if (text.data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_cpymem(text.data, kind.data, kind.len);
    ngx_memcpy(p, value.data, value.len);

    ngx_mcp_siphash(key, ctx->sid.key, &text);

    return NGX_OK;
}


ngx_uint_t
ngx_mcp_repeats_check(ngx_mcp_session_t *s, ngx_mcp_sink_t *sink,
    ngx_mcp_jsonrpc_message_t *message)
{
    u_char                data[sizeof("{\"reason\":\"\"}") + 16];
    const char           *reason;
    ngx_uint_t            used;
    ngx_mcp_task_t       *task;
    ngx_mcp_in_flight_t  *id;

    task = s->anonymous ? NULL : ngx_mcp_dispatch_find(s, &message->id);
    used = 0;

    if (sink->streamable && !ngx_queue_empty(&sink->in_flight)) {
        id = ngx_queue_data(ngx_queue_head(&sink->in_flight),
                            ngx_mcp_in_flight_t, siblings);
        used = id->used;
    }

    if (task == NULL && !used) {
        return 0;
    }

    ngx_mcp_count(NGX_MCP_COUNT_REPEATED);

    reason = "elsewhere";

    if (sink->streamable) {
        ngx_mcp_in_flight_free(ngx_mcp_in_flight_take(&sink->in_flight));

        if (task) {
            reason = ngx_mcp_repeats_attach(task, sink, message);
        }
    }

    ngx_log_error(NGX_LOG_INFO, ngx_cycle->log, 0,
                  "mcp sse: session %*s: request id is already in use, the "
                  "request is not executed%s",
                  (size_t) NGX_MCP_HASH_LEN, s->sid.hash,
                  reason ? "" : " again but gets the answer of the first one");

    /* a legacy client gets one answer, that to the first request */

    if (sink->streamable && reason) {
        ngx_sprintf(data, "{\"reason\":\"%s\"}%Z", reason);

        sink->tell(sink, NULL,
                   ngx_mcp_reply_error(sink, &message->id,
                                       NGX_MCP_ERR_INVALID_REQUEST,
                                       "Request id is in use", (char *) data),
                   1);
    }

    return 1;
}


/*
 * The client of the task may have gone and come back: gives the answer to the
 * sink.  Returns NULL, or the reason why not: docs/PROTOCOL.md 7.16.
 */

static const char *
ngx_mcp_repeats_attach(ngx_mcp_task_t *task, ngx_mcp_sink_t *sink,
    ngx_mcp_jsonrpc_message_t *message)
{
    if (!ngx_mcp_repeats_same(&task->message, message)) {
        return "different";
    }

    if (task->sink) {
        return "connected";
    }

    ngx_mcp_task_attach(task, sink);

    return NULL;
}


static ngx_uint_t
ngx_mcp_repeats_same(ngx_mcp_jsonrpc_message_t *a,
    ngx_mcp_jsonrpc_message_t *b)
{
    return a->method.len == b->method.len
           && ngx_memcmp(a->method.data, b->method.data, a->method.len) == 0
           && a->params.len == b->params.len
           && (a->params.len == 0
               || ngx_memcmp(a->params.data, b->params.data, a->params.len)
                  == 0);
}

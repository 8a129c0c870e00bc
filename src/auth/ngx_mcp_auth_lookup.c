
/*
 * A look-up is freed when its call has ended and its waiters were told.  It
 * does not own them: each leaves it before it goes away.
 */

#include "ngx_mcp_auth_lookup.h"
#include "ngx_mcp_call.h"
#include "ngx_mcp_counters.h"
#include "ngx_mcp_header.h"
#include "ngx_mcp_json_text.h"
#include "ngx_mcp_auth_cache.h"


#define NGX_MCP_AUTH_LOOKUP_MAX         32
#define NGX_MCP_AUTH_LOOKUP_MAX_QUEUED  1024
#define NGX_MCP_AUTH_LOOKUP_TIMEOUT_MS  10000
#define NGX_MCP_AUTH_LOOKUP_MAX_ANSWER  65536


struct ngx_mcp_auth_lookup_s {
    ngx_queue_t                     queue;      /* running or waiting */
    ngx_queue_t                     waiters;
    ngx_mcp_call_t                 *call;       /* NULL: it waits to start */

    ngx_http_core_srv_conf_t       *cscf;
    ngx_mcp_loc_conf_t             *conf;
    ngx_mcp_credential_t            credential;
    ngx_str_t                       site;
    ngx_str_t                       address;

    unsigned                        queued:1;
};


static ngx_mcp_auth_lookup_t *ngx_mcp_auth_lookup_find(u_char *digest);
static ngx_mcp_auth_lookup_t *ngx_mcp_auth_lookup_create(
    ngx_mcp_auth_question_t *question);
static ngx_int_t ngx_mcp_auth_lookup_start(ngx_mcp_auth_lookup_t *lookup);
static ngx_int_t ngx_mcp_auth_lookup_headers(ngx_mcp_auth_lookup_t *lookup,
    ngx_mcp_call_t *call);
static void ngx_mcp_auth_lookup_done(ngx_mcp_call_t *call);
static void ngx_mcp_auth_lookup_next(void);
static void ngx_mcp_auth_lookup_read(ngx_mcp_call_t *call,
    ngx_mcp_auth_result_t *verdict);
static ngx_uint_t ngx_mcp_auth_lookup_fault(ngx_mcp_call_t *call);
static void ngx_mcp_auth_lookup_tell(ngx_mcp_auth_lookup_t *lookup,
    ngx_mcp_auth_result_t *verdict);


static ngx_queue_t  ngx_mcp_auth_lookups_running = {
    &ngx_mcp_auth_lookups_running, &ngx_mcp_auth_lookups_running
};
static ngx_queue_t  ngx_mcp_auth_lookups_waiting = {
    &ngx_mcp_auth_lookups_waiting, &ngx_mcp_auth_lookups_waiting
};
static ngx_uint_t  ngx_mcp_auth_nlookups;
static ngx_uint_t  ngx_mcp_auth_nqueued;
static ngx_uint_t  ngx_mcp_auth_lookups_stopped;

static ngx_str_t  ngx_mcp_auth_lookup_accept = ngx_string("accept");
static ngx_str_t  ngx_mcp_auth_lookup_json = ngx_string("application/json");
static ngx_str_t  ngx_mcp_auth_lookup_host = ngx_string("host");
static ngx_str_t  ngx_mcp_auth_lookup_forwarded =
                                              ngx_string("x-forwarded-for");
static ngx_str_t  ngx_mcp_auth_lookup_cookie = ngx_string("cookie");
static ngx_str_t  ngx_mcp_auth_lookup_authorization =
                                              ngx_string("authorization");


ngx_int_t
ngx_mcp_auth_lookup(ngx_mcp_auth_question_t *question,
    ngx_mcp_auth_waiter_t *waiter)
{
    ngx_mcp_auth_lookup_t  *lookup;

    lookup = ngx_mcp_auth_lookup_find(question->credential->digest);

    if (lookup == NULL) {

        if (ngx_mcp_auth_lookups_stopped
            || ngx_mcp_auth_nqueued == NGX_MCP_AUTH_LOOKUP_MAX_QUEUED)
        {
            return NGX_BUSY;
        }

        lookup = ngx_mcp_auth_lookup_create(question);
        if (lookup == NULL) {
            return NGX_ERROR;
        }

        if (ngx_mcp_auth_nlookups == NGX_MCP_AUTH_LOOKUP_MAX) {
            ngx_queue_insert_tail(&ngx_mcp_auth_lookups_waiting,
                                  &lookup->queue);
            ngx_mcp_auth_nqueued++;
            lookup->queued = 1;

        } else if (ngx_mcp_auth_lookup_start(lookup) != NGX_OK) {
            ngx_free(lookup);
            return NGX_ERROR;
        }
    }

    waiter->lookup = lookup;
    ngx_queue_insert_tail(&lookup->waiters, &waiter->queue);

    return NGX_OK;
}


void
ngx_mcp_auth_lookup_leave(ngx_mcp_auth_waiter_t *waiter)
{
    ngx_mcp_auth_lookup_t  *lookup;

    lookup = waiter->lookup;

    if (lookup == NULL) {
        return;
    }

    ngx_queue_remove(&waiter->queue);
    waiter->lookup = NULL;

    /* one in flight goes on for the cache, one for nobody does not begin */

    if (lookup->call == NULL
        && lookup->queued
        && ngx_queue_empty(&lookup->waiters))
    {
        ngx_queue_remove(&lookup->queue);
        ngx_mcp_auth_nqueued--;
        ngx_free(lookup);
    }
}


static ngx_mcp_auth_lookup_t *
ngx_mcp_auth_lookup_find(u_char *digest)
{
    ngx_uint_t              i;
    ngx_queue_t            *q, *queues[2];
    ngx_mcp_auth_lookup_t  *lookup;

    queues[0] = &ngx_mcp_auth_lookups_running;
    queues[1] = &ngx_mcp_auth_lookups_waiting;

    for (i = 0; i < 2; i++) {

        for (q = ngx_queue_head(queues[i]);
             q != ngx_queue_sentinel(queues[i]);
             q = ngx_queue_next(q))
        {
            lookup = ngx_queue_data(q, ngx_mcp_auth_lookup_t, queue);

            if (ngx_memcmp(lookup->credential.digest, digest,
                           NGX_MCP_DIGEST_LEN)
                == 0)
            {
                return lookup;
            }
        }
    }

    return NULL;
}


static ngx_mcp_auth_lookup_t *
ngx_mcp_auth_lookup_create(ngx_mcp_auth_question_t *question)
{
    u_char                 *p;
    ngx_str_t              *value;
    ngx_mcp_auth_lookup_t  *lookup;

    value = &question->credential->value;

    lookup = ngx_calloc(sizeof(ngx_mcp_auth_lookup_t) + value->len
                        + question->site.len + question->address.len,
                        ngx_cycle->log);
    if (lookup == NULL) {
        return NULL;
    }

    ngx_queue_init(&lookup->waiters);

    lookup->cscf = question->cscf;
    lookup->conf = question->conf;
    lookup->credential = *question->credential;
    ngx_str_null(&lookup->credential.csrf_token);

    p = (u_char *) (lookup + 1);

    lookup->credential.value.data = p;
    p = ngx_cpymem(p, value->data, value->len);

    lookup->site.data = p;
    lookup->site.len = question->site.len;
    p = ngx_cpymem(p, question->site.data, question->site.len);

    lookup->address.data = p;
    lookup->address.len = question->address.len;

    if (question->address.len) {
        ngx_memcpy(p, question->address.data, question->address.len);
    }

    return lookup;
}


static ngx_int_t
ngx_mcp_auth_lookup_start(ngx_mcp_auth_lookup_t *lookup)
{
    ngx_mcp_call_t  *call;

    call = ngx_mcp_call_create(lookup->cscf, ngx_cycle->log);
    if (call == NULL) {
        return NGX_ERROR;
    }

    call->uri = lookup->conf->user_uri;
    call->args = lookup->conf->user_args;
    call->address = lookup->address;
    call->timeout = NGX_MCP_AUTH_LOOKUP_TIMEOUT_MS;
    call->max_answer = NGX_MCP_AUTH_LOOKUP_MAX_ANSWER;
    call->handler = ngx_mcp_auth_lookup_done;
    call->data = lookup;

    call->ctx.vars.site = lookup->site;

    if (ngx_mcp_auth_lookup_headers(lookup, call) != NGX_OK) {
        ngx_mcp_call_free(call);
        return NGX_ERROR;
    }

    if (ngx_mcp_call_start(call) != NGX_OK) {
        return NGX_ERROR;
    }

    lookup->call = call;

    ngx_queue_insert_tail(&ngx_mcp_auth_lookups_running, &lookup->queue);
    ngx_mcp_auth_nlookups++;

    return NGX_OK;
}


static ngx_int_t
ngx_mcp_auth_lookup_headers(ngx_mcp_auth_lookup_t *lookup,
    ngx_mcp_call_t *call)
{
    ngx_http_request_t  *r;

    r = call->request;

    if (ngx_mcp_header_push(r, &ngx_mcp_auth_lookup_host,
                            &lookup->site)
        != NGX_OK
        || ngx_mcp_header_push(r, &ngx_mcp_auth_lookup_accept,
                               &ngx_mcp_auth_lookup_json)
           != NGX_OK
        || (lookup->address.len
            && ngx_mcp_header_push(r,
                                        &ngx_mcp_auth_lookup_forwarded,
                                        &lookup->address)
               != NGX_OK))
    {
        return NGX_ERROR;
    }

    return ngx_mcp_header_push(r,
                         lookup->credential.cookie
                             ? &ngx_mcp_auth_lookup_cookie
                             : &ngx_mcp_auth_lookup_authorization,
                         &lookup->credential.value);
}


static void
ngx_mcp_auth_lookup_done(ngx_mcp_call_t *call)
{
    ngx_mcp_auth_lookup_t       *lookup;
    ngx_mcp_auth_result_t        verdict;

    lookup = call->data;

    ngx_queue_remove(&lookup->queue);
    ngx_mcp_auth_nlookups--;

    ngx_mcp_auth_lookup_read(call, &verdict);

    ngx_mcp_count(verdict.status == 0
                               ? NGX_MCP_COUNT_LOOKUP_GOOD
                  : verdict.status < NGX_HTTP_INTERNAL_SERVER_ERROR
                               ? NGX_MCP_COUNT_LOOKUP_BAD
                               : NGX_MCP_COUNT_LOOKUP_FAILED);

    if (verdict.status < NGX_HTTP_INTERNAL_SERVER_ERROR) {
        ngx_mcp_auth_cache_put(lookup->credential.digest, &verdict);
    }

    ngx_mcp_auth_lookup_tell(lookup, &verdict);

    ngx_free(lookup);

    ngx_mcp_auth_lookup_next();
}


static void
ngx_mcp_auth_lookup_next(void)
{
    ngx_queue_t                 *q;
    ngx_mcp_auth_lookup_t       *lookup;
    ngx_mcp_auth_result_t        verdict;

    while (ngx_mcp_auth_nlookups < NGX_MCP_AUTH_LOOKUP_MAX
           && !ngx_mcp_auth_lookups_stopped
           && !ngx_queue_empty(&ngx_mcp_auth_lookups_waiting))
    {
        q = ngx_queue_head(&ngx_mcp_auth_lookups_waiting);
        ngx_queue_remove(q);

        ngx_mcp_auth_nqueued--;

        lookup = ngx_queue_data(q, ngx_mcp_auth_lookup_t, queue);
        lookup->queued = 0;

        if (ngx_mcp_auth_lookup_start(lookup) == NGX_OK) {
            continue;
        }

        ngx_memzero(&verdict, sizeof(ngx_mcp_auth_result_t));
        verdict.status = NGX_HTTP_SERVICE_UNAVAILABLE;

        ngx_mcp_auth_lookup_tell(lookup, &verdict);
        ngx_free(lookup);
    }
}


/*
 * Those that wait to start have no waiters any more: all were woken.
 */

void
ngx_mcp_auth_lookup_stop(void)
{
    ngx_queue_t            *q;
    ngx_mcp_auth_lookup_t  *lookup;

    ngx_mcp_auth_lookups_stopped = 1;

    for (q = ngx_queue_head(&ngx_mcp_auth_lookups_running);
         q != ngx_queue_sentinel(&ngx_mcp_auth_lookups_running);
         q = ngx_queue_next(q))
    {
        lookup = ngx_queue_data(q, ngx_mcp_auth_lookup_t, queue);

        ngx_mcp_call_end(lookup->call, NGX_MCP_CALL_CANCELLED);
    }
}


static void
ngx_mcp_auth_lookup_tell(ngx_mcp_auth_lookup_t *lookup,
    ngx_mcp_auth_result_t *verdict)
{
    ngx_queue_t            *q;
    ngx_mcp_auth_waiter_t  *waiter;

    while (!ngx_queue_empty(&lookup->waiters)) {
        q = ngx_queue_head(&lookup->waiters);

        waiter = ngx_queue_data(q, ngx_mcp_auth_waiter_t, queue);

        ngx_mcp_auth_lookup_leave(waiter);

        waiter->handler(waiter->data, verdict);
    }
}


/*
 * Guest is nobody, and a refusal is only what Frappe itself says: anything
 * else means that it cannot be asked.
 */

static void
ngx_mcp_auth_lookup_read(ngx_mcp_call_t *call, ngx_mcp_auth_result_t *verdict)
{
    ngx_int_t   rc;
    ngx_str_t   body;

    ngx_memzero(verdict, sizeof(ngx_mcp_auth_result_t));

    if (call->end == NGX_MCP_CALL_DONE
        && (call->status == NGX_HTTP_UNAUTHORIZED
            || call->status == NGX_HTTP_FORBIDDEN))
    {
        verdict->status = NGX_HTTP_UNAUTHORIZED;
        verdict->challenge = call->challenge;
        return;
    }

    if (call->end != NGX_MCP_CALL_DONE
        || call->status != NGX_HTTP_OK
        || call->answer == NULL)
    {
        verdict->status = ngx_mcp_auth_lookup_fault(call);
        return;
    }

    body.data = call->answer->pos;
    body.len = call->answer->last - call->answer->pos;

    rc = ngx_mcp_jsonrpc_string(call->pool, &body, "message",
                                &verdict->principal);

    if (rc != NGX_OK) {
        verdict->status = NGX_HTTP_BAD_GATEWAY;
        ngx_log_error(NGX_LOG_ERR, &call->log, 0,
                      "mcp sse: user look-up at \"%V\" answered without a "
                      "user", &call->uri);
        return;
    }

    if (!ngx_mcp_json_text_one_line(&verdict->principal)
        || ngx_mcp_str_is(&verdict->principal, "Guest"))
    {
        verdict->status = NGX_HTTP_UNAUTHORIZED;
    }
}


static ngx_uint_t
ngx_mcp_auth_lookup_fault(ngx_mcp_call_t *call)
{
    if (call->end == NGX_MCP_CALL_CANCELLED) {
        return NGX_HTTP_SERVICE_UNAVAILABLE;
    }

    if (call->end != NGX_MCP_CALL_DONE) {
        ngx_log_error(NGX_LOG_ERR, &call->log, 0,
                      "mcp sse: user look-up at \"%V\" %s", &call->uri,
                      call->end == NGX_MCP_CALL_TIMED_OUT
                          ? "timed out" : "failed");

        return (call->end == NGX_MCP_CALL_TIMED_OUT)
               ? NGX_HTTP_GATEWAY_TIME_OUT : NGX_HTTP_BAD_GATEWAY;
    }

    ngx_mcp_call_log_error(call, "user look-up");

    switch (call->status) {

    case NGX_HTTP_SERVICE_UNAVAILABLE:
    case NGX_HTTP_GATEWAY_TIME_OUT:
        return call->status;

    case NGX_HTTP_TOO_MANY_REQUESTS:
        return NGX_HTTP_SERVICE_UNAVAILABLE;

    default:
        return NGX_HTTP_BAD_GATEWAY;
    }
}

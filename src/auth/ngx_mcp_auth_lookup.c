
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * User look-up at Frappe: one runs for a credential and worker, and at most
 * NGX_MCP_AUTH_LOOKUP_MAX in a worker; others wait in a queue.
 *
 * A look-up is freed when its call has ended and its waiters have got the
 * result.  It does not own the waiters: each leaves before it is freed.
 */

#include "ngx_mcp_auth_lookup.h"
#include "ngx_mcp_auth_answer.h"
#include "ngx_mcp_call.h"
#include "ngx_mcp_counters.h"
#include "ngx_mcp_header.h"
#include "ngx_mcp_auth_cache.h"


/* docs/PROTOCOL.md 2.8: look-ups that run, and that wait, in a worker */

#define NGX_MCP_AUTH_LOOKUP_MAX         32
#define NGX_MCP_AUTH_LOOKUP_MAX_QUEUED  1024

#define NGX_MCP_AUTH_LOOKUP_TIMEOUT_MS  10000      /* docs/PROTOCOL.md 2.12 */
#define NGX_MCP_AUTH_LOOKUP_MAX_ANSWER  65536      /* bytes */


struct ngx_mcp_auth_lookup_s {
    ngx_queue_t                     queue;      /* running or waiting */
    ngx_queue_t                     waiters;
    ngx_mcp_call_t                 *call;       /* NULL: not started */

    ngx_http_core_srv_conf_t       *cscf;
    ngx_mcp_loc_conf_t             *conf;
    ngx_mcp_credential_t            credential;
    ngx_str_t                       site;
    ngx_str_t                       address;

    unsigned                        queued:1;   /* waits to start */
};


static ngx_mcp_auth_lookup_t *ngx_mcp_auth_lookup_find(u_char *digest);
static ngx_mcp_auth_lookup_t *ngx_mcp_auth_lookup_create(
    ngx_mcp_auth_lookup_args_t *args);
static ngx_int_t ngx_mcp_auth_lookup_start(ngx_mcp_auth_lookup_t *lookup);
static ngx_int_t ngx_mcp_auth_lookup_headers(ngx_mcp_auth_lookup_t *lookup,
    ngx_mcp_call_t *call);
static void ngx_mcp_auth_lookup_handler(ngx_mcp_call_t *call);
static void ngx_mcp_auth_lookup_start_queued(void);
static void ngx_mcp_auth_lookup_notify(ngx_mcp_auth_lookup_t *lookup,
    ngx_mcp_auth_result_t *result);


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
ngx_mcp_auth_lookup(ngx_mcp_auth_lookup_args_t *args,
    ngx_mcp_auth_waiter_t *waiter)
{
    ngx_mcp_auth_lookup_t  *lookup;

    /* a queued one does not start any more */

    if (ngx_mcp_auth_lookups_stopped) {
        return NGX_BUSY;
    }

    lookup = ngx_mcp_auth_lookup_find(args->credential->digest);

    if (lookup == NULL) {

        if (ngx_mcp_auth_nqueued == NGX_MCP_AUTH_LOOKUP_MAX_QUEUED) {
            return NGX_BUSY;
        }

        lookup = ngx_mcp_auth_lookup_create(args);
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

    ngx_log_debug3(NGX_LOG_DEBUG_HTTP, ngx_cycle->log, 0,
                   "mcp look-up: queued:%d running:%ui joined:%d",
                   (int) lookup->queued, ngx_mcp_auth_nlookups,
                   !ngx_queue_empty(&lookup->waiters));

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

    /* a running look-up completes for the cache; a queued one is dropped */

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
ngx_mcp_auth_lookup_create(ngx_mcp_auth_lookup_args_t *args)
{
    u_char                 *p;
    ngx_str_t              *value;
    ngx_mcp_auth_lookup_t  *lookup;

    value = &args->credential->value;

    lookup = ngx_calloc(sizeof(ngx_mcp_auth_lookup_t) + value->len
                        + args->site.len + args->address.len,
                        ngx_cycle->log);
    if (lookup == NULL) {
        return NULL;
    }

    ngx_queue_init(&lookup->waiters);

    lookup->cscf = args->cscf;
    lookup->conf = args->conf;
    lookup->credential = *args->credential;
    ngx_str_null(&lookup->credential.csrf_token);

    p = (u_char *) (lookup + 1);

    lookup->credential.value.data = p;
    p = ngx_cpymem(p, value->data, value->len);

    lookup->site.data = p;
    lookup->site.len = args->site.len;
    p = ngx_cpymem(p, args->site.data, args->site.len);

    lookup->address.data = p;
    lookup->address.len = args->address.len;

    if (args->address.len) {
        ngx_memcpy(p, args->address.data, args->address.len);
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
    call->handler = ngx_mcp_auth_lookup_handler;
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
ngx_mcp_auth_lookup_handler(ngx_mcp_call_t *call)
{
    ngx_mcp_auth_lookup_t       *lookup;
    ngx_mcp_auth_result_t        result;

    lookup = call->data;

    ngx_queue_remove(&lookup->queue);
    ngx_mcp_auth_nlookups--;

    ngx_mcp_auth_answer(call, &result);

    ngx_log_debug1(NGX_LOG_DEBUG_HTTP, &call->log, 0,
                   "mcp look-up: ended, status:%ui", result.status);

    ngx_mcp_count(result.status == 0
                               ? NGX_MCP_COUNT_LOOKUP_GOOD
                  : result.status < NGX_HTTP_INTERNAL_SERVER_ERROR
                               ? NGX_MCP_COUNT_LOOKUP_BAD
                               : NGX_MCP_COUNT_LOOKUP_FAILED);

    if (result.status < NGX_HTTP_INTERNAL_SERVER_ERROR
        && ngx_mcp_auth_cache_put(lookup->credential.digest, &result))
    {
        ngx_log_error(NGX_LOG_WARN, &call->log, 0,
                      "mcp sse: Frappe knows the user \"%V\", but its MCP "
                      "endpoint has answered 401 to the same credential: check "
                      "that it takes tokens of this kind, or use an API key",
                      &result.principal);
    }

    ngx_mcp_auth_lookup_notify(lookup, &result);

    ngx_free(lookup);

    ngx_mcp_auth_lookup_start_queued();
}


static void
ngx_mcp_auth_lookup_start_queued(void)
{
    ngx_queue_t                 *q;
    ngx_mcp_auth_lookup_t       *lookup;
    ngx_mcp_auth_result_t        result;

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

        ngx_memzero(&result, sizeof(ngx_mcp_auth_result_t));
        result.status = NGX_HTTP_SERVICE_UNAVAILABLE;

        ngx_mcp_auth_lookup_notify(lookup, &result);
        ngx_free(lookup);
    }
}


/*
 * Queued look-ups do not start any more; the requests that waited for them
 * were resumed.
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
ngx_mcp_auth_lookup_notify(ngx_mcp_auth_lookup_t *lookup,
    ngx_mcp_auth_result_t *result)
{
    ngx_queue_t            *q;
    ngx_mcp_auth_waiter_t  *waiter;

    while (!ngx_queue_empty(&lookup->waiters)) {
        q = ngx_queue_head(&lookup->waiters);

        waiter = ngx_queue_data(q, ngx_mcp_auth_waiter_t, queue);

        ngx_mcp_auth_lookup_leave(waiter);

        waiter->handler(waiter->data, result);
    }
}

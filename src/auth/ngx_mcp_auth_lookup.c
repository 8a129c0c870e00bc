
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * User look-up at Frappe: one runs for a credential and worker, and at most
 * mcp_sse_auth_lookups in all workers; others wait in ngx_mcp_auth_queue.c.
 *
 * A look-up is freed when its call has ended and its waiters have got the
 * result.  It does not own the waiters: each leaves before it is freed.
 */

#include "ngx_mcp_auth_lookup.h"
#include "ngx_mcp_auth_answer.h"
#include "ngx_mcp_backend.h"
#include "ngx_mcp_call.h"
#include "ngx_mcp_counters.h"
#include "ngx_mcp_header.h"
#include "ngx_mcp_auth_cache.h"
#include "ngx_mcp_auth_queue.h"
#include "ngx_mcp_lookups.h"


/* another worker may have given a place back; 20 is the timer's precision */

#define NGX_MCP_AUTH_LOOKUP_AGAIN_MS    20

#define NGX_MCP_AUTH_LOOKUP_LOG_SEC     10         /* of a full queue */
#define NGX_MCP_AUTH_LOOKUP_TIMEOUT_MS  10000      /* docs/PROTOCOL.md 2.12 */
#define NGX_MCP_AUTH_LOOKUP_MAX_ANSWER  65536      /* bytes */


struct ngx_mcp_auth_lookup_s {
    ngx_queue_t                     queue;      /* running, waiting, dropped */
    ngx_mcp_auth_queue_entry_t      entry;      /* while it waits */
    ngx_queue_t                     waiters;
    ngx_mcp_call_t                 *call;       /* NULL: not started */

    ngx_http_core_srv_conf_t       *cscf;
    ngx_mcp_loc_conf_t             *conf;
    ngx_mcp_credential_t            credential;
    ngx_str_t                       site;
    ngx_str_t                       address;
};


static ngx_mcp_auth_lookup_t *ngx_mcp_auth_lookup_find(u_char *digest);
static ngx_mcp_auth_lookup_t *ngx_mcp_auth_lookup_create(
    ngx_mcp_auth_lookup_args_t *args);
static ngx_int_t ngx_mcp_auth_lookup_begin(ngx_mcp_auth_lookup_t *lookup,
    struct sockaddr *sa);
static void ngx_mcp_auth_lookup_drop(ngx_mcp_auth_queue_entry_t *entry);
static void ngx_mcp_auth_lookup_dropped(ngx_event_t *ev);
static void ngx_mcp_auth_lookup_fail(ngx_mcp_auth_lookup_t *lookup);
static void ngx_mcp_auth_lookup_log_full(void);
static void ngx_mcp_auth_lookup_waits(void);
static ngx_int_t ngx_mcp_auth_lookup_start(ngx_mcp_auth_lookup_t *lookup);
static ngx_mcp_call_t *ngx_mcp_auth_lookup_call(ngx_mcp_auth_lookup_t *lookup);
static ngx_int_t ngx_mcp_auth_lookup_headers(ngx_mcp_auth_lookup_t *lookup,
    ngx_mcp_call_t *call);
static void ngx_mcp_auth_lookup_handler(ngx_mcp_call_t *call);
static void ngx_mcp_auth_lookup_start_queued(void *data);
static void ngx_mcp_auth_lookup_notify(ngx_mcp_auth_lookup_t *lookup,
    ngx_mcp_auth_result_t *result);


static ngx_queue_t  ngx_mcp_auth_lookups_running = {
    &ngx_mcp_auth_lookups_running, &ngx_mcp_auth_lookups_running
};
static ngx_queue_t  ngx_mcp_auth_lookups_waiting = {
    &ngx_mcp_auth_lookups_waiting, &ngx_mcp_auth_lookups_waiting
};
static ngx_queue_t  ngx_mcp_auth_lookups_dropped = {
    &ngx_mcp_auth_lookups_dropped, &ngx_mcp_auth_lookups_dropped
};
static ngx_event_t      ngx_mcp_auth_lookup_drop_event;
static ngx_mcp_timer_t  ngx_mcp_auth_lookup_again;
static ngx_uint_t       ngx_mcp_auth_lookups_stopped;
static time_t           ngx_mcp_auth_lookup_logged_at;

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
    ngx_int_t               rc;
    ngx_mcp_auth_lookup_t  *lookup;

    /* a queued one does not start any more */

    if (ngx_mcp_auth_lookups_stopped) {
        return NGX_BUSY;
    }

    lookup = ngx_mcp_auth_lookup_find(args->credential->digest);

    if (lookup == NULL) {

        lookup = ngx_mcp_auth_lookup_create(args);
        if (lookup == NULL) {
            return NGX_ERROR;
        }

        rc = ngx_mcp_auth_lookup_begin(lookup, args->sockaddr);

        if (rc != NGX_OK) {
            ngx_free(lookup);
            return rc;
        }
    }

    ngx_log_debug3(NGX_LOG_DEBUG_HTTP, ngx_cycle->log, 0,
                   "mcp look-up: waits:%d, queue:%ui, joined:%d",
                   lookup->call == NULL, ngx_mcp_auth_queue_length(),
                   !ngx_queue_empty(&lookup->waiters));

    waiter->lookup = lookup;
    ngx_queue_insert_tail(&lookup->waiters, &waiter->queue);

    return NGX_OK;
}


/*
 * Starts a look-up or puts it into the queue.  Returns NGX_OK; NGX_BUSY if the
 * queue has no place for it; NGX_ERROR if memory is short.
 */

static ngx_int_t
ngx_mcp_auth_lookup_begin(ngx_mcp_auth_lookup_t *lookup, struct sockaddr *sa)
{
    ngx_int_t                    rc;
    ngx_mcp_auth_queue_entry_t  *victim;

    if (ngx_mcp_auth_queue_length() == 0
        && ngx_mcp_lookups_take(ngx_mcp_zone()->conf->auth_lookups))
    {
        return ngx_mcp_auth_lookup_start(lookup);
    }

    rc = ngx_mcp_auth_queue_add(&lookup->entry, sa,
                                ngx_mcp_auth_cache_known(
                                                   lookup->credential.digest),
                                &victim);

    if (rc == NGX_BUSY || victim) {
        ngx_mcp_auth_lookup_log_full();
    }

    if (rc != NGX_OK) {
        return rc;
    }

    ngx_queue_insert_tail(&ngx_mcp_auth_lookups_waiting, &lookup->queue);

    if (victim) {
        ngx_mcp_auth_lookup_drop(victim);
    }

    ngx_mcp_auth_lookup_waits();

    return NGX_OK;
}


/*
 * Look-ups that have lost their place in the queue.  Their waiters are told by
 * an event: this runs inside the handler of another request.
 */

static void
ngx_mcp_auth_lookup_drop(ngx_mcp_auth_queue_entry_t *entry)
{
    ngx_mcp_auth_lookup_t  *lookup;

    lookup = (ngx_mcp_auth_lookup_t *)
                 ((u_char *) entry - offsetof(ngx_mcp_auth_lookup_t, entry));

    ngx_queue_remove(&lookup->queue);
    ngx_queue_insert_tail(&ngx_mcp_auth_lookups_dropped, &lookup->queue);

    ngx_mcp_auth_lookup_drop_event.handler = ngx_mcp_auth_lookup_dropped;
    ngx_mcp_auth_lookup_drop_event.log = ngx_cycle->log;

    ngx_post_event(&ngx_mcp_auth_lookup_drop_event, &ngx_posted_events);
}


static void
ngx_mcp_auth_lookup_dropped(ngx_event_t *ev)
{
    ngx_queue_t  *q;

    while (!ngx_queue_empty(&ngx_mcp_auth_lookups_dropped)) {
        q = ngx_queue_head(&ngx_mcp_auth_lookups_dropped);
        ngx_queue_remove(q);

        ngx_mcp_auth_lookup_fail(ngx_queue_data(q, ngx_mcp_auth_lookup_t,
                                                queue));
    }
}


/*
 * Ends a look-up that is in no list, without an answer of Frappe.
 */

static void
ngx_mcp_auth_lookup_fail(ngx_mcp_auth_lookup_t *lookup)
{
    ngx_mcp_auth_result_t  result;

    ngx_memzero(&result, sizeof(ngx_mcp_auth_result_t));
    result.status = NGX_HTTP_SERVICE_UNAVAILABLE;

    ngx_mcp_auth_lookup_notify(lookup, &result);
    ngx_free(lookup);
}


static void
ngx_mcp_auth_lookup_log_full(void)
{
    time_t  now;

    now = ngx_time();

    if (now - ngx_mcp_auth_lookup_logged_at < NGX_MCP_AUTH_LOOKUP_LOG_SEC) {
        return;
    }

    ngx_mcp_auth_lookup_logged_at = now;

    ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                  "mcp sse: %d user look-ups wait in this worker, the newest "
                  "of the client address with most of them are refused: check "
                  "whether Frappe answers, and who sends unknown credentials",
                  NGX_MCP_AUTH_QUEUE_MAX);
}


/*
 * The number of look-ups that wait has changed.  While there are any, places
 * that other workers give back are tried for.
 */

static void
ngx_mcp_auth_lookup_waits(void)
{
    ngx_uint_t  n;

    n = ngx_mcp_auth_lookups_stopped ? 0 : ngx_mcp_auth_queue_length();

    ngx_mcp_lookups_wait(n);

    if (n == 0) {
        ngx_mcp_timer_del(&ngx_mcp_auth_lookup_again);
        return;
    }

    if (!ngx_mcp_auth_lookup_again.set) {
        ngx_mcp_auth_lookup_again.handler = ngx_mcp_auth_lookup_start_queued;
        ngx_mcp_timer_set(&ngx_mcp_auth_lookup_again,
                          NGX_MCP_AUTH_LOOKUP_AGAIN_MS);
    }
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

    /* a running look-up completes for the cache; a queued one is freed */

    if (lookup->entry.client && ngx_queue_empty(&lookup->waiters)) {
        ngx_mcp_auth_queue_remove(&lookup->entry);
        ngx_queue_remove(&lookup->queue);
        ngx_free(lookup);

        ngx_mcp_auth_lookup_waits();
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


/*
 * Starts a look-up, which has taken its place among those that run.  On
 * NGX_ERROR (memory is short) the place is given back.
 */

static ngx_int_t
ngx_mcp_auth_lookup_start(ngx_mcp_auth_lookup_t *lookup)
{
    ngx_mcp_call_t  *call;

    call = ngx_mcp_auth_lookup_call(lookup);

    if (call == NULL || ngx_mcp_call_start(call) != NGX_OK) {
        ngx_mcp_lookups_release();
        return NGX_ERROR;
    }

    lookup->call = call;

    ngx_queue_insert_tail(&ngx_mcp_auth_lookups_running, &lookup->queue);

    return NGX_OK;
}


static ngx_mcp_call_t *
ngx_mcp_auth_lookup_call(ngx_mcp_auth_lookup_t *lookup)
{
    ngx_mcp_call_t  *call;

    call = ngx_mcp_call_create(lookup->cscf, ngx_cycle->log);
    if (call == NULL) {
        return NULL;
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
        return NULL;
    }

    return call;
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
    ngx_mcp_lookups_release();

    ngx_mcp_auth_answer(call, &result);

    ngx_log_debug1(NGX_LOG_DEBUG_HTTP, &call->log, 0,
                   "mcp look-up: ended, status:%ui", result.status);

    ngx_mcp_count(result.status == 0
                               ? NGX_MCP_COUNT_LOOKUP_GOOD
                  : result.status < NGX_HTTP_INTERNAL_SERVER_ERROR
                               ? NGX_MCP_COUNT_LOOKUP_BAD
                               : NGX_MCP_COUNT_LOOKUP_FAILED);

    if (call->end != NGX_MCP_CALL_CANCELLED) {
        ngx_mcp_backend_note(NGX_MCP_BACKEND_LOOKUP,
                             result.status < NGX_HTTP_INTERNAL_SERVER_ERROR);
    }

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

    ngx_mcp_auth_lookup_start_queued(NULL);
}


static void
ngx_mcp_auth_lookup_start_queued(void *data)
{
    ngx_mcp_auth_lookup_t       *lookup;
    ngx_mcp_auth_queue_entry_t  *entry;

    while (!ngx_mcp_auth_lookups_stopped
           && ngx_mcp_auth_queue_length()
           && ngx_mcp_lookups_take(ngx_mcp_zone()->conf->auth_lookups))
    {
        entry = ngx_mcp_auth_queue_next();

        lookup = (ngx_mcp_auth_lookup_t *)
                     ((u_char *) entry
                      - offsetof(ngx_mcp_auth_lookup_t, entry));

        ngx_queue_remove(&lookup->queue);

        if (ngx_mcp_auth_lookup_start(lookup) != NGX_OK) {
            ngx_mcp_auth_lookup_fail(lookup);
        }
    }

    ngx_mcp_auth_lookup_waits();
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

    ngx_mcp_auth_lookup_waits();

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


/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * GET /metrics: names, labels and values in the text format of Prometheus.
 *
 * All memory is of the pool of the request.
 */

#include "ngx_mcp_metrics.h"
#include "ngx_mcp_bus.h"
#include "ngx_mcp_request.h"
#include "ngx_mcp_header.h"
#include "ngx_mcp_response.h"
#include "ngx_mcp_variables.h"


/* bytes; twice the size of the page if all numbers have 20 digits */

#define NGX_MCP_METRICS_PAGE_SIZE  65536

#define NGX_MCP_METRICS_PREFIX  "nginx_mcp_sse_"


/* text is appended at pos; pos == last: the page is full */

typedef struct {
    u_char       *pos;
    u_char       *last;
} ngx_mcp_metrics_page_t;


/* counters that differ in one label only, next to each other */

typedef struct {
    const char   *name;
    const char   *help;
    ngx_uint_t    first;         /* ngx_mcp_count_e */
    const char   *label;         /* NULL: one counter, without a label */
    const char  **values;        /* of the label; the last one is NULL */
} ngx_mcp_metrics_family_t;


static void ngx_mcp_metrics_counters(ngx_mcp_metrics_page_t *page,
    ngx_mcp_counters_t *counters);
static void ngx_mcp_metrics_calls(ngx_mcp_metrics_page_t *page,
    ngx_mcp_counters_t *counters);
static void ngx_mcp_metrics_time(ngx_mcp_metrics_page_t *page,
    ngx_mcp_counters_t *counters, ngx_uint_t which);
static void ngx_mcp_metrics_workers(ngx_mcp_metrics_page_t *page);
static void ngx_mcp_metrics_zone(ngx_mcp_metrics_page_t *page,
    ngx_mcp_zone_t *zone);
static void ngx_mcp_metrics_head(ngx_mcp_metrics_page_t *page,
    const char *name, const char *type, const char *help);
static void ngx_mcp_metrics_gauge(ngx_mcp_metrics_page_t *page,
    const char *name, ngx_uint_t value, const char *help);
static void ngx_mcp_metrics_seconds(ngx_mcp_metrics_page_t *page,
    uint64_t usec);
static void ngx_mcp_metrics_print(ngx_mcp_metrics_page_t *page,
    const char *fmt, ...);


static ngx_str_t  ngx_mcp_metrics_type =
                       ngx_string("text/plain; version=0.0.4; charset=utf-8");


/* by ngx_mcp_close_reason_e */

static const char  *ngx_mcp_reasons[] = {
    "client_left", "slow_reader", "idle", "evicted", "replaced", "revoked",
    "expired", "stopping", "no_memory", "deleted", NULL
};

static const char  *ngx_mcp_drops[] = {
    "queue_full", "send_timeout", NULL
};

static const char  *ngx_mcp_paths[] = {
    "own", "zone", "redis", NULL
};

static const char  *ngx_mcp_types[] = {
    "request", "notification", "response", NULL
};

static const char  *ngx_mcp_not_run[] = {
    "repeated", "cancelled", "stream_ended", "timed_out", NULL
};

static const char  *ngx_mcp_limits[] = {
    "inbox", "sessions", "zone", NULL
};

static const char  *ngx_mcp_statuses[] = {
    "400", "401", "403", "404", "405", "406", "413", "415", "429", "431",
    "500", "502", "503", "504", "other", NULL
};

static const char  *ngx_mcp_hits[] = {
    "good", "refused", "miss", NULL
};

static const char  *ngx_mcp_looked_up[] = {
    "good", "refused", "failed", NULL
};

static const char  *ngx_mcp_acknowledged[] = {
    "accepted", "full", "unknown", NULL
};

static const char  *ngx_mcp_rejected[] = {
    "forged", "replayed", "expired", "malformed", NULL
};

static const char  *ngx_mcp_pushes[] = {
    "delivered", "malformed", "too_large", "method", "site", "ended",
    "no_stream", "queue_full", NULL
};

static const char  *ngx_mcp_asked[] = {
    "answered", "refused", "timeout", "ended", NULL
};


static ngx_mcp_metrics_family_t  ngx_mcp_families[] = {

    { "streams_opened_total", "Streams opened.",
      NGX_MCP_COUNT_OPENED, NULL, NULL },

    { "streams_ended_total", "Streams ended, by reason.",
      NGX_MCP_COUNT_ENDED, "reason", ngx_mcp_reasons },

    { "queue_drops_total",
      "Streams closed because their client reads too slowly.",
      NGX_MCP_COUNT_QUEUE_FULL, "reason", ngx_mcp_drops },

    { "handovers_total",
      "POSTs accepted, by the path to the owner of their session.",
      NGX_MCP_COUNT_OWN, "path", ngx_mcp_paths },

    { "messages_total", "Messages received by the owner, by type.",
      NGX_MCP_COUNT_REQUESTS, "type", ngx_mcp_types },

    { "messages_not_run_total",
      "Messages received and not executed, by reason.",
      NGX_MCP_COUNT_REPEATED, "reason", ngx_mcp_not_run },

    { "limit_refusals_total",
      "Requests refused because a limit was reached, by limit.",
      NGX_MCP_COUNT_INBOX_FULL, "limit", ngx_mcp_limits },

    { "requests_refused_total", "Requests refused, by status.",
      NGX_MCP_COUNT_400, "status", ngx_mcp_statuses },

    { "auth_cache_requests_total",
      "Credentials looked up in the cache, by result.",
      NGX_MCP_COUNT_AUTH_GOOD, "result", ngx_mcp_hits },

    { "auth_cache_stale_total",
      "Expired entries used while Frappe was unavailable.",
      NGX_MCP_COUNT_AUTH_STALE, NULL, NULL },

    { "auth_lookups_total", "Users looked up at Frappe, by result.",
      NGX_MCP_COUNT_LOOKUP_GOOD, "result", ngx_mcp_looked_up },

    { "redis_sent_total", "Messages published.",
      NGX_MCP_COUNT_REDIS_SENT, NULL, NULL },

    { "redis_acknowledgements_total", "Acknowledgements received, by result.",
      NGX_MCP_COUNT_REDIS_ACCEPTED, "result", ngx_mcp_acknowledged },

    { "redis_resent_total", "Messages published again.",
      NGX_MCP_COUNT_REDIS_RESENT, NULL, NULL },

    { "redis_unanswered_total", "Messages without an acknowledgement.",
      NGX_MCP_COUNT_REDIS_UNANSWERED, NULL, NULL },

    { "redis_received_total", "Messages received and accepted.",
      NGX_MCP_COUNT_REDIS_RECEIVED, NULL, NULL },

    { "redis_duplicates_total", "Messages received again, not executed.",
      NGX_MCP_COUNT_REDIS_DUPLICATE, NULL, NULL },

    { "redis_refused_total",
      "Messages and acknowledgements rejected, by reason.",
      NGX_MCP_COUNT_REDIS_FORGED, "reason", ngx_mcp_rejected },

    { "redis_connects_total", "Connections to Redis established.",
      NGX_MCP_COUNT_REDIS_CONNECTS, NULL, NULL },

    { "redis_connections_lost_total", "Connections to Redis lost.",
      NGX_MCP_COUNT_REDIS_LOST, NULL, NULL },

    { "events_total",
      "Messages that Frappe has published for this instance, by result.",
      NGX_MCP_COUNT_EVENTS_DELIVERED, "result", ngx_mcp_pushes },

    { "questions_total", "Questions of calls to their client, by result.",
      NGX_MCP_COUNT_ASKED_ANSWERED, "result", ngx_mcp_asked },

    { "event_barriers_late_total",
      "Answers written before what was published had surely arrived.",
      NGX_MCP_COUNT_BARRIER_LATE, NULL, NULL },

    { "events_connects_total",
      "Connections to the Redis of mcp_sse_events established.",
      NGX_MCP_COUNT_EVENTS_CONNECTS, NULL, NULL },

    { "events_connections_lost_total",
      "Connections to the Redis of mcp_sse_events lost.",
      NGX_MCP_COUNT_EVENTS_LOST, NULL, NULL },

    { NULL, NULL, 0, NULL, NULL }
};


ngx_int_t
ngx_mcp_metrics_handler(ngx_http_request_t *r)
{
    ngx_int_t               rc;
    ngx_str_t               body;
    ngx_mcp_metrics_page_t  page;
    ngx_mcp_zone_t         *zone;

    if (ngx_mcp_request_status_page(r, &rc) != NGX_OK) {
        return rc;
    }

    body.data = ngx_pnalloc(r->pool, NGX_MCP_METRICS_PAGE_SIZE);

    if (body.data == NULL
        || ngx_mcp_header_add(r, "Cache-Control", "no-store")
           != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    page.pos = body.data;
    page.last = body.data + NGX_MCP_METRICS_PAGE_SIZE;

    zone = ngx_mcp_zone();

    ngx_mcp_metrics_workers(&page);
    ngx_mcp_metrics_zone(&page, zone);
    ngx_mcp_metrics_calls(&page, &zone->root->counters);
    ngx_mcp_metrics_time(&page, &zone->root->counters, NGX_MCP_CALL_TIME);
    ngx_mcp_metrics_time(&page, &zone->root->counters, NGX_MCP_HAND_OVER_TIME);

    if (zone->root->backend_calls) {
        ngx_mcp_metrics_time(&page, &zone->root->counters, NGX_MCP_WAIT_TIME);
    }

    ngx_mcp_metrics_counters(&page, &zone->root->counters);

    if (page.pos == page.last) {
        ngx_log_error(NGX_LOG_ALERT, r->connection->log, 0,
                      "mcp sse: the page of metrics is larger than %d bytes",
                      NGX_MCP_METRICS_PAGE_SIZE);
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    body.len = page.pos - body.data;

    return ngx_mcp_respond_as(r, NGX_HTTP_OK, &ngx_mcp_metrics_type, &body);
}


static void
ngx_mcp_metrics_counters(ngx_mcp_metrics_page_t *page,
    ngx_mcp_counters_t *counters)
{
    ngx_uint_t                 i;
    ngx_mcp_metrics_family_t  *f;

    for (f = ngx_mcp_families; f->name; f++) {

        ngx_mcp_metrics_head(page, f->name, "counter", f->help);

        if (f->label == NULL) {
            ngx_mcp_metrics_print(page,
                           NGX_MCP_METRICS_PREFIX "%s %uA\n", f->name,
                           counters->counts[f->first]);
            continue;
        }

        for (i = 0; f->values[i]; i++) {
            ngx_mcp_metrics_print(page,
                           NGX_MCP_METRICS_PREFIX "%s{%s=\"%s\"} %uA\n",
                           f->name, f->label, f->values[i],
                           counters->counts[f->first + i]);
        }
    }
}


/*
 * Prints all combinations, those that are 0 too: a series that appears with
 * its first call has no rate before the second.
 */

static void
ngx_mcp_metrics_calls(ngx_mcp_metrics_page_t *page,
    ngx_mcp_counters_t *counters)
{
    ngx_uint_t  i, result;

    ngx_mcp_metrics_head(page, "calls_total", "counter",
                     "Calls that ended and requests answered locally, by "
                     "method and result.");

    for (i = 0; i < NGX_MCP_METHODS; i++) {

        for (result = NGX_MCP_RESULT_OK; result < NGX_MCP_RESULTS; result++) {
            ngx_mcp_metrics_print(page,
                           NGX_MCP_METRICS_PREFIX "calls_total{method=\"%s\","
                           "result=\"%V\"} %uA\n",
                           ngx_mcp_count_method(i),
                           ngx_mcp_variables_result_name(result),
                           counters->calls[i][result]);
        }
    }
}


static void
ngx_mcp_metrics_time(ngx_mcp_metrics_page_t *page,
    ngx_mcp_counters_t *counters, ngx_uint_t which)
{
    uint64_t              bound;
    ngx_uint_t            i;
    const char           *name;
    ngx_atomic_uint_t     count;
    ngx_mcp_histogram_t  *h;

    if (which == NGX_MCP_CALL_TIME) {
        name = "call_duration_seconds";
        ngx_mcp_metrics_head(page, name, "histogram",
                     "Duration of calls of Frappe.");

    } else if (which == NGX_MCP_WAIT_TIME) {
        name = "call_wait_seconds";
        ngx_mcp_metrics_head(page, name, "histogram",
                     "Time that calls of mcp_sse_backend_calls have waited.");

    } else {
        name = "delivery_duration_seconds";
        ngx_mcp_metrics_head(page, name, "histogram",
                     "Time from the last byte of a POST to the owner of its "
                     "session.");
    }

    h = &counters->times[which];
    count = 0;
    i = 0;

    do {
        bound = ngx_mcp_count_bound(which, i);
        count += h->buckets[i++];

        ngx_mcp_metrics_print(page,
                       NGX_MCP_METRICS_PREFIX "%s_bucket{le=\"", name);

        if (bound) {
            ngx_mcp_metrics_seconds(page, bound);

        } else {
            ngx_mcp_metrics_print(page, "+Inf");
        }

        ngx_mcp_metrics_print(page, "\"} %uA\n", count);

    } while (bound);

    ngx_mcp_metrics_print(page, NGX_MCP_METRICS_PREFIX "%s_sum ", name);
    ngx_mcp_metrics_seconds(page, h->sum);

    ngx_mcp_metrics_print(page,
                   "\n" NGX_MCP_METRICS_PREFIX "%s_count %uA\n", name, count);
}


/*
 * Gauges that are the sum over all workers.
 */

static void
ngx_mcp_metrics_workers(ngx_mcp_metrics_page_t *page)
{
    ngx_uint_t                workers;
    ngx_mcp_workers_gauges_t  gauges;

    ngx_mcp_workers_gauges(&gauges);

    ngx_mcp_metrics_head(page, "build_info", "gauge",
                     "The version of the module.");
    ngx_mcp_metrics_print(page,
                   NGX_MCP_METRICS_PREFIX "build_info{version=\""
                   NGX_MCP_VERSION "\"} 1\n");

    ngx_mcp_metrics_gauge(page, "workers", gauges.workers,
                     "Worker processes, including those that shut down.");
    ngx_mcp_metrics_gauge(page, "streams", gauges.streams, "Open streams.");
    ngx_mcp_metrics_gauge(page, "calls_running", gauges.calls,
                     "Running calls of Frappe.");
    ngx_mcp_metrics_gauge(page, "messages_waiting",
                     gauges.pending - gauges.held,
                     "Messages accepted and not yet started.");
    ngx_mcp_metrics_gauge(page, "posts_held", gauges.held,
                     "POSTs pending until a lost stream is restored.");

    if (ngx_mcp_zone()->root->backend_calls) {
        ngx_mcp_metrics_gauge(page, "backend_calls", gauges.places,
                     "Calls of mcp_sse_backend_calls that run at Frappe.");
        ngx_mcp_metrics_gauge(page, "backend_calls_waiting",
                     gauges.calls_waiting,
                     "Calls that wait for mcp_sse_backend_calls.");
    }

    workers = gauges.redis[NGX_MCP_REDIS_NEVER]
              + gauges.redis[NGX_MCP_REDIS_LOST]
              + gauges.redis[NGX_MCP_REDIS_READY];

    if (workers) {
        ngx_mcp_metrics_gauge(page, "redis_workers", workers,
                     "Workers that use Redis.");
        ngx_mcp_metrics_gauge(page, "redis_up",
                     gauges.redis[NGX_MCP_REDIS_READY],
                     "Workers whose connections to Redis are ready.");
    }

    workers = gauges.events[NGX_MCP_REDIS_NEVER]
              + gauges.events[NGX_MCP_REDIS_LOST]
              + gauges.events[NGX_MCP_REDIS_READY];

    if (workers) {
        ngx_mcp_metrics_gauge(page, "events_workers", workers,
                     "Workers that use the Redis of mcp_sse_events.");
        ngx_mcp_metrics_gauge(page, "events_up",
                     gauges.events[NGX_MCP_REDIS_READY],
                     "Workers that get what Frappe publishes.");
    }
}


static void
ngx_mcp_metrics_zone(ngx_mcp_metrics_page_t *page, ngx_mcp_zone_t *zone)
{
    size_t                free_size;
    ngx_uint_t            sessions, tombstones, good, bad;
    ngx_mcp_zone_root_t  *root;

    root = zone->root;

    ngx_mcp_zone_lock(zone);

    tombstones = root->ntombstones;
    sessions = root->nrecords - tombstones;
    good = root->ngood;
    bad = root->nbad;
    free_size = root->pool->pfree * ngx_pagesize;

    ngx_mcp_zone_unlock(zone);

    ngx_mcp_metrics_gauge(page, "sessions", sessions,
                     "Sessions that accept messages.");
    ngx_mcp_metrics_gauge(page, "tombstones", tombstones,
                     "Sessions whose stream was lost and may be restored.");
    ngx_mcp_metrics_gauge(page, "zone_bytes", zone->size,
                     "Size of the shared memory zone.");
    ngx_mcp_metrics_gauge(page, "zone_free_bytes", free_size,
                     "Free pages of the shared memory zone.");

    ngx_mcp_metrics_head(page, "auth_cache_entries", "gauge",
                     "Entries of the cache of look-ups, by result.");
    ngx_mcp_metrics_print(page,
                   NGX_MCP_METRICS_PREFIX "auth_cache_entries"
                   "{result=\"good\"} %ui\n", good);
    ngx_mcp_metrics_print(page,
                   NGX_MCP_METRICS_PREFIX "auth_cache_entries"
                   "{result=\"refused\"} %ui\n", bad);
}


static void
ngx_mcp_metrics_head(ngx_mcp_metrics_page_t *page, const char *name,
    const char *type, const char *help)
{
    ngx_mcp_metrics_print(page,
                   "# HELP " NGX_MCP_METRICS_PREFIX "%s %s\n"
                   "# TYPE " NGX_MCP_METRICS_PREFIX "%s %s\n",
                   name, help, name, type);
}


static void
ngx_mcp_metrics_gauge(ngx_mcp_metrics_page_t *page, const char *name,
    ngx_uint_t value, const char *help)
{
    ngx_mcp_metrics_head(page, name, "gauge", help);
    ngx_mcp_metrics_print(page, NGX_MCP_METRICS_PREFIX "%s %ui\n",
                          name, value);
}


/*
 * Prints seconds without trailing zeros, as client libraries do.
 */

static void
ngx_mcp_metrics_seconds(ngx_mcp_metrics_page_t *page, uint64_t usec)
{
    u_char  *point;

    point = page->pos;

    ngx_mcp_metrics_print(page, "%uL.%06uL", usec / 1000000, usec % 1000000);

    if (page->pos == page->last) {
        return;
    }

    while (page->pos > point && page->pos[-1] == '0') {
        page->pos--;
    }

    if (page->pos[-1] == '.') {
        page->pos--;
    }
}


static void
ngx_mcp_metrics_print(ngx_mcp_metrics_page_t *page, const char *fmt, ...)
{
    va_list  args;

    va_start(args, fmt);
    page->pos = ngx_vslprintf(page->pos, page->last, fmt, args);
    va_end(args);
}

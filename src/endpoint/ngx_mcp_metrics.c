
/*
 * Everything is in the pool of the request.
 */

#include "ngx_mcp_metrics.h"
#include "ngx_mcp_bus.h"
#include "ngx_mcp_request.h"
#include "ngx_mcp_header.h"
#include "ngx_mcp_response.h"
#include "ngx_mcp_variables.h"


/* twice what is needed when all numbers have 20 digits */

#define NGX_HTTP_MCP_SSE_METRICS_SIZE  65536

#define NGX_HTTP_MCP_SSE_PREFIX        "nginx_mcp_sse_"


/* what is printed is appended at pos, which stops at last */

typedef struct {
    u_char       *pos;
    u_char       *last;
} ngx_http_mcp_sse_page_t;


/* counters that differ in a label only, one for each value */

typedef struct {
    const char   *name;
    const char   *help;
    ngx_uint_t    first;         /* ngx_http_mcp_sse_count_e */
    const char   *label;         /* NULL: one counter, without a label */
    const char  **values;        /* up to NULL */
} ngx_http_mcp_sse_family_t;


typedef struct {
    ngx_uint_t    sessions;
    ngx_uint_t    tombs;
    ngx_uint_t    good;
    ngx_uint_t    bad;
    size_t        free;
} ngx_http_mcp_sse_directory_t;


static void ngx_http_mcp_sse_metrics_counters(ngx_http_mcp_sse_page_t *page,
    ngx_http_mcp_sse_counters_t *counters);
static void ngx_http_mcp_sse_metrics_calls(ngx_http_mcp_sse_page_t *page,
    ngx_http_mcp_sse_counters_t *counters);
static void ngx_http_mcp_sse_metrics_time(ngx_http_mcp_sse_page_t *page,
    ngx_http_mcp_sse_counters_t *counters, ngx_uint_t which);
static void ngx_http_mcp_sse_metrics_workers(ngx_http_mcp_sse_page_t *page);
static void ngx_http_mcp_sse_metrics_zone(ngx_http_mcp_sse_page_t *page,
    ngx_http_mcp_sse_zone_t *zone);
static void ngx_http_mcp_sse_metrics_look(ngx_http_mcp_sse_zone_t *zone,
    ngx_http_mcp_sse_directory_t *dir);
static void ngx_http_mcp_sse_metrics_head(ngx_http_mcp_sse_page_t *page,
    const char *name, const char *type, const char *help);
static void ngx_http_mcp_sse_metrics_gauge(ngx_http_mcp_sse_page_t *page,
    const char *name, ngx_uint_t value, const char *help);
static void ngx_http_mcp_sse_metrics_seconds(ngx_http_mcp_sse_page_t *page,
    uint64_t usec);
static void ngx_http_mcp_sse_metrics_print(ngx_http_mcp_sse_page_t *page,
    const char *fmt, ...);


static ngx_str_t    ngx_http_mcp_sse_metrics_type =
                       ngx_string("text/plain; version=0.0.4; charset=utf-8");


/* by ngx_http_mcp_sse_reason_e */

static const char  *ngx_http_mcp_sse_reasons[] = {
    "client_left", "slow_reader", "idle", "evicted", "replaced", "revoked",
    "expired", "stopping", "no_memory", "deleted", NULL
};

static const char  *ngx_http_mcp_sse_drops[] = {
    "queue_full", "send_timeout", NULL
};

static const char  *ngx_http_mcp_sse_paths[] = {
    "own", "zone", "redis", NULL
};

static const char  *ngx_http_mcp_sse_types[] = {
    "request", "notification", "response", NULL
};

static const char  *ngx_http_mcp_sse_not_run[] = {
    "repeated", "cancelled", "stream_ended", NULL
};

static const char  *ngx_http_mcp_sse_limits[] = {
    "inbox", "sessions", "zone", NULL
};

static const char  *ngx_http_mcp_sse_statuses[] = {
    "400", "401", "403", "404", "405", "406", "413", "415", "429", "431",
    "500", "502", "503", "504", "other", NULL
};

static const char  *ngx_http_mcp_sse_hits[] = {
    "good", "refused", "miss", NULL
};

static const char  *ngx_http_mcp_sse_looked_up[] = {
    "good", "refused", "failed", NULL
};

static const char  *ngx_http_mcp_sse_acknowledged[] = {
    "accepted", "full", "unknown", NULL
};

static const char  *ngx_http_mcp_sse_envelopes[] = {
    "forged", "replayed", "expired", "malformed", NULL
};


static ngx_http_mcp_sse_family_t  ngx_http_mcp_sse_families[] = {

    { "streams_opened_total", "Streams opened.",
      NGX_HTTP_MCP_SSE_COUNT_OPENED, NULL, NULL },

    { "streams_ended_total", "Streams ended, by reason.",
      NGX_HTTP_MCP_SSE_COUNT_ENDED, "reason", ngx_http_mcp_sse_reasons },

    { "queue_drops_total",
      "Streams dropped because their client reads too slowly.",
      NGX_HTTP_MCP_SSE_COUNT_QUEUE_FULL, "reason", ngx_http_mcp_sse_drops },

    { "handovers_total",
      "POSTs accepted, by the way to the owner of their session.",
      NGX_HTTP_MCP_SSE_COUNT_OWN, "path", ngx_http_mcp_sse_paths },

    { "messages_total", "Messages that owners took up, by kind.",
      NGX_HTTP_MCP_SSE_COUNT_REQUESTS, "type", ngx_http_mcp_sse_types },

    { "messages_not_run_total",
      "Messages taken up that were not run, by reason.",
      NGX_HTTP_MCP_SSE_COUNT_REPEATED, "reason", ngx_http_mcp_sse_not_run },

    { "limit_refusals_total",
      "Requests refused because there was no room, by what was full.",
      NGX_HTTP_MCP_SSE_COUNT_INBOX_FULL, "limit", ngx_http_mcp_sse_limits },

    { "requests_refused_total", "Requests refused, by status.",
      NGX_HTTP_MCP_SSE_COUNT_400, "status", ngx_http_mcp_sse_statuses },

    { "auth_cache_requests_total",
      "Credentials looked for in the cache, by what was found.",
      NGX_HTTP_MCP_SSE_COUNT_AUTH_GOOD, "result", ngx_http_mcp_sse_hits },

    { "auth_cache_stale_total",
      "Old entries used because Frappe could not be asked.",
      NGX_HTTP_MCP_SSE_COUNT_AUTH_STALE, NULL, NULL },

    { "auth_lookups_total", "Users looked up at Frappe, by result.",
      NGX_HTTP_MCP_SSE_COUNT_LOOKUP_GOOD, "result",
      ngx_http_mcp_sse_looked_up },

    { "redis_sent_total", "Envelopes published.",
      NGX_HTTP_MCP_SSE_COUNT_REDIS_SENT, NULL, NULL },

    { "redis_acknowledgements_total", "Acknowledgements that came, by result.",
      NGX_HTTP_MCP_SSE_COUNT_REDIS_ACCEPTED, "result",
      ngx_http_mcp_sse_acknowledged },

    { "redis_resent_total", "Envelopes published again.",
      NGX_HTTP_MCP_SSE_COUNT_REDIS_RESENT, NULL, NULL },

    { "redis_unanswered_total", "Envelopes given up unacknowledged.",
      NGX_HTTP_MCP_SSE_COUNT_REDIS_UNANSWERED, NULL, NULL },

    { "redis_received_total", "Envelopes that came and were accepted.",
      NGX_HTTP_MCP_SSE_COUNT_REDIS_RECEIVED, NULL, NULL },

    { "redis_duplicates_total", "Envelopes that came again, and were not run.",
      NGX_HTTP_MCP_SSE_COUNT_REDIS_DUPLICATE, NULL, NULL },

    { "redis_refused_total",
      "Envelopes and acknowledgements that were not believed, by reason.",
      NGX_HTTP_MCP_SSE_COUNT_REDIS_FORGED, "reason",
      ngx_http_mcp_sse_envelopes },

    { "redis_connects_total", "Connections to Redis made ready.",
      NGX_HTTP_MCP_SSE_COUNT_REDIS_CONNECTS, NULL, NULL },

    { "redis_connections_lost_total", "Connections to Redis lost.",
      NGX_HTTP_MCP_SSE_COUNT_REDIS_LOST, NULL, NULL },

    { NULL, NULL, 0, NULL, NULL }
};


ngx_int_t
ngx_http_mcp_sse_metrics_handler(ngx_http_request_t *r)
{
    ngx_int_t                 rc;
    ngx_str_t                 body;
    ngx_http_mcp_sse_page_t   page;
    ngx_http_mcp_sse_zone_t  *zone;

    if (ngx_http_mcp_sse_entry_status(r, &rc) != NGX_OK) {
        return rc;
    }

    body.data = ngx_pnalloc(r->pool, NGX_HTTP_MCP_SSE_METRICS_SIZE);

    if (body.data == NULL
        || ngx_http_mcp_sse_header_add(r, "Cache-Control", "no-store")
           != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    page.pos = body.data;
    page.last = body.data + NGX_HTTP_MCP_SSE_METRICS_SIZE;

    zone = ngx_http_mcp_sse_zone();

    ngx_http_mcp_sse_metrics_workers(&page);
    ngx_http_mcp_sse_metrics_zone(&page, zone);
    ngx_http_mcp_sse_metrics_calls(&page, &zone->root->counters);
    ngx_http_mcp_sse_metrics_time(&page, &zone->root->counters,
                                  NGX_HTTP_MCP_SSE_CALL_TIME);
    ngx_http_mcp_sse_metrics_time(&page, &zone->root->counters,
                                  NGX_HTTP_MCP_SSE_DELIVERY_TIME);
    ngx_http_mcp_sse_metrics_counters(&page, &zone->root->counters);

    if (page.pos == page.last) {
        ngx_log_error(NGX_LOG_ALERT, r->connection->log, 0,
                      "mcp sse: metrics need more than %d bytes",
                      NGX_HTTP_MCP_SSE_METRICS_SIZE);
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    body.len = page.pos - body.data;

    return ngx_http_mcp_sse_respond_as(r, NGX_HTTP_OK,
                                       &ngx_http_mcp_sse_metrics_type, &body);
}


static void
ngx_http_mcp_sse_metrics_counters(ngx_http_mcp_sse_page_t *page,
    ngx_http_mcp_sse_counters_t *counters)
{
    ngx_uint_t                  i;
    ngx_http_mcp_sse_family_t  *f;

    for (f = ngx_http_mcp_sse_families; f->name; f++) {

        ngx_http_mcp_sse_metrics_head(page, f->name, "counter", f->help);

        if (f->label == NULL) {
            ngx_http_mcp_sse_metrics_print(page,
                           NGX_HTTP_MCP_SSE_PREFIX "%s %uA\n", f->name,
                           counters->counts[f->first]);
            continue;
        }

        for (i = 0; f->values[i]; i++) {
            ngx_http_mcp_sse_metrics_print(page,
                           NGX_HTTP_MCP_SSE_PREFIX "%s{%s=\"%s\"} %uA\n",
                           f->name, f->label, f->values[i],
                           counters->counts[f->first + i]);
        }
    }
}


/*
 * All of them, those that are 0 as well: what appears with its first call
 * has no rate before the second.
 */

static void
ngx_http_mcp_sse_metrics_calls(ngx_http_mcp_sse_page_t *page,
    ngx_http_mcp_sse_counters_t *counters)
{
    ngx_uint_t  i, result;

    ngx_http_mcp_sse_metrics_head(page, "calls_total", "counter",
                     "Calls that ended, and requests answered without one "
                     "(local), by method and result.");

    for (i = 0; i < NGX_HTTP_MCP_SSE_METHODS; i++) {

        for (result = NGX_HTTP_MCP_SSE_RESULT_OK;
             result < NGX_HTTP_MCP_SSE_RESULTS;
             result++)
        {
            ngx_http_mcp_sse_metrics_print(page,
                           NGX_HTTP_MCP_SSE_PREFIX "calls_total{method=\"%s\","
                           "result=\"%V\"} %uA\n",
                           ngx_http_mcp_sse_count_method(i),
                           ngx_http_mcp_sse_var_name(result),
                           counters->calls[i][result]);
        }
    }
}


static void
ngx_http_mcp_sse_metrics_time(ngx_http_mcp_sse_page_t *page,
    ngx_http_mcp_sse_counters_t *counters, ngx_uint_t which)
{
    uint64_t                       bound;
    ngx_uint_t                     i;
    const char                    *name;
    ngx_atomic_uint_t              count;
    ngx_http_mcp_sse_histogram_t  *h;

    if (which == NGX_HTTP_MCP_SSE_CALL_TIME) {
        name = "call_duration_seconds";
        ngx_http_mcp_sse_metrics_head(page, name, "histogram",
                     "How long calls of Frappe took.");

    } else {
        name = "delivery_duration_seconds";
        ngx_http_mcp_sse_metrics_head(page, name, "histogram",
                     "How long POSTs took from their last byte to where the "
                     "owner of the session took them up.");
    }

    h = &counters->times[which];
    count = 0;
    i = 0;

    do {
        bound = ngx_http_mcp_sse_count_bound(which, i);
        count += h->buckets[i++];

        ngx_http_mcp_sse_metrics_print(page,
                       NGX_HTTP_MCP_SSE_PREFIX "%s_bucket{le=\"", name);

        if (bound) {
            ngx_http_mcp_sse_metrics_seconds(page, bound);

        } else {
            ngx_http_mcp_sse_metrics_print(page, "+Inf");
        }

        ngx_http_mcp_sse_metrics_print(page, "\"} %uA\n", count);

    } while (bound);

    ngx_http_mcp_sse_metrics_print(page, NGX_HTTP_MCP_SSE_PREFIX "%s_sum ",
                                   name);
    ngx_http_mcp_sse_metrics_seconds(page, h->sum);

    ngx_http_mcp_sse_metrics_print(page,
                   "\n" NGX_HTTP_MCP_SSE_PREFIX "%s_count %uA\n", name, count);
}


/*
 * What vanishes with a worker.
 */

static void
ngx_http_mcp_sse_metrics_workers(ngx_http_mcp_sse_page_t *page)
{
    ngx_uint_t                 workers;
    ngx_http_mcp_sse_gauges_t  gauges;

    ngx_http_mcp_sse_shm_gauges(&gauges);

    ngx_http_mcp_sse_metrics_head(page, "build_info", "gauge",
                     "The version of the module.");
    ngx_http_mcp_sse_metrics_print(page,
                   NGX_HTTP_MCP_SSE_PREFIX "build_info{version=\""
                   NGX_HTTP_MCP_SSE_VERSION "\"} 1\n");

    ngx_http_mcp_sse_metrics_gauge(page, "workers", gauges.workers,
                     "Worker processes, those that shut down included.");
    ngx_http_mcp_sse_metrics_gauge(page, "streams", gauges.streams,
                     "Open streams.");
    ngx_http_mcp_sse_metrics_gauge(page, "calls_running", gauges.calls,
                     "Calls of Frappe that run.");
    ngx_http_mcp_sse_metrics_gauge(page, "messages_waiting",
                     gauges.pending - gauges.held,
                     "Messages accepted and not yet started.");
    ngx_http_mcp_sse_metrics_gauge(page, "posts_held", gauges.held,
                     "POSTs that wait for a lost stream to come back.");

    workers = gauges.redis[NGX_HTTP_MCP_SSE_REDIS_NEVER]
              + gauges.redis[NGX_HTTP_MCP_SSE_REDIS_LOST]
              + gauges.redis[NGX_HTTP_MCP_SSE_REDIS_READY];

    if (workers) {
        ngx_http_mcp_sse_metrics_gauge(page, "redis_workers", workers,
                     "Workers that use Redis.");
        ngx_http_mcp_sse_metrics_gauge(page, "redis_up",
                     gauges.redis[NGX_HTTP_MCP_SSE_REDIS_READY],
                     "Workers whose connections to Redis are ready.");
    }
}


static void
ngx_http_mcp_sse_metrics_zone(ngx_http_mcp_sse_page_t *page,
    ngx_http_mcp_sse_zone_t *zone)
{
    ngx_http_mcp_sse_directory_t  dir;

    ngx_http_mcp_sse_metrics_look(zone, &dir);

    ngx_http_mcp_sse_metrics_gauge(page, "sessions", dir.sessions,
                     "Sessions that can take messages.");
    ngx_http_mcp_sse_metrics_gauge(page, "tombstones", dir.tombs,
                     "Sessions whose stream was lost and may come back.");
    ngx_http_mcp_sse_metrics_gauge(page, "zone_bytes", zone->size,
                     "Size of the shared memory zone.");
    ngx_http_mcp_sse_metrics_gauge(page, "zone_free_bytes", dir.free,
                     "Free pages of the shared memory zone.");

    ngx_http_mcp_sse_metrics_head(page, "auth_cache_entries", "gauge",
                     "Entries of the cache of look-ups, by what they say.");
    ngx_http_mcp_sse_metrics_print(page,
                   NGX_HTTP_MCP_SSE_PREFIX "auth_cache_entries"
                   "{result=\"good\"} %ui\n", dir.good);
    ngx_http_mcp_sse_metrics_print(page,
                   NGX_HTTP_MCP_SSE_PREFIX "auth_cache_entries"
                   "{result=\"refused\"} %ui\n", dir.bad);
}


static void
ngx_http_mcp_sse_metrics_look(ngx_http_mcp_sse_zone_t *zone,
    ngx_http_mcp_sse_directory_t *dir)
{
    ngx_http_mcp_sse_zone_lock(zone);

    dir->sessions = zone->root->nrecords - zone->root->ntombs;
    dir->tombs = zone->root->ntombs;
    dir->good = zone->root->ngood;
    dir->bad = zone->root->nbad;
    dir->free = zone->root->heap->pfree * ngx_pagesize;

    ngx_http_mcp_sse_zone_unlock(zone);
}


static void
ngx_http_mcp_sse_metrics_head(ngx_http_mcp_sse_page_t *page,
    const char *name, const char *type, const char *help)
{
    ngx_http_mcp_sse_metrics_print(page,
                   "# HELP " NGX_HTTP_MCP_SSE_PREFIX "%s %s\n"
                   "# TYPE " NGX_HTTP_MCP_SSE_PREFIX "%s %s\n",
                   name, help, name, type);
}


static void
ngx_http_mcp_sse_metrics_gauge(ngx_http_mcp_sse_page_t *page,
    const char *name, ngx_uint_t value, const char *help)
{
    ngx_http_mcp_sse_metrics_head(page, name, "gauge", help);
    ngx_http_mcp_sse_metrics_print(page, NGX_HTTP_MCP_SSE_PREFIX "%s %ui\n",
                                   name, value);
}


/*
 * Without zeroes at its end, as others write it.
 */

static void
ngx_http_mcp_sse_metrics_seconds(ngx_http_mcp_sse_page_t *page, uint64_t usec)
{
    u_char  *point;

    point = page->pos;

    ngx_http_mcp_sse_metrics_print(page, "%uL.%06uL", usec / 1000000,
                                   usec % 1000000);

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
ngx_http_mcp_sse_metrics_print(ngx_http_mcp_sse_page_t *page,
    const char *fmt, ...)
{
    va_list  args;

    va_start(args, fmt);
    page->pos = ngx_vslprintf(page->pos, page->last, fmt, args);
    va_end(args);
}

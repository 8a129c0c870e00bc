
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Counters and histograms in shared memory, for /metrics.
 *
 * Nothing is kept here: the counters are in the root of the zone.
 */

#include "ngx_mcp_counters.h"
#include "ngx_mcp_zone.h"


static ngx_uint_t ngx_mcp_count_label(ngx_str_t *method);


/* "*" at the end of a label stands for any characters */

static ngx_str_t  ngx_mcp_count_methods[] = {
    ngx_string("initialize"),
    ngx_string("ping"),
    ngx_string("tools/list"),
    ngx_string("tools/call"),
    ngx_string("resources/*"),
    ngx_string("prompts/*"),
    ngx_string("notifications/*"),
    ngx_string("other")
};


/*
 * Upper bounds of the buckets, in microseconds; 0: no bound.  Calls take, and
 * wait for, milliseconds to mcp_sse_call_timeout; a hand-over takes
 * microseconds within an nginx, and a round trip by Redis.
 */

static uint64_t  ngx_mcp_count_bounds[NGX_MCP_TIMES][NGX_MCP_BUCKETS] = {
    { 5000, 10000, 25000, 50000, 100000, 250000, 500000, 1000000, 2500000,
      5000000, 10000000, 30000000, 60000000, 120000000, 300000000, 0 },

    { 50, 100, 250, 500, 1000, 2500, 5000, 10000, 25000, 50000, 100000,
      250000, 500000, 1000000, 2500000, 5000000, 0 },

    { 5000, 10000, 25000, 50000, 100000, 250000, 500000, 1000000, 2500000,
      5000000, 10000000, 30000000, 60000000, 120000000, 300000000, 0 }
};


void
ngx_mcp_count(ngx_uint_t which)
{
    ngx_mcp_counters_t  *counters;

    counters = &ngx_mcp_zone()->root->counters;

    (void) ngx_atomic_fetch_add(&counters->counts[which], 1);
}


void
ngx_mcp_count_refused(ngx_uint_t status)
{
    ngx_uint_t  i;

    static ngx_uint_t  statuses[] = {
        400, 401, 403, 404, 405, 406, 413, 415, 429, 431, 500, 502, 503,
        504
    };

    for (i = 0; i < sizeof(statuses) / sizeof(ngx_uint_t); i++) {
        if (statuses[i] == status) {
            break;
        }
    }

    ngx_mcp_count(NGX_MCP_COUNT_400 + i);
}


void
ngx_mcp_count_call(ngx_str_t *method, ngx_uint_t result)
{
    ngx_uint_t           i;
    ngx_mcp_counters_t  *counters;

    /* nginx has ended the subrequest without a response */

    if (result == NGX_MCP_RESULT_NONE) {
        result = NGX_MCP_RESULT_BACKEND;
    }

    counters = &ngx_mcp_zone()->root->counters;
    i = ngx_mcp_count_label(method);

    (void) ngx_atomic_fetch_add(&counters->calls[i][result], 1);
}


/*
 * Unknown methods share the label "other": clients choose the methods, and each
 * label is a time series that stays in Prometheus.
 */

static ngx_uint_t
ngx_mcp_count_label(ngx_str_t *method)
{
    size_t       len;
    ngx_str_t   *label;
    ngx_uint_t   i;

    for (i = 0; i < NGX_MCP_METHODS - 1; i++) {
        label = &ngx_mcp_count_methods[i];
        len = label->len;

        if (label->data[len - 1] == '*') {
            len--;

            if (method->len < len) {
                continue;
            }

        } else if (method->len != len) {
            continue;
        }

        if (ngx_strncmp(method->data, label->data, len) == 0) {
            break;
        }
    }

    return i;
}


uint64_t
ngx_mcp_count_clock(void)
{
    struct timespec  ts;

    if (clock_gettime(CLOCK_MONOTONIC, &ts) != 0) {
        return 0;
    }

    return (uint64_t) ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}


void
ngx_mcp_count_time(ngx_uint_t which, uint64_t start)
{
    uint64_t              now, time;
    ngx_uint_t            i;
    ngx_mcp_histogram_t  *h;

    now = ngx_mcp_count_clock();

    if (start == 0 || now < start) {
        return;
    }

    time = now - start;

    for (i = 0; ngx_mcp_count_bounds[which][i]; i++) {
        if (time <= ngx_mcp_count_bounds[which][i]) {
            break;
        }
    }

    h = &ngx_mcp_zone()->root->counters.times[which];

    (void) ngx_atomic_fetch_add(&h->buckets[i], 1);
    (void) ngx_atomic_fetch_add(&h->sum, (ngx_atomic_int_t) time);
}


const char *
ngx_mcp_count_method(ngx_uint_t i)
{
    return (const char *) ngx_mcp_count_methods[i].data;
}


uint64_t
ngx_mcp_count_bound(ngx_uint_t which, ngx_uint_t i)
{
    return ngx_mcp_count_bounds[which][i];
}


/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Counters and histograms in shared memory, for /metrics.
 *
 * They are atomics in the root of the zone: they only grow, survive a reload
 * and the death of a worker, and begin at 0 in a new zone.  Gauges are in the
 * record of a worker and disappear with it (ngx_mcp_workers.h).
 */

#ifndef _NGX_MCP_COUNTERS_H_INCLUDED_
#define _NGX_MCP_COUNTERS_H_INCLUDED_


#include "ngx_mcp.h"


typedef enum {

    /* streams opened; streams ended, one for each ngx_mcp_close_reason_e */

    NGX_MCP_COUNT_OPENED = 0,
    NGX_MCP_COUNT_ENDED,
    NGX_MCP_COUNT_ENDED_LAST = NGX_MCP_COUNT_ENDED
                               + NGX_MCP_CLOSE_DELETED,

    /* why slow clients were dropped */

    NGX_MCP_COUNT_QUEUE_FULL,
    NGX_MCP_COUNT_SEND_TIMEOUT,

    /*
     * POSTs accepted, by the way to the owner; acknowledgements received by
     * Redis, by status.  REDIS_ACCEPTED belongs to both.
     */

    NGX_MCP_COUNT_OWN,
    NGX_MCP_COUNT_ZONE,
    NGX_MCP_COUNT_REDIS_ACCEPTED,
    NGX_MCP_COUNT_REDIS_FULL,
    NGX_MCP_COUNT_REDIS_UNKNOWN,

    /* messages that their owner has dispatched, by type */

    NGX_MCP_COUNT_REQUESTS,
    NGX_MCP_COUNT_NOTIFICATIONS,
    NGX_MCP_COUNT_RESPONSES,

    /* of these, messages that were not executed */

    NGX_MCP_COUNT_REPEATED,
    NGX_MCP_COUNT_CANCELLED,
    NGX_MCP_COUNT_ABANDONED,               /* the stream ended first */
    NGX_MCP_COUNT_NOT_STARTED,             /* mcp_sse_call_timeout was first */

    /* refused for lack of room */

    NGX_MCP_COUNT_INBOX_FULL,
    NGX_MCP_COUNT_SESSIONS_FULL,           /* of the user */
    NGX_MCP_COUNT_ZONE_FULL,

    /* requests refused, by status; the order of ngx_mcp_count_refused() */

    NGX_MCP_COUNT_400,
    NGX_MCP_COUNT_401,
    NGX_MCP_COUNT_403,
    NGX_MCP_COUNT_404,
    NGX_MCP_COUNT_405,
    NGX_MCP_COUNT_406,
    NGX_MCP_COUNT_413,
    NGX_MCP_COUNT_415,
    NGX_MCP_COUNT_429,
    NGX_MCP_COUNT_431,
    NGX_MCP_COUNT_500,
    NGX_MCP_COUNT_502,
    NGX_MCP_COUNT_503,
    NGX_MCP_COUNT_504,
    NGX_MCP_COUNT_OTHER,

    /* the cache of look-ups */

    NGX_MCP_COUNT_AUTH_GOOD,               /* found */
    NGX_MCP_COUNT_AUTH_BAD,                /* found: a refusal */
    NGX_MCP_COUNT_AUTH_MISS,
    NGX_MCP_COUNT_AUTH_STALE,              /* expired, used without Frappe */

    /* look-ups */

    NGX_MCP_COUNT_LOOKUP_GOOD,
    NGX_MCP_COUNT_LOOKUP_BAD,
    NGX_MCP_COUNT_LOOKUP_FAILED,           /* Frappe is unreachable */

    /* Redis: the sender of a message, besides acknowledgements */

    NGX_MCP_COUNT_REDIS_SENT,              /* messages published */
    NGX_MCP_COUNT_REDIS_RESENT,
    NGX_MCP_COUNT_REDIS_UNANSWERED,        /* deadline without an answer */

    /* Redis: the receiver */

    NGX_MCP_COUNT_REDIS_RECEIVED,          /* messages accepted */
    NGX_MCP_COUNT_REDIS_DUPLICATE,         /* seen before */

    /* Redis: packets refused */

    NGX_MCP_COUNT_REDIS_FORGED,
    NGX_MCP_COUNT_REDIS_REPLAYED,
    NGX_MCP_COUNT_REDIS_EXPIRED,
    NGX_MCP_COUNT_REDIS_MALFORMED,

    /* Redis: connections that became ready; changes from up to lost */

    NGX_MCP_COUNT_REDIS_CONNECTS,
    NGX_MCP_COUNT_REDIS_LOST,

    /* what Frappe has published, for a call or session of this worker */

    NGX_MCP_COUNT_EVENTS_DELIVERED,
    NGX_MCP_COUNT_EVENTS_MALFORMED,
    NGX_MCP_COUNT_EVENTS_TOO_LARGE,
    NGX_MCP_COUNT_EVENTS_METHOD,           /* may not be published */
    NGX_MCP_COUNT_EVENTS_SITE,             /* not that of the call */
    NGX_MCP_COUNT_EVENTS_ENDED,            /* no such call, or not any more */
    NGX_MCP_COUNT_EVENTS_NO_STREAM,        /* its client takes no stream, or
                                              nobody listens any more */
    NGX_MCP_COUNT_EVENTS_QUEUE,            /* the client does not read */

    /* questions of calls to their client */

    NGX_MCP_COUNT_ASKED_ANSWERED,
    NGX_MCP_COUNT_ASKED_REFUSED,           /* the client cannot be asked, or
                                              too many are open */
    NGX_MCP_COUNT_ASKED_TIMEOUT,
    NGX_MCP_COUNT_ASKED_ENDED,             /* with the call or its stream */

    NGX_MCP_COUNT_BARRIER_LATE,

    /* the Redis of mcp_sse_events, as above */

    NGX_MCP_COUNT_EVENTS_CONNECTS,
    NGX_MCP_COUNT_EVENTS_LOST,

    NGX_MCP_COUNTS
} ngx_mcp_count_e;


/* labels of methods: ngx_mcp_count_methods[] */

#define NGX_MCP_METHODS  8

#define NGX_MCP_RESULTS  (NGX_MCP_RESULT_REFUSED + 1)


typedef enum {
    NGX_MCP_CALL_TIME = 0,
    NGX_MCP_HAND_OVER_TIME,
    NGX_MCP_WAIT_TIME,                     /* for mcp_sse_backend_calls */
    NGX_MCP_TIMES
} ngx_mcp_time_e;


/* of a histogram, including the last one, which has no bound */

#define NGX_MCP_BUCKETS  17


typedef struct {
    ngx_atomic_t   buckets[NGX_MCP_BUCKETS];     /* not cumulative */
    ngx_atomic_t   sum;                          /* microseconds */
} ngx_mcp_histogram_t;


/* in the root of the zone: a change needs another NGX_MCP_ZONE_MAGIC */

typedef struct {
    ngx_atomic_t                   counts[NGX_MCP_COUNTS];
    ngx_atomic_t                   calls[NGX_MCP_METHODS]
                                        [NGX_MCP_RESULTS];
    ngx_mcp_histogram_t            times[NGX_MCP_TIMES];
} ngx_mcp_counters_t;


/*
 * "redis" and "events" in the record of a worker; 0: mcp_sse_redis or
 * mcp_sse_events is not set
 */

#define NGX_MCP_REDIS_NEVER  1       /* not reached yet */
#define NGX_MCP_REDIS_LOST   2
#define NGX_MCP_REDIS_READY  3       /* both connections are ready */


/*
 * Adds 1 to the counter "which" of ngx_mcp_count_e.  This and the functions
 * below are atomic additions, take no lock and cannot fail.
 */

void ngx_mcp_count(ngx_uint_t which);

/*
 * Counts a client request that is refused with that HTTP status.
 */

void ngx_mcp_count_refused(ngx_uint_t status);

/*
 * Counts the end of a call, or of a message that is answered without a call;
 * "result" is of ngx_mcp_result_e.
 */

void ngx_mcp_count_call(ngx_str_t *method, ngx_uint_t result);

/*
 * Returns microseconds of CLOCK_MONOTONIC, which all processes of a machine
 * share, or 0 if there is no such clock.  ngx_current_msec is too coarse: a
 * message is handed over in less than a millisecond.
 */

uint64_t ngx_mcp_count_clock(void);

/*
 * Adds the time since "start", of ngx_mcp_count_clock(), to the histogram
 * "which" of ngx_mcp_time_e.  Does nothing if "start" is 0.
 */

void ngx_mcp_count_time(ngx_uint_t which, uint64_t start);

/*
 * For the page of metrics: the label of a method, by its index in "calls"; the
 * upper bound of a bucket in microseconds, 0 for the last one, which has none.
 */

const char *ngx_mcp_count_method(ngx_uint_t i);
uint64_t ngx_mcp_count_bound(ngx_uint_t which, ngx_uint_t i);


#endif /* _NGX_MCP_COUNTERS_H_INCLUDED_ */


/*
 * What is counted, for /metrics.
 *
 * The counters are atomics in the root of the zone: they only grow, survive
 * a reload and the death of a worker, and begin at 0 with a new zone.  What
 * goes up and down is in the record of the worker, and vanishes with it.
 */

#ifndef _NGX_MCP_COUNTERS_H_INCLUDED_
#define _NGX_MCP_COUNTERS_H_INCLUDED_


#include "ngx_mcp.h"


typedef enum {

    /* streams; those that ended by ngx_mcp_close_reason_e */

    NGX_MCP_COUNT_OPENED = 0,
    NGX_MCP_COUNT_ENDED,
    NGX_MCP_COUNT_ENDED_LAST = NGX_MCP_COUNT_ENDED
                                        + NGX_MCP_CLOSE_DELETED,

    /* why slow readers were dropped */

    NGX_MCP_COUNT_QUEUE_FULL,
    NGX_MCP_COUNT_SEND_TIMEOUT,

    /*
     * POSTs accepted, by the way to the owner; acknowledgements that came by
     * Redis, by result: REDIS_ACCEPTED is one of both.
     */

    NGX_MCP_COUNT_OWN,
    NGX_MCP_COUNT_ZONE,
    NGX_MCP_COUNT_REDIS_ACCEPTED,
    NGX_MCP_COUNT_REDIS_FULL,
    NGX_MCP_COUNT_REDIS_UNKNOWN,

    /* messages their owner has looked at, by ngx_http_mcp_..._type_e */

    NGX_MCP_COUNT_REQUESTS,
    NGX_MCP_COUNT_NOTIFICATIONS,
    NGX_MCP_COUNT_RESPONSES,

    /* of these, what was not run */

    NGX_MCP_COUNT_REPEATED,
    NGX_MCP_COUNT_CANCELLED,
    NGX_MCP_COUNT_ABANDONED,               /* the stream ended first */

    /* what there was no room for */

    NGX_MCP_COUNT_INBOX_FULL,
    NGX_MCP_COUNT_SESSIONS_FULL,           /* of the user */
    NGX_MCP_COUNT_ZONE_FULL,

    /* requests refused, by status: see ngx_mcp_count_refused() */

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

    /* the cache of look-ups, and look-ups */

    NGX_MCP_COUNT_AUTH_GOOD,               /* found */
    NGX_MCP_COUNT_AUTH_BAD,                /* found: a refusal */
    NGX_MCP_COUNT_AUTH_MISS,
    NGX_MCP_COUNT_AUTH_STALE,              /* then used although old */

    NGX_MCP_COUNT_LOOKUP_GOOD,
    NGX_MCP_COUNT_LOOKUP_BAD,
    NGX_MCP_COUNT_LOOKUP_FAILED,           /* Frappe cannot be asked */

    /* the producer's side of Redis, besides acknowledgements */

    NGX_MCP_COUNT_REDIS_SENT,              /* envelopes published */
    NGX_MCP_COUNT_REDIS_RESENT,
    NGX_MCP_COUNT_REDIS_UNANSWERED,            /* given up */

    /* the owner's */

    NGX_MCP_COUNT_REDIS_RECEIVED,          /* and accepted */
    NGX_MCP_COUNT_REDIS_DUPLICATE,             /* received again */

    /* refused envelopes and acknowledgements */

    NGX_MCP_COUNT_REDIS_FORGED,
    NGX_MCP_COUNT_REDIS_REPLAYED,
    NGX_MCP_COUNT_REDIS_EXPIRED,
    NGX_MCP_COUNT_REDIS_MALFORMED,

    NGX_MCP_COUNT_REDIS_CONNECTS,          /* connections made ready */
    NGX_MCP_COUNT_REDIS_LOST,

    NGX_MCP_COUNTS
} ngx_mcp_count_e;


/* methods have labels of their own only if we know them */

#define NGX_MCP_METHODS  8

#define NGX_MCP_RESULTS  (NGX_MCP_RESULT_REFUSED + 1)


typedef enum {
    NGX_MCP_CALL_TIME = 0,
    NGX_MCP_HAND_OVER_TIME,
    NGX_MCP_TIMES
} ngx_mcp_time_e;


#define NGX_MCP_BUCKETS  17      /* at most */


typedef struct {
    ngx_atomic_t   buckets[NGX_MCP_BUCKETS];           /* not cumulative */
    ngx_atomic_t   sum;                                /* microseconds */
} ngx_mcp_histogram_t;


/* in the root of the zone */

typedef struct {
    ngx_atomic_t                   counts[NGX_MCP_COUNTS];
    ngx_atomic_t                   calls[NGX_MCP_METHODS]
                                        [NGX_MCP_RESULTS];
    ngx_mcp_histogram_t            times[NGX_MCP_TIMES];
} ngx_mcp_counters_t;


/* what "redis" in a worker's record says; 0: it is not configured */

#define NGX_MCP_REDIS_NEVER  1       /* was not reached yet */
#define NGX_MCP_REDIS_LOST   2
#define NGX_MCP_REDIS_READY  3       /* both connections are */


/*
 * Counts one of ngx_mcp_count_e.  As all of these it costs
 * atomic additions, takes no lock and cannot fail.
 */

void ngx_mcp_count(ngx_uint_t which);

/*
 * A request is refused with that HTTP status.
 */

void ngx_mcp_count_refused(ngx_uint_t status);

/*
 * A call, or what would be one if it were not answered here, has ended.
 */

void ngx_mcp_count_call(ngx_str_t *method, ngx_uint_t result);

/*
 * Microseconds, comparable between the processes of one machine: the clock
 * of nginx has a grain of some milliseconds, and a message is handed over in
 * less than one.
 */

uint64_t ngx_mcp_count_clock(void);

/*
 * Adds the time since "began" on that clock to one of
 * ngx_mcp_time_e; nothing if began is 0, for unknown.
 */

void ngx_mcp_count_time(ngx_uint_t which, uint64_t began);

/*
 * For who prints them: the label of a method, by its place in "calls"; the
 * upper bound of a bucket in microseconds, 0 for the last, which has none.
 */

const char *ngx_mcp_count_method(ngx_uint_t i);
uint64_t ngx_mcp_count_bound(ngx_uint_t which, ngx_uint_t i);


#endif /* _NGX_MCP_COUNTERS_H_INCLUDED_ */

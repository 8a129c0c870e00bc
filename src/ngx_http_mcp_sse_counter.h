
/*
 * What is counted, for /metrics.
 *
 * The counters are atomics in the root of the zone: they only grow, survive
 * a reload and the death of a worker, and begin at 0 with a new zone.  What
 * goes up and down is in the record of the worker, and vanishes with it.
 */

#ifndef _NGX_HTTP_MCP_SSE_COUNTER_H_INCLUDED_
#define _NGX_HTTP_MCP_SSE_COUNTER_H_INCLUDED_


#include "ngx_http_mcp_sse.h"


typedef enum {

    /* streams; those that ended by ngx_http_mcp_sse_reason_e */

    NGX_HTTP_MCP_SSE_COUNT_OPENED = 0,
    NGX_HTTP_MCP_SSE_COUNT_ENDED,
    NGX_HTTP_MCP_SSE_COUNT_ENDED_LAST = NGX_HTTP_MCP_SSE_COUNT_ENDED
                                        + NGX_HTTP_MCP_SSE_NO_MEMORY,

    /* why slow readers were dropped */

    NGX_HTTP_MCP_SSE_COUNT_QUEUE_FULL,
    NGX_HTTP_MCP_SSE_COUNT_SEND_TIMEOUT,

    /* POSTs accepted, by the way to the owner; see REDIS_ACCEPTED, too */

    NGX_HTTP_MCP_SSE_COUNT_OWN,
    NGX_HTTP_MCP_SSE_COUNT_ZONE,

    /* messages their owner has looked at, by ngx_http_mcp_..._type_e */

    NGX_HTTP_MCP_SSE_COUNT_REQUESTS,
    NGX_HTTP_MCP_SSE_COUNT_NOTIFICATIONS,
    NGX_HTTP_MCP_SSE_COUNT_RESPONSES,

    /* of these, what was not run */

    NGX_HTTP_MCP_SSE_COUNT_REPEATED,
    NGX_HTTP_MCP_SSE_COUNT_CANCELLED,
    NGX_HTTP_MCP_SSE_COUNT_ABANDONED,      /* the stream ended first */

    /* what there was no room for */

    NGX_HTTP_MCP_SSE_COUNT_INBOX_FULL,
    NGX_HTTP_MCP_SSE_COUNT_SESSIONS_FULL,  /* of the user */
    NGX_HTTP_MCP_SSE_COUNT_ZONE_FULL,

    /* requests refused, by status: see ngx_http_mcp_sse_count_refused() */

    NGX_HTTP_MCP_SSE_COUNT_400,
    NGX_HTTP_MCP_SSE_COUNT_401,
    NGX_HTTP_MCP_SSE_COUNT_403,
    NGX_HTTP_MCP_SSE_COUNT_405,
    NGX_HTTP_MCP_SSE_COUNT_413,
    NGX_HTTP_MCP_SSE_COUNT_415,
    NGX_HTTP_MCP_SSE_COUNT_429,
    NGX_HTTP_MCP_SSE_COUNT_431,
    NGX_HTTP_MCP_SSE_COUNT_500,
    NGX_HTTP_MCP_SSE_COUNT_502,
    NGX_HTTP_MCP_SSE_COUNT_503,
    NGX_HTTP_MCP_SSE_COUNT_504,
    NGX_HTTP_MCP_SSE_COUNT_OTHER,

    /* the cache of look-ups, and look-ups */

    NGX_HTTP_MCP_SSE_COUNT_AUTH_GOOD,      /* found */
    NGX_HTTP_MCP_SSE_COUNT_AUTH_BAD,       /* found: a refusal */
    NGX_HTTP_MCP_SSE_COUNT_AUTH_MISS,
    NGX_HTTP_MCP_SSE_COUNT_AUTH_STALE,     /* then used although old */

    NGX_HTTP_MCP_SSE_COUNT_LOOKUP_GOOD,
    NGX_HTTP_MCP_SSE_COUNT_LOOKUP_BAD,
    NGX_HTTP_MCP_SSE_COUNT_LOOKUP_FAILED,  /* Frappe cannot be asked */

    /* the producer's side of Redis */

    NGX_HTTP_MCP_SSE_COUNT_REDIS_SENT,     /* envelopes published */
    NGX_HTTP_MCP_SSE_COUNT_REDIS_ACCEPTED, /* acknowledgements, by result */
    NGX_HTTP_MCP_SSE_COUNT_REDIS_FULL,
    NGX_HTTP_MCP_SSE_COUNT_REDIS_UNKNOWN,
    NGX_HTTP_MCP_SSE_COUNT_REDIS_RESENT,
    NGX_HTTP_MCP_SSE_COUNT_REDIS_UNANSWERED,   /* given up */

    /* the owner's */

    NGX_HTTP_MCP_SSE_COUNT_REDIS_RECEIVED, /* and accepted */
    NGX_HTTP_MCP_SSE_COUNT_REDIS_DUPLICATE,    /* received again */

    /* refused envelopes and acknowledgements */

    NGX_HTTP_MCP_SSE_COUNT_REDIS_FORGED,
    NGX_HTTP_MCP_SSE_COUNT_REDIS_REPLAYED,
    NGX_HTTP_MCP_SSE_COUNT_REDIS_EXPIRED,
    NGX_HTTP_MCP_SSE_COUNT_REDIS_MALFORMED,

    NGX_HTTP_MCP_SSE_COUNT_REDIS_CONNECTS, /* connections made ready */
    NGX_HTTP_MCP_SSE_COUNT_REDIS_LOST,

    NGX_HTTP_MCP_SSE_COUNTS
} ngx_http_mcp_sse_count_e;


/* what "redis" in a worker's record says; 0: it is not configured */

#define NGX_HTTP_MCP_SSE_REDIS_NEVER   1       /* was not reached yet */
#define NGX_HTTP_MCP_SSE_REDIS_LOST    2
#define NGX_HTTP_MCP_SSE_REDIS_READY   3       /* both connections are */


/* one of the enum; "n" of them */

void ngx_http_mcp_sse_count(ngx_uint_t which);
void ngx_http_mcp_sse_count_n(ngx_uint_t which, ngx_uint_t n);


#endif /* _NGX_HTTP_MCP_SSE_COUNTER_H_INCLUDED_ */

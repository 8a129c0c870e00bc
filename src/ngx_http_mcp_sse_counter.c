
/*
 * Nothing is kept here: the counters are in the root of the zone.
 */

#include "ngx_http_mcp_sse_counter.h"
#include "ngx_http_mcp_sse_zone.h"


void
ngx_http_mcp_sse_count(ngx_uint_t which)
{
    ngx_http_mcp_sse_count_n(which, 1);
}


void
ngx_http_mcp_sse_count_n(ngx_uint_t which, ngx_uint_t n)
{
    (void) ngx_atomic_fetch_add(&ngx_http_mcp_sse_zone()->root->counts[which],
                                n);
}


/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * What is known of the upstream of a call.
 */

#include "ngx_mcp_call_upstream.h"


static ngx_uint_t ngx_mcp_call_unsent(ngx_http_request_t *sr);


void
ngx_mcp_call_upstream(ngx_mcp_call_t *call, ngx_http_request_t *sr)
{
    ngx_http_upstream_t  *u;

    u = sr->upstream;

    call->proxied = (u != NULL);
    call->answered = (u && u->headers_in.status_n == call->status);
    call->unsent = ngx_mcp_call_unsent(sr);

#if (NGX_HTTP_CACHE)

    /* HIT, STALE, UPDATING, and REVALIDATED of $upstream_cache_status */

    call->cached |= sr->cached;

#endif
}


/*
 * Returns whether no byte of the request was sent, to no upstream that was
 * tried.  The connection of the last one is open if the call was ended.
 */

static ngx_uint_t
ngx_mcp_call_unsent(ngx_http_request_t *sr)
{
    ngx_uint_t                  i;
    ngx_http_upstream_t        *u;
    ngx_http_upstream_state_t  *state;

    u = sr->upstream;

    if (u && u->peer.connection && u->peer.connection->sent) {
        return 0;
    }

    if (sr->upstream_states == NULL) {
        return 1;
    }

    state = sr->upstream_states->elts;

    for (i = 0; i < sr->upstream_states->nelts; i++) {
        if (state[i].bytes_sent) {
            return 0;
        }
    }

    return 1;
}

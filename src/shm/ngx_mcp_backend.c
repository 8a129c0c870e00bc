
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * What calls and look-ups have found out of Frappe.  Nothing asks Frappe for
 * it.
 *
 * The members are written without the mutex: workers that note at the same
 * time may leave a time that is a second old.
 */

#include "ngx_mcp_backend.h"
#include "ngx_mcp_zone.h"


#define NGX_MCP_BACKEND_WINDOW  30    /* seconds, docs/PROTOCOL.md 9 */


static ngx_uint_t ngx_mcp_backend_failing(ngx_mcp_backend_t *backend,
    time_t now);


void
ngx_mcp_backend_note(ngx_uint_t kind, ngx_uint_t good)
{
    time_t              now;
    ngx_mcp_backend_t  *backend;

    now = ngx_time();
    backend = &ngx_mcp_zone()->root->backend[kind];

    if (!good) {

        if (backend->bad_since == 0) {
            backend->bad_since = now;
        }

        backend->bad = now;
        return;
    }

    if (backend->good == 0 || ngx_mcp_backend_failing(backend, now)) {
        backend->good_since = now;
    }

    backend->good = now;
    backend->bad_since = 0;
}


void
ngx_mcp_backend_state(ngx_mcp_backend_state_t *state)
{
    time_t              now, since;
    ngx_uint_t          i, failing;
    ngx_mcp_backend_t  *backend;

    now = ngx_time();
    failing = 0;

    state->status = "unknown";
    state->since = 0;
    state->all_failed = 0;

    for (i = 0; i < NGX_MCP_BACKEND_KINDS; i++) {
        backend = &ngx_mcp_zone()->root->backend[i];

        if (ngx_mcp_backend_failing(backend, now)) {
            since = (time_t) backend->bad_since;

            if (!failing || since < state->since) {
                state->status = "failing";
                state->since = since;
            }

            failing = 1;

            if (now - (time_t) backend->bad < NGX_MCP_BACKEND_WINDOW) {
                state->all_failed = 1;
            }

            continue;
        }

        since = (time_t) backend->good_since;

        if (!failing && since > state->since) {
            state->status = "healthy";
            state->since = since;
        }
    }
}


static ngx_uint_t
ngx_mcp_backend_failing(ngx_mcp_backend_t *backend, time_t now)
{
    return backend->bad_since
           && (backend->good == 0
               || now - (time_t) backend->good >= NGX_MCP_BACKEND_WINDOW);
}


/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * GET /health: whether the instance works and may get new clients.
 *
 * All memory is of the pool of the request.
 */

#include "ngx_mcp_health.h"
#include "ngx_mcp_backend.h"
#include "ngx_mcp_bus.h"
#include "ngx_mcp_request.h"
#include "ngx_mcp_response.h"
#include "ngx_mcp_json_text.h"


static const char *ngx_mcp_health_trouble(ngx_mcp_workers_gauges_t *gauges,
    ngx_uint_t *not_ready);
static ngx_uint_t ngx_mcp_health_status(ngx_http_request_t *r,
    ngx_uint_t trouble, ngx_uint_t not_ready, ngx_uint_t all_failed);
static ngx_int_t ngx_mcp_health_body(ngx_http_request_t *r,
    ngx_mcp_workers_gauges_t *gauges, ngx_mcp_backend_state_t *backend,
    const char *reason, ngx_str_t *body);


ngx_int_t
ngx_mcp_health_handler(ngx_http_request_t *r)
{
    ngx_int_t                   rc;
    ngx_str_t                   body;
    const char                 *reason;
    ngx_uint_t                  status, not_ready;
    ngx_mcp_backend_state_t     backend;
    ngx_mcp_workers_gauges_t    gauges;

    if (ngx_mcp_request_status_page(r, &rc) != NGX_OK) {
        return rc;
    }

    ngx_mcp_workers_gauges(&gauges);

    reason = ngx_mcp_health_trouble(&gauges, &not_ready);

    ngx_mcp_backend_state(&backend);

    if (ngx_mcp_health_body(r, &gauges, &backend, reason, &body) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    status = ngx_mcp_health_status(r, reason != NULL, reason && not_ready,
                                   backend.all_failed);

    return ngx_mcp_respond(r, status, &body);
}


/*
 * The status is 200, since the worker answers.  With ?ready=1 it is 503 if the
 * instance is not ready, with ?ready=strict for any trouble, and with
 * ?ready=backend if all calls fail, too.
 */

static ngx_uint_t
ngx_mcp_health_status(ngx_http_request_t *r, ngx_uint_t trouble,
    ngx_uint_t not_ready, ngx_uint_t all_failed)
{
    ngx_str_t  ready;

    if (ngx_http_arg(r, (u_char *) "ready", sizeof("ready") - 1, &ready)
        != NGX_OK
        || ready.len == 0)
    {
        return NGX_HTTP_OK;
    }

    return (not_ready
            || (trouble && ngx_mcp_str_is(&ready, "strict"))
            || (all_failed && ngx_mcp_str_is(&ready, "backend")))
           ? NGX_HTTP_SERVICE_UNAVAILABLE : NGX_HTTP_OK;
}


static const char *
ngx_mcp_health_trouble(ngx_mcp_workers_gauges_t *gauges, ngx_uint_t *not_ready)
{
    ngx_uint_t       lost, events_lost;
    ngx_mcp_zone_t  *zone;

    *not_ready = 1;

    if (ngx_exiting) {
        return "worker is shutting down";
    }

    if (ngx_mcp_workers_self() == NULL) {
        return "worker has no place in the zone";
    }

    zone = ngx_mcp_zone();

    /* there is no room for another message of mcp_sse_max_message */

    if (zone->root->pool->pfree * ngx_pagesize < zone->conf->max_message) {
        return "zone is full";
    }

    lost = gauges->redis[NGX_MCP_REDIS_NEVER]
           + gauges->redis[NGX_MCP_REDIS_LOST];

    if (lost && !zone->root->redis_reached) {
        return "redis was not reached";
    }

    *not_ready = 0;

    events_lost = gauges->events[NGX_MCP_REDIS_NEVER]
                  + gauges->events[NGX_MCP_REDIS_LOST];

    /* without Redis the sessions of this instance work, and so do new ones */

    return lost ? "redis is lost" : events_lost ? "events is lost" : NULL;
}


static ngx_int_t
ngx_mcp_health_body(ngx_http_request_t *r, ngx_mcp_workers_gauges_t *gauges,
    ngx_mcp_backend_state_t *backend, const char *reason, ngx_str_t *body)
{
    u_char      *p;
    size_t       size;
    ngx_uint_t   limit;

    size = sizeof("{\"status\":\"degraded\","
                  "\"service\":\"frappe-assistant-core-sse-bridge\","
                  "\"active_connections\":,\"pending_requests\":,"
                  "\"version\":\"" NGX_MCP_VERSION "\","
                  "\"backend\":{\"status\":\"unknown\",\"since\":},"
                  "\"backend_calls\":{\"limit\":,\"running\":,"
                  "\"waiting\":},"
                  "\"reason\":\"\"}")
           + 5 * NGX_INT_T_LEN + NGX_TIME_T_LEN
           + (reason ? ngx_strlen(reason) : 0);

    p = ngx_pnalloc(r->pool, size);
    if (p == NULL) {
        return NGX_ERROR;
    }

    body->data = p;

    p = ngx_sprintf(p, "{\"status\":\"%s\","
                    "\"service\":\"frappe-assistant-core-sse-bridge\","
                    "\"active_connections\":%ui,\"pending_requests\":%ui,"
                    "\"version\":\"" NGX_MCP_VERSION "\"",
                    reason ? "degraded" : "healthy", gauges->streams,
                    gauges->pending);

    p = ngx_sprintf(p, ",\"backend\":{\"status\":\"%s\"", backend->status);

    if (backend->since) {
        p = ngx_sprintf(p, ",\"since\":%T", backend->since);
    }

    *p++ = '}';

    limit = ngx_mcp_zone()->root->backend_calls;

    if (limit) {
        p = ngx_sprintf(p, ",\"backend_calls\":{\"limit\":%ui,"
                        "\"running\":%ui,\"waiting\":%ui}",
                        limit, gauges->places, gauges->calls_waiting);
    }

    if (reason) {
        p = ngx_sprintf(p, ",\"reason\":\"%s\"", reason);
    }

    *p++ = '}';

    body->len = p - body->data;

    return NGX_OK;
}

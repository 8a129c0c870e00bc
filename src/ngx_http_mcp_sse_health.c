
/*
 * Everything is in the pool of the request.
 */

#include "ngx_http_mcp_sse_health.h"
#include "ngx_http_mcp_sse_response.h"
#include "ngx_http_mcp_sse_bus.h"


static ngx_int_t ngx_http_mcp_sse_health_body(ngx_http_request_t *r,
    const char *reason, ngx_str_t *body);
static const char *ngx_http_mcp_sse_health_trouble(void);


ngx_int_t
ngx_http_mcp_sse_health_handler(ngx_http_request_t *r)
{
    ngx_str_t                body, ready;
    const char              *reason;
    ngx_uint_t               status;
    ngx_http_mcp_sse_ctx_t  *ctx;

    ctx = ngx_pcalloc(r->pool, sizeof(ngx_http_mcp_sse_ctx_t));
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->request = r;
    ngx_str_set(&ctx->methods, "GET, HEAD");

    ngx_http_set_ctx(r, ctx, ngx_http_mcp_sse_module);

    if (!(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD))) {
        return ngx_http_mcp_sse_refuse(r, NGX_HTTP_NOT_ALLOWED,
                                       NGX_HTTP_MCP_SSE_INVALID_REQUEST,
                                       "Method not allowed");
    }

    reason = ngx_http_mcp_sse_health_trouble();

    if (ngx_http_mcp_sse_health_body(r, reason, &body) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    /* alive as long as it answers; ready for more is another question */

    status = NGX_HTTP_OK;

    if (reason
        && ngx_http_arg(r, (u_char *) "ready", sizeof("ready") - 1, &ready)
           == NGX_OK
        && ready.len)
    {
        status = NGX_HTTP_SERVICE_UNAVAILABLE;
    }

    return ngx_http_mcp_sse_respond(r, status, &body);
}


static const char *
ngx_http_mcp_sse_health_trouble(void)
{
    ngx_http_mcp_sse_zone_t  *zone;

    if (ngx_exiting) {
        return "worker is shutting down";
    }

    zone = ngx_http_mcp_sse_zone();

    /* full: another message of the largest size would be refused */

    if (zone->shpool->pfree * ngx_pagesize < zone->conf->max_message) {
        return "zone is full";
    }

    return NULL;
}


static ngx_int_t
ngx_http_mcp_sse_health_body(ngx_http_request_t *r, const char *reason,
    ngx_str_t *body)
{
    u_char                     *p;
    size_t                      size;
    ngx_http_mcp_sse_gauges_t   gauges;

    ngx_http_mcp_sse_shm_gauges(&gauges);

    size = sizeof("{\"status\":\"degraded\","
                  "\"service\":\"frappe-assistant-core-sse-bridge\","
                  "\"active_connections\":,\"pending_requests\":,"
                  "\"version\":\"" NGX_HTTP_MCP_SSE_VERSION "\","
                  "\"reason\":\"\"}")
           + 2 * NGX_INT_T_LEN + (reason ? ngx_strlen(reason) : 0);

    p = ngx_pnalloc(r->pool, size);
    if (p == NULL) {
        return NGX_ERROR;
    }

    body->data = p;

    p = ngx_sprintf(p, "{\"status\":\"%s\","
                    "\"service\":\"frappe-assistant-core-sse-bridge\","
                    "\"active_connections\":%ui,\"pending_requests\":%ui,"
                    "\"version\":\"" NGX_HTTP_MCP_SSE_VERSION "\"",
                    reason ? "degraded" : "healthy", gauges.streams,
                    gauges.pending);

    if (reason) {
        p = ngx_sprintf(p, ",\"reason\":\"%s\"", reason);
    }

    *p++ = '}';

    body->len = p - body->data;

    return NGX_OK;
}

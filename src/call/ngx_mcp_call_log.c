
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * The log line of a call without a usable answer: its status and what the
 * operator should check.
 */

#include "ngx_mcp_call_log.h"


/* Frappe: a method does not exist (frappe.exceptions.ValidationError) */

#define NGX_MCP_CALL_LOG_NO_METHOD  417


static const char *ngx_mcp_call_log_hint(ngx_mcp_call_t *call);
static const char *ngx_mcp_call_log_gateway(ngx_mcp_call_t *call);


void
ngx_mcp_call_log_error(ngx_mcp_call_t *call, const char *what)
{
    if (call->proxied && call->status == NGX_HTTP_NOT_FOUND) {
        ngx_log_error(NGX_LOG_ERR, &call->log, 0,
                      "mcp sse: %s at \"%V\" answered 404, check that Frappe "
                      "has the site \"%V\" of mcp_sse_site (FRAPPE_SITE)",
                      what, &call->uri, &call->ctx.vars.site);
        return;
    }

    ngx_log_error(NGX_LOG_ERR, &call->log, 0,
                  "mcp sse: %s at \"%V\" answered %ui%s", what, &call->uri,
                  call->status, ngx_mcp_call_log_hint(call));
}


/*
 * Returns what the operator should check.
 */

static const char *
ngx_mcp_call_log_hint(ngx_mcp_call_t *call)
{
    if (!call->proxied) {
        return (call->status == NGX_HTTP_NOT_FOUND)
               ? " by nginx itself, check that a location with proxy_pass "
                 "matches it"
               : " by nginx itself";
    }

    switch (call->status) {

    case NGX_HTTP_OK:
    case NGX_HTTP_ACCEPTED:
    case NGX_HTTP_NO_CONTENT:
    case NGX_HTTP_BAD_REQUEST:
        return " without a usable body";

    case NGX_HTTP_MOVED_PERMANENTLY:
    case NGX_HTTP_MOVED_TEMPORARILY:
    case NGX_HTTP_TEMPORARY_REDIRECT:
    case NGX_HTTP_PERMANENT_REDIRECT:
        return ", a redirect: check that proxy_pass (FRAPPE_URL) has the "
               "address of Frappe itself, with https if it requires that";

    case NGX_MCP_CALL_LOG_NO_METHOD:
        return ", check that Frappe has the method in proxy_pass "
               "(FRAPPE_METHOD)";

    case NGX_HTTP_BAD_GATEWAY:
    case NGX_HTTP_GATEWAY_TIME_OUT:
        return ngx_mcp_call_log_gateway(call);

    case NGX_HTTP_SERVICE_UNAVAILABLE:
        return ", check whether the site is in maintenance (bench migrate)";

    default:
        return "";
    }
}


static const char *
ngx_mcp_call_log_gateway(ngx_mcp_call_t *call)
{
    if (call->answered || call->unsent) {
        return ", check that Frappe runs at the address in proxy_pass "
               "(FRAPPE_URL)";
    }

    if (call->status == NGX_HTTP_GATEWAY_TIME_OUT) {
        return ", it was sent and not answered in time, check whether Frappe "
               "has a free worker (gunicorn_workers)";
    }

    return ", it was sent and Frappe closed the connection, check whether a "
           "worker of gunicorn was killed or restarted";
}


/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * The module: table of directives, start and end of a worker.  Setters that
 * nginx does not have, merging and defaults are in src/conf.
 * docs/ARCHITECTURE.md, section 11, lists what a new directive touches.
 */

#include "ngx_mcp.h"
#include "ngx_mcp_backend_calls.h"
#include "ngx_mcp_conf.h"
#include "ngx_mcp_conf_merge.h"
#include "ngx_mcp_events.h"
#include "ngx_mcp_events_conf.h"
#include "ngx_mcp_redis_conf.h"
#include "ngx_mcp_redis_ssl_conf.h"
#include "ngx_mcp_sse.h"
#include "ngx_mcp_message.h"
#include "ngx_mcp_place_queue.h"
#include "ngx_mcp_push.h"
#include "ngx_mcp_streamable.h"
#include "ngx_mcp_health.h"
#include "ngx_mcp_metrics.h"
#include "ngx_mcp_resource_metadata.h"
#include "ngx_mcp_shutdown.h"
#include "ngx_mcp_auth_session.h"
#include "ngx_mcp_session.h"
#include "ngx_mcp_session_http.h"
#include "ngx_mcp_call.h"
#include "ngx_mcp_call_filter.h"
#include "ngx_mcp_json_only.h"
#include "ngx_mcp_request_line.h"
#include "ngx_mcp_variables.h"
#include "ngx_mcp_zone_conf.h"


static ngx_int_t ngx_http_mcp_sse_preconfiguration(ngx_conf_t *cf);
static ngx_int_t ngx_http_mcp_sse_postconfiguration(ngx_conf_t *cf);
static ngx_int_t ngx_http_mcp_sse_init_process(ngx_cycle_t *cycle);
static void ngx_http_mcp_sse_exit_process(ngx_cycle_t *cycle);


static ngx_mcp_endpoint_t  ngx_http_mcp_sse_stream_endpoint =
    { ngx_mcp_sse_handler, 1 };
static ngx_mcp_endpoint_t  ngx_http_mcp_sse_message_endpoint =
    { ngx_mcp_message_handler, 1 };
static ngx_mcp_endpoint_t  ngx_http_mcp_sse_http_endpoint =
    { ngx_mcp_streamable_handler, 1 };
static ngx_mcp_endpoint_t  ngx_http_mcp_sse_health_endpoint =
    { ngx_mcp_health_handler, 0 };
static ngx_mcp_endpoint_t  ngx_http_mcp_sse_metrics_endpoint =
    { ngx_mcp_metrics_handler, 0 };
static ngx_mcp_endpoint_t  ngx_http_mcp_sse_resource_metadata_endpoint =
    { ngx_mcp_resource_metadata_handler, 0 };


static ngx_conf_num_bounds_t  ngx_http_mcp_sse_at_least_one = {
    ngx_conf_check_num_bounds, 1, NGX_MAX_INT32_VALUE
};


static ngx_command_t  ngx_http_mcp_sse_commands[] = {

    /* endpoints: one for a location */

    { ngx_string("mcp_sse_stream"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_mcp_set_endpoint,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      &ngx_http_mcp_sse_stream_endpoint },

    { ngx_string("mcp_sse_message"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_mcp_set_endpoint,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      &ngx_http_mcp_sse_message_endpoint },

    { ngx_string("mcp_sse_http"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_mcp_set_endpoint,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      &ngx_http_mcp_sse_http_endpoint },

    { ngx_string("mcp_sse_health"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_mcp_set_endpoint,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      &ngx_http_mcp_sse_health_endpoint },

    { ngx_string("mcp_sse_metrics"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_mcp_set_endpoint,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      &ngx_http_mcp_sse_metrics_endpoint },

    { ngx_string("mcp_sse_resource_metadata"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_mcp_set_endpoint,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      &ngx_http_mcp_sse_resource_metadata_endpoint },

    /* common to all locations: shared memory, Redis, messages, shutdown */

    { ngx_string("mcp_sse_zone"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_mcp_conf_zone,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("mcp_sse_key"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_mcp_conf_key,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("mcp_sse_redis"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_1MORE,
      ngx_mcp_redis_conf,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("mcp_sse_events"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_1MORE,
      ngx_mcp_events_conf,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("mcp_sse_redis_ssl_verify"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_FLAG,
      ngx_mcp_redis_ssl_flag,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_mcp_main_conf_t, redis_ssl.verify),
      NULL },

    { ngx_string("mcp_sse_redis_ssl_trusted_certificate"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_mcp_redis_ssl_str,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_mcp_main_conf_t, redis_ssl.trusted_certificate),
      NULL },

    { ngx_string("mcp_sse_redis_ssl_certificate"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_mcp_redis_ssl_str,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_mcp_main_conf_t, redis_ssl.certificate),
      NULL },

    { ngx_string("mcp_sse_redis_ssl_certificate_key"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_mcp_redis_ssl_str,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_mcp_main_conf_t, redis_ssl.certificate_key),
      NULL },

    { ngx_string("mcp_sse_redis_ssl_name"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_mcp_redis_ssl_str,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_mcp_main_conf_t, redis_ssl.name),
      NULL },

    { ngx_string("mcp_sse_max_inbox"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_mcp_main_conf_t, max_inbox),
      &ngx_http_mcp_sse_at_least_one },

    { ngx_string("mcp_sse_auth_lookups"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_mcp_main_conf_t, auth_lookups),
      &ngx_http_mcp_sse_at_least_one },

    { ngx_string("mcp_sse_backend_calls"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE12,
      ngx_mcp_backend_calls,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("mcp_sse_max_message"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_mcp_conf_size,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_mcp_main_conf_t, max_message),
      NULL },

    { ngx_string("mcp_sse_drain"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_mcp_main_conf_t, drain),
      NULL },

    /* Frappe: where calls and look-ups go, the user, the site */

    { ngx_string("mcp_sse_call"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_mcp_conf_uri,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_mcp_loc_conf_t, call_uri),
      &ngx_http_mcp_sse_module },

    { ngx_string("mcp_sse_user"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_mcp_conf_uri,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_mcp_loc_conf_t, user_uri),
      &ngx_http_mcp_sse_module },

    { ngx_string("mcp_sse_principal"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_set_complex_value_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_mcp_loc_conf_t, principal),
      NULL },

    { ngx_string("mcp_sse_site"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_set_complex_value_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_mcp_loc_conf_t, site),
      NULL },

    { ngx_string("mcp_sse_events_site"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_set_complex_value_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_mcp_loc_conf_t, events_site),
      NULL },

    /* URLs of this server, as clients know them */

    { ngx_string("mcp_sse_server_url"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_mcp_conf_server_url,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("mcp_sse_public_url"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_mcp_conf_public_url,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_mcp_loc_conf_t, public_url),
      NULL },

    { ngx_string("mcp_sse_auth_server"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_mcp_conf_public_url,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_mcp_loc_conf_t, auth_server),
      NULL },

    { ngx_string("mcp_sse_json_only"),
      NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_mcp_loc_conf_t, json_only),
      NULL },

    { ngx_string("mcp_sse_message_uri"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_mcp_conf_uri,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_mcp_loc_conf_t, message_uri),
      NULL },

    /* methods that are answered without Frappe */

    { ngx_string("mcp_sse_local"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_mcp_conf_local,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("mcp_sse_ping_result"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_enum_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_mcp_loc_conf_t, ping_result),
      ngx_mcp_conf_ping_results },

    { ngx_string("mcp_sse_header_check"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_enum_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_mcp_loc_conf_t, header_check),
      ngx_mcp_conf_header_checks },

    /* times of streams, sessions and calls */

    { ngx_string("mcp_sse_keepalive"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE12,
      ngx_mcp_conf_keepalive,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_mcp_loc_conf_t, keepalive),
      &ngx_http_mcp_sse_module },

    { ngx_string("mcp_sse_grace"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_mcp_loc_conf_t, grace),
      NULL },

    { ngx_string("mcp_sse_idle_timeout"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_mcp_conf_time,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_mcp_loc_conf_t, idle_timeout),
      &ngx_http_mcp_sse_module },

    { ngx_string("mcp_sse_session_ttl"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_mcp_conf_sec,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_mcp_loc_conf_t, session_ttl),
      NULL },

    { ngx_string("mcp_sse_call_timeout"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_mcp_conf_time,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_mcp_loc_conf_t, call_timeout),
      NULL },

    { ngx_string("mcp_sse_ask_timeout"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_mcp_conf_time,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_mcp_loc_conf_t, ask_timeout),
      NULL },

    { ngx_string("mcp_sse_progress"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_mcp_conf_time,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_mcp_loc_conf_t, progress),
      &ngx_http_mcp_sse_module },

    { ngx_string("mcp_sse_stream_after"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_mcp_conf_time,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_mcp_loc_conf_t, stream_after),
      &ngx_http_mcp_sse_module },

    { ngx_string("mcp_sse_retry"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_mcp_conf_time,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_mcp_loc_conf_t, retry),
      NULL },

    /* limits of answers, streams and users */

    { ngx_string("mcp_sse_max_answer"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_mcp_conf_size,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_mcp_loc_conf_t, max_answer),
      NULL },

    { ngx_string("mcp_sse_queue"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_mcp_conf_size,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_mcp_loc_conf_t, queue),
      NULL },

    { ngx_string("mcp_sse_max_calls"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_mcp_loc_conf_t, max_calls),
      &ngx_http_mcp_sse_at_least_one },

    { ngx_string("mcp_sse_max_sessions"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_mcp_loc_conf_t, max_sessions),
      &ngx_http_mcp_sse_at_least_one },

    /* who may send requests, and what goes to Frappe */

    { ngx_string("mcp_sse_origin"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_mcp_conf_origin,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("mcp_sse_auth_cache"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_mcp_loc_conf_t, auth_cache),
      NULL },

    { ngx_string("mcp_sse_auth_recheck"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_mcp_conf_time,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_mcp_loc_conf_t, auth_recheck),
      NULL },

    { ngx_string("mcp_sse_auth_wait"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_mcp_loc_conf_t, auth_wait),
      NULL },

    { ngx_string("mcp_sse_auth_stale"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_mcp_loc_conf_t, auth_stale),
      NULL },

    { ngx_string("mcp_sse_api_secret"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_mcp_conf_api_secret,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("mcp_sse_cookie"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_mcp_loc_conf_t, cookie),
      NULL },

    { ngx_string("mcp_sse_pass_header"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_mcp_conf_pass_header,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_mcp_sse_module_ctx = {
    ngx_http_mcp_sse_preconfiguration,     /* preconfiguration */
    ngx_http_mcp_sse_postconfiguration,    /* postconfiguration */

    ngx_mcp_create_main_conf,              /* create main configuration */
    ngx_mcp_init_main_conf,                /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_mcp_create_loc_conf,               /* create location configuration */
    ngx_mcp_merge_loc_conf                 /* merge location configuration */
};


ngx_module_t  ngx_http_mcp_sse_module = {
    NGX_MODULE_V1,
    &ngx_http_mcp_sse_module_ctx,          /* module context */
    ngx_http_mcp_sse_commands,             /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    ngx_http_mcp_sse_init_process,         /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    ngx_http_mcp_sse_exit_process,         /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static ngx_int_t
ngx_http_mcp_sse_preconfiguration(ngx_conf_t *cf)
{
    return ngx_mcp_variables_add(cf);
}


/*
 * Adds the zone, the phase handlers and the filter, if there is an endpoint.
 */

static ngx_int_t
ngx_http_mcp_sse_postconfiguration(ngx_conf_t *cf)
{
    ngx_http_handler_pt        *h;
    ngx_http_core_main_conf_t  *cmcf;
    ngx_mcp_main_conf_t        *mcf;

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_mcp_sse_module);

    if (!mcf->used) {
        return NGX_OK;
    }

    if (ngx_mcp_redis_conf_check(cf, mcf) != NGX_OK
        || ngx_mcp_events_conf_check(cf, mcf) != NGX_OK
        || ngx_mcp_zone_conf_add(cf, mcf) != NGX_OK
        || ngx_mcp_request_line_init(cf) != NGX_OK)
    {
        return NGX_ERROR;
    }

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_PREACCESS_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = ngx_mcp_call_length_handler;

    ngx_mcp_call_filter_init();
    ngx_mcp_json_only_init();

    return NGX_OK;
}


static ngx_int_t
ngx_http_mcp_sse_init_process(ngx_cycle_t *cycle)
{
    ngx_mcp_main_conf_t  *mcf;

    if (ngx_process != NGX_PROCESS_WORKER && ngx_process != NGX_PROCESS_SINGLE)
    {
        return NGX_OK;
    }

    mcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_mcp_sse_module);

    if (mcf == NULL || mcf->zone == NULL) {
        return NGX_OK;
    }

    ngx_mcp_event_init(cycle->log);
    ngx_mcp_timer_init(cycle, ngx_mcp_shutdown);
    ngx_mcp_auth_session_init();
    ngx_mcp_session_http_init();
    ngx_mcp_place_queue_init();

    if (ngx_mcp_session_init(cycle) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_mcp_push_init(cycle);
}


static void
ngx_http_mcp_sse_exit_process(ngx_cycle_t *cycle)
{
    ngx_mcp_events_exit();
    ngx_mcp_session_exit();
}

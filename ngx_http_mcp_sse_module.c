
/*
 * Directives, life cycle.
 */

#include "ngx_mcp.h"
#include "ngx_mcp_session_http.h"
#include "ngx_mcp_auth.h"
#include "ngx_mcp_call.h"
#include "ngx_mcp_call_filter.h"
#include "ngx_mcp_conf.h"
#include "ngx_mcp_sse.h"
#include "ngx_mcp_session_timers.h"
#include "ngx_mcp_health.h"
#include "ngx_mcp_auth_lookup.h"
#include "ngx_mcp_conf_merge.h"
#include "ngx_mcp_message.h"
#include "ngx_mcp_metrics.h"
#include "ngx_mcp_redis_url.h"
#include "ngx_mcp_session.h"
#include "ngx_mcp_suspend.h"
#include "ngx_mcp_streamable.h"
#include "ngx_mcp_variables.h"
#include "ngx_mcp_zone.h"


#define NGX_MCP_BEFORE_END_MS  1000


static ngx_int_t ngx_http_mcp_sse_preconfiguration(ngx_conf_t *cf);
static ngx_int_t ngx_http_mcp_sse_postconfiguration(ngx_conf_t *cf);
static char *ngx_http_mcp_sse_endpoint(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static ngx_int_t ngx_http_mcp_sse_init_process(ngx_cycle_t *cycle);
static void ngx_http_mcp_sse_exit_process(ngx_cycle_t *cycle);
static void ngx_http_mcp_sse_exiting(void);
static void ngx_http_mcp_sse_stop(void *data);


static ngx_mcp_timer_t  ngx_http_mcp_sse_end;


static ngx_mcp_endpoint_t  ngx_http_mcp_sse_stream_endpoint = {
    ngx_mcp_sse_handler, 1
};

static ngx_mcp_endpoint_t  ngx_http_mcp_sse_message_endpoint = {
    ngx_mcp_message_handler, 1
};

static ngx_mcp_endpoint_t  ngx_http_mcp_sse_http_endpoint = {
    ngx_mcp_streamable_handler, 1
};

static ngx_mcp_endpoint_t  ngx_http_mcp_sse_health_endpoint = {
    ngx_mcp_health_handler, 0
};

static ngx_mcp_endpoint_t  ngx_http_mcp_sse_metrics_endpoint = {
    ngx_mcp_metrics_handler, 0
};


static ngx_conf_num_bounds_t  ngx_http_mcp_sse_at_least_one = {
    ngx_conf_check_num_bounds, 1, NGX_MAX_INT32_VALUE
};


static ngx_conf_enum_t  ngx_http_mcp_sse_ping_results[] = {
    { ngx_string("meta"), NGX_MCP_PING_META },
    { ngx_string("result"), NGX_MCP_PING_RESULT },
    { ngx_string("empty"), NGX_MCP_PING_EMPTY },
    { ngx_null_string, 0 }
};


static ngx_command_t  ngx_http_mcp_sse_commands[] = {

    { ngx_string("mcp_sse_stream"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_http_mcp_sse_endpoint,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      &ngx_http_mcp_sse_stream_endpoint },

    { ngx_string("mcp_sse_message"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_http_mcp_sse_endpoint,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      &ngx_http_mcp_sse_message_endpoint },

    { ngx_string("mcp_sse_http"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_http_mcp_sse_endpoint,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      &ngx_http_mcp_sse_http_endpoint },

    { ngx_string("mcp_sse_health"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_http_mcp_sse_endpoint,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      &ngx_http_mcp_sse_health_endpoint },

    { ngx_string("mcp_sse_metrics"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_http_mcp_sse_endpoint,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      &ngx_http_mcp_sse_metrics_endpoint },

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
      ngx_mcp_redis_url,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("mcp_sse_max_inbox"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_mcp_main_conf_t, max_inbox),
      &ngx_http_mcp_sse_at_least_one },

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
      0,
      NULL },

    { ngx_string("mcp_sse_message_uri"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_mcp_conf_uri,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_mcp_loc_conf_t, message_uri),
      NULL },

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
      ngx_http_mcp_sse_ping_results },

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

    { ngx_string("mcp_sse_retry"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_mcp_conf_time,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_mcp_loc_conf_t, retry),
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
 * The zone is there only where it is used.
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

    if (ngx_mcp_redis_url_check(cf, mcf) != NGX_OK
        || ngx_mcp_zone_add(cf, mcf) != NGX_OK)
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

    return NGX_OK;
}


static char *
ngx_http_mcp_sse_endpoint(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_mcp_loc_conf_t  *mlcf = conf;

    ngx_http_core_loc_conf_t  *clcf;
    ngx_mcp_endpoint_t        *endpoint = cmd->post;

    if (mlcf->handler.len) {
        return "is duplicate";
    }

    mlcf->handler = cmd->name;
    mlcf->endpoint = endpoint;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = endpoint->handler;

    return NGX_CONF_OK;
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

    ngx_mcp_timer_init(cycle, ngx_http_mcp_sse_exiting);
    ngx_mcp_session_timers_init(ngx_mcp_auth_recheck);
    ngx_mcp_session_http_init();

    return ngx_mcp_session_init(cycle);
}


static void
ngx_http_mcp_sse_exit_process(ngx_cycle_t *cycle)
{
    ngx_mcp_session_exit();
}


/*
 * The worker has begun to shut down.  It goes on as before until its streams
 * have been let go, and ends what is left before nginx would cut it.
 */

static void
ngx_http_mcp_sse_exiting(void)
{
    ngx_msec_t            end;
    ngx_core_conf_t      *ccf;
    ngx_mcp_main_conf_t  *mcf;

    ccf = (ngx_core_conf_t *) ngx_get_conf(ngx_cycle->conf_ctx,
                                           ngx_core_module);
    mcf = ngx_mcp_zone()->conf;

    end = mcf->longest_call;

    if (ccf->shutdown_timeout) {
        end = (ccf->shutdown_timeout > 2 * NGX_MCP_BEFORE_END_MS)
              ? ccf->shutdown_timeout - NGX_MCP_BEFORE_END_MS
              : ccf->shutdown_timeout / 2;
    }

    ngx_mcp_session_timers_drain(ngx_min(mcf->drain, end));

    ngx_http_mcp_sse_end.handler = ngx_http_mcp_sse_stop;
    ngx_mcp_timer_set(&ngx_http_mcp_sse_end, end);
}


static void
ngx_http_mcp_sse_stop(void *data)
{
    ngx_mcp_session_timers_stop();
    ngx_mcp_session_http_stop();
    ngx_mcp_resume_all();
    ngx_mcp_auth_lookup_stop();
}

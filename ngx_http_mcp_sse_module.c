
/*
 * Directives, merging, life cycle.
 */

#include "ngx_http_mcp_sse.h"
#include "ngx_http_mcp_sse_actor.h"
#include "ngx_http_mcp_sse_auth.h"
#include "ngx_http_mcp_sse_call.h"
#include "ngx_http_mcp_sse_capture.h"
#include "ngx_http_mcp_sse_conf.h"
#include "ngx_http_mcp_sse_connect.h"
#include "ngx_http_mcp_sse_health.h"
#include "ngx_http_mcp_sse_lookup.h"
#include "ngx_http_mcp_sse_message.h"
#include "ngx_http_mcp_sse_metrics.h"
#include "ngx_http_mcp_sse_expiry.h"
#include "ngx_http_mcp_sse_redis_url.h"
#include "ngx_http_mcp_sse_session.h"
#include "ngx_http_mcp_sse_sleep.h"
#include "ngx_http_mcp_sse_streamable.h"
#include "ngx_http_mcp_sse_var.h"
#include "ngx_http_mcp_sse_zone.h"


#define NGX_HTTP_MCP_SSE_ZONE_SIZE    (8 * 1024 * 1024)
#define NGX_HTTP_MCP_SSE_BEFORE_END   1000


typedef struct {
    ngx_http_handler_pt   handler;
    ngx_uint_t            calls;       /* it calls Frappe */
} ngx_http_mcp_sse_endpoint_t;


static ngx_int_t ngx_http_mcp_sse_preconfiguration(ngx_conf_t *cf);
static ngx_int_t ngx_http_mcp_sse_postconfiguration(ngx_conf_t *cf);
static void *ngx_http_mcp_sse_create_main_conf(ngx_conf_t *cf);
static char *ngx_http_mcp_sse_init_main_conf(ngx_conf_t *cf, void *conf);
static void *ngx_http_mcp_sse_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_mcp_sse_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child);
static char *ngx_http_mcp_sse_check_endpoint(ngx_conf_t *cf,
    ngx_http_mcp_sse_loc_conf_t *conf);
static char *ngx_http_mcp_sse_endpoint(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static ngx_int_t ngx_http_mcp_sse_init_process(ngx_cycle_t *cycle);
static void ngx_http_mcp_sse_exit_process(ngx_cycle_t *cycle);
static void ngx_http_mcp_sse_exiting(void);
static void ngx_http_mcp_sse_stop(void *data);


static ngx_http_mcp_sse_timer_t  ngx_http_mcp_sse_end;


static ngx_http_mcp_sse_endpoint_t  ngx_http_mcp_sse_stream_endpoint = {
    ngx_http_mcp_sse_connect_handler, 1
};

static ngx_http_mcp_sse_endpoint_t  ngx_http_mcp_sse_message_endpoint = {
    ngx_http_mcp_sse_message_handler, 1
};

static ngx_http_mcp_sse_endpoint_t  ngx_http_mcp_sse_http_endpoint = {
    ngx_http_mcp_sse_streamable_handler, 1
};

static ngx_http_mcp_sse_endpoint_t  ngx_http_mcp_sse_health_endpoint = {
    ngx_http_mcp_sse_health_handler, 0
};

static ngx_http_mcp_sse_endpoint_t  ngx_http_mcp_sse_metrics_endpoint = {
    ngx_http_mcp_sse_metrics_handler, 0
};


static ngx_conf_num_bounds_t  ngx_http_mcp_sse_at_least_one = {
    ngx_conf_check_num_bounds, 1, NGX_MAX_INT32_VALUE
};


static ngx_conf_enum_t  ngx_http_mcp_sse_ping_results[] = {
    { ngx_string("meta"), NGX_HTTP_MCP_SSE_PING_META },
    { ngx_string("result"), NGX_HTTP_MCP_SSE_PING_RESULT },
    { ngx_string("empty"), NGX_HTTP_MCP_SSE_PING_EMPTY },
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
      ngx_http_mcp_sse_conf_zone,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("mcp_sse_key"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_http_mcp_sse_conf_key,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("mcp_sse_redis"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_1MORE,
      ngx_http_mcp_sse_redis_url,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("mcp_sse_max_inbox"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_mcp_sse_main_conf_t, max_inbox),
      &ngx_http_mcp_sse_at_least_one },

    { ngx_string("mcp_sse_max_message"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_http_mcp_sse_conf_size,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_mcp_sse_main_conf_t, max_message),
      NULL },

    { ngx_string("mcp_sse_drain"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_mcp_sse_main_conf_t, drain),
      NULL },

    { ngx_string("mcp_sse_call"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_mcp_sse_conf_uri,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_mcp_sse_loc_conf_t, call_uri),
      &ngx_http_mcp_sse_module },

    { ngx_string("mcp_sse_user"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_mcp_sse_conf_uri,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_mcp_sse_loc_conf_t, user_uri),
      &ngx_http_mcp_sse_module },

    { ngx_string("mcp_sse_principal"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_set_complex_value_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_mcp_sse_loc_conf_t, principal),
      NULL },

    { ngx_string("mcp_sse_site"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_set_complex_value_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_mcp_sse_loc_conf_t, site),
      NULL },

    { ngx_string("mcp_sse_server_url"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_mcp_sse_conf_urls,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("mcp_sse_public_url"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_mcp_sse_conf_public_url,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("mcp_sse_message_uri"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_mcp_sse_conf_uri,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_mcp_sse_loc_conf_t, message_uri),
      NULL },

    { ngx_string("mcp_sse_local"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_mcp_sse_conf_local,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("mcp_sse_ping_result"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_enum_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_mcp_sse_loc_conf_t, ping_result),
      ngx_http_mcp_sse_ping_results },

    { ngx_string("mcp_sse_keepalive"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE12,
      ngx_http_mcp_sse_conf_keepalive,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_mcp_sse_loc_conf_t, keepalive),
      &ngx_http_mcp_sse_module },

    { ngx_string("mcp_sse_grace"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_mcp_sse_loc_conf_t, grace),
      NULL },

    { ngx_string("mcp_sse_idle_timeout"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_mcp_sse_conf_time,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_mcp_sse_loc_conf_t, idle_timeout),
      &ngx_http_mcp_sse_module },

    { ngx_string("mcp_sse_session_ttl"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_sec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_mcp_sse_loc_conf_t, session_ttl),
      NULL },

    { ngx_string("mcp_sse_call_timeout"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_mcp_sse_conf_time,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_mcp_sse_loc_conf_t, call_timeout),
      NULL },

    { ngx_string("mcp_sse_progress"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_mcp_sse_conf_time,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_mcp_sse_loc_conf_t, progress),
      &ngx_http_mcp_sse_module },

    { ngx_string("mcp_sse_stream_after"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_mcp_sse_conf_time,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_mcp_sse_loc_conf_t, stream_after),
      &ngx_http_mcp_sse_module },

    { ngx_string("mcp_sse_max_answer"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_mcp_sse_conf_size,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_mcp_sse_loc_conf_t, max_answer),
      NULL },

    { ngx_string("mcp_sse_queue"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_mcp_sse_conf_size,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_mcp_sse_loc_conf_t, queue),
      NULL },

    { ngx_string("mcp_sse_max_calls"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_mcp_sse_loc_conf_t, max_calls),
      &ngx_http_mcp_sse_at_least_one },

    { ngx_string("mcp_sse_max_sessions"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_mcp_sse_loc_conf_t, max_sessions),
      &ngx_http_mcp_sse_at_least_one },

    { ngx_string("mcp_sse_origin"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_mcp_sse_conf_origin,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("mcp_sse_auth_cache"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_mcp_sse_loc_conf_t, auth_cache),
      NULL },

    { ngx_string("mcp_sse_auth_recheck"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_mcp_sse_conf_time,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_mcp_sse_loc_conf_t, auth_recheck),
      NULL },

    { ngx_string("mcp_sse_auth_wait"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_mcp_sse_loc_conf_t, auth_wait),
      NULL },

    { ngx_string("mcp_sse_auth_stale"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_mcp_sse_loc_conf_t, auth_stale),
      NULL },

    { ngx_string("mcp_sse_api_secret"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_mcp_sse_conf_api_secret,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("mcp_sse_cookie"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_mcp_sse_loc_conf_t, cookie),
      NULL },

    { ngx_string("mcp_sse_pass_header"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_mcp_sse_conf_pass_header,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("mcp_sse_retry"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_mcp_sse_conf_time,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_mcp_sse_loc_conf_t, retry),
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_mcp_sse_module_ctx = {
    ngx_http_mcp_sse_preconfiguration,     /* preconfiguration */
    ngx_http_mcp_sse_postconfiguration,    /* postconfiguration */

    ngx_http_mcp_sse_create_main_conf,     /* create main configuration */
    ngx_http_mcp_sse_init_main_conf,       /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_mcp_sse_create_loc_conf,      /* create location configuration */
    ngx_http_mcp_sse_merge_loc_conf        /* merge location configuration */
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
    return ngx_http_mcp_sse_var_add(cf);
}


static void *
ngx_http_mcp_sse_create_main_conf(ngx_conf_t *cf)
{
    ngx_http_mcp_sse_main_conf_t  *mcf;

    mcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_mcp_sse_main_conf_t));
    if (mcf == NULL) {
        return NULL;
    }

    /*
     * set by ngx_pcalloc():
     *
     *     mcf->zone_name = { 0, NULL };
     *     mcf->zone = NULL;
     *     mcf->keys = NULL;
     *     mcf->redis = NULL;
     *     mcf->used = 0;
     *     mcf->longest_call = 0;
     */

    mcf->max_inbox = NGX_CONF_UNSET;
    mcf->max_message = NGX_CONF_UNSET_SIZE;
    mcf->drain = NGX_CONF_UNSET_MSEC;

    return mcf;
}


static char *
ngx_http_mcp_sse_init_main_conf(ngx_conf_t *cf, void *conf)
{
    ngx_http_mcp_sse_main_conf_t  *mcf = conf;

    ngx_conf_init_value(mcf->max_inbox, 256);
    ngx_conf_init_size_value(mcf->max_message, 1024 * 1024);
    ngx_conf_init_msec_value(mcf->drain, 4000);

    if (mcf->zone_name.len == 0) {
        ngx_str_set(&mcf->zone_name, "mcp_sse");
        mcf->zone_size = NGX_HTTP_MCP_SSE_ZONE_SIZE;
    }

    return NGX_CONF_OK;
}


/*
 * The zone is there only where it is used.
 */

static ngx_int_t
ngx_http_mcp_sse_postconfiguration(ngx_conf_t *cf)
{
    ngx_http_handler_pt           *h;
    ngx_http_core_main_conf_t     *cmcf;
    ngx_http_mcp_sse_main_conf_t  *mcf;

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_mcp_sse_module);

    if (!mcf->used) {
        return NGX_OK;
    }

    if (ngx_http_mcp_sse_redis_url_check(cf, mcf) != NGX_OK
        || ngx_http_mcp_sse_zone_add(cf, mcf) != NGX_OK)
    {
        return NGX_ERROR;
    }

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_REWRITE_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = ngx_http_mcp_sse_call_rewrite_handler;

    ngx_http_mcp_sse_capture_init();

    return NGX_OK;
}


static void *
ngx_http_mcp_sse_create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_mcp_sse_loc_conf_t  *conf;

    conf = ngx_pcalloc(cf->pool, sizeof(ngx_http_mcp_sse_loc_conf_t));
    if (conf == NULL) {
        return NULL;
    }

    /*
     * set by ngx_pcalloc():
     *
     *     conf->call_uri, user_uri, message_uri, public_url = { 0, NULL };
     *     conf->call_args, user_args = { 0, NULL };
     *     conf->principal, site = NULL;
     *     conf->api_secret = { 0, NULL };
     *     conf->handler = { 0, NULL };
     */

    conf->server_urls = NGX_CONF_UNSET_PTR;
    conf->origins = NGX_CONF_UNSET_PTR;
    conf->any_origin = NGX_CONF_UNSET;
    conf->local = NGX_CONF_UNSET_UINT;
    conf->ping_result = NGX_CONF_UNSET_UINT;
    conf->keepalive = NGX_CONF_UNSET_MSEC;
    conf->keepalive_event = NGX_CONF_UNSET_UINT;
    conf->grace = NGX_CONF_UNSET_MSEC;
    conf->idle_timeout = NGX_CONF_UNSET_MSEC;
    conf->session_ttl = NGX_CONF_UNSET;
    conf->call_timeout = NGX_CONF_UNSET_MSEC;
    conf->progress = NGX_CONF_UNSET_MSEC;
    conf->retry = NGX_CONF_UNSET_MSEC;
    conf->stream_after = NGX_CONF_UNSET_MSEC;
    conf->max_answer = NGX_CONF_UNSET_SIZE;
    conf->queue = NGX_CONF_UNSET_SIZE;
    conf->max_calls = NGX_CONF_UNSET;
    conf->max_sessions = NGX_CONF_UNSET;
    conf->auth_cache = NGX_CONF_UNSET_MSEC;
    conf->auth_recheck = NGX_CONF_UNSET_MSEC;
    conf->auth_wait = NGX_CONF_UNSET_MSEC;
    conf->auth_stale = NGX_CONF_UNSET_MSEC;
    conf->cookie = NGX_CONF_UNSET;
    conf->pass_headers = NGX_CONF_UNSET_PTR;

    return conf;
}


static char *
ngx_http_mcp_sse_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_mcp_sse_loc_conf_t  *prev = parent;
    ngx_http_mcp_sse_loc_conf_t  *conf = child;

    if (conf->call_uri.data == NULL) {
        conf->call_uri = prev->call_uri;
        conf->call_args = prev->call_args;
    }

    if (conf->user_uri.data == NULL) {
        conf->user_uri = prev->user_uri;
        conf->user_args = prev->user_args;
    }

    if (conf->principal == NULL) {
        conf->principal = prev->principal;
    }

    if (conf->site == NULL) {
        conf->site = prev->site;
    }

    if (conf->origins == NGX_CONF_UNSET_PTR) {
        conf->any_origin = prev->any_origin;
    }

    if (conf->keepalive == NGX_CONF_UNSET_MSEC) {
        conf->keepalive_event = prev->keepalive_event;
    }

    ngx_conf_merge_ptr_value(conf->server_urls, prev->server_urls, NULL);
    ngx_conf_merge_ptr_value(conf->origins, prev->origins, NULL);
    ngx_conf_merge_value(conf->any_origin, prev->any_origin, 0);
    ngx_conf_merge_str_value(conf->message_uri, prev->message_uri,
                             "/mcp/messages");
    ngx_conf_merge_uint_value(conf->local, prev->local,
                              NGX_HTTP_MCP_SSE_LOCAL_PING
                              |NGX_HTTP_MCP_SSE_LOCAL_RESOURCES);
    ngx_conf_merge_uint_value(conf->ping_result, prev->ping_result,
                              NGX_HTTP_MCP_SSE_PING_META);
    ngx_conf_merge_msec_value(conf->keepalive, prev->keepalive, 15000);
    ngx_conf_merge_uint_value(conf->keepalive_event, prev->keepalive_event,
                              0);
    ngx_conf_merge_msec_value(conf->grace, prev->grace, 5000);
    ngx_conf_merge_msec_value(conf->idle_timeout, prev->idle_timeout,
                              NGX_HTTP_MCP_SSE_OFF);
    ngx_conf_merge_sec_value(conf->session_ttl, prev->session_ttl,
                             7 * 24 * 3600);
    ngx_conf_merge_msec_value(conf->call_timeout, prev->call_timeout, 300000);
    ngx_conf_merge_msec_value(conf->progress, prev->progress, 10000);
    ngx_conf_merge_msec_value(conf->retry, prev->retry, 1000);
    ngx_conf_merge_msec_value(conf->stream_after, prev->stream_after, 2000);
    ngx_conf_merge_str_value(conf->public_url, prev->public_url, "");
    ngx_conf_merge_size_value(conf->max_answer, prev->max_answer,
                              32 * 1024 * 1024);
    ngx_conf_merge_size_value(conf->queue, prev->queue, 1024 * 1024);
    ngx_conf_merge_value(conf->max_calls, prev->max_calls, 32);
    ngx_conf_merge_value(conf->max_sessions, prev->max_sessions, 64);
    ngx_conf_merge_msec_value(conf->auth_cache, prev->auth_cache, 60000);
    ngx_conf_merge_msec_value(conf->auth_recheck, prev->auth_recheck, 600000);
    ngx_conf_merge_msec_value(conf->auth_wait, prev->auth_wait, 20000);
    ngx_conf_merge_msec_value(conf->auth_stale, prev->auth_stale, 600000);
    ngx_conf_merge_str_value(conf->api_secret, prev->api_secret, "");
    ngx_conf_merge_value(conf->cookie, prev->cookie, 0);
    ngx_conf_merge_ptr_value(conf->pass_headers, prev->pass_headers, NULL);

    return ngx_http_mcp_sse_check_endpoint(cf, conf);
}


static char *
ngx_http_mcp_sse_check_endpoint(ngx_conf_t *cf,
    ngx_http_mcp_sse_loc_conf_t *conf)
{
    ngx_http_core_loc_conf_t      *clcf;
    ngx_http_mcp_sse_main_conf_t  *mcf;

    if (conf->handler.len == 0) {
        return NGX_CONF_OK;
    }

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_mcp_sse_module);

    mcf->used = 1;

    if (!conf->calls) {
        return NGX_CONF_OK;
    }

    if (conf->call_uri.len == 0) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"%V\" in location \"%V\" needs \"mcp_sse_call\"",
                      &conf->handler, &clcf->name);
        return NGX_CONF_ERROR;
    }

    if (conf->user_uri.len == 0 && conf->principal == NULL) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"%V\" in location \"%V\" needs \"mcp_sse_user\" or "
                      "\"mcp_sse_principal\"",
                      &conf->handler, &clcf->name);
        return NGX_CONF_ERROR;
    }

    mcf->longest_call = ngx_max(mcf->longest_call, conf->call_timeout);

    /* mcp_sse_max_message decides, after the credential was checked */

    clcf->client_max_body_size = 0;

    return NGX_CONF_OK;
}


static char *
ngx_http_mcp_sse_endpoint(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_mcp_sse_loc_conf_t  *mlcf = conf;

    ngx_http_core_loc_conf_t     *clcf;
    ngx_http_mcp_sse_endpoint_t  *endpoint = cmd->post;

    if (mlcf->handler.len) {
        return "is duplicate";
    }

    mlcf->handler = cmd->name;
    mlcf->calls = endpoint->calls;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = endpoint->handler;

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_mcp_sse_init_process(ngx_cycle_t *cycle)
{
    ngx_http_mcp_sse_main_conf_t  *mcf;

    if (ngx_process != NGX_PROCESS_WORKER && ngx_process != NGX_PROCESS_SINGLE)
    {
        return NGX_OK;
    }

    mcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_mcp_sse_module);

    if (mcf == NULL || mcf->zone == NULL) {
        return NGX_OK;
    }

    ngx_http_mcp_sse_tick_init(cycle, ngx_http_mcp_sse_exiting);
    ngx_http_mcp_sse_expiry_init(ngx_http_mcp_sse_auth_recheck);
    ngx_http_mcp_sse_actor_init();

    return ngx_http_mcp_sse_session_init(cycle);
}


static void
ngx_http_mcp_sse_exit_process(ngx_cycle_t *cycle)
{
    ngx_http_mcp_sse_session_exit();
}


/*
 * The worker has begun to shut down.  It goes on as before until its streams
 * have been let go, and ends what is left before nginx would cut it.
 */

static void
ngx_http_mcp_sse_exiting(void)
{
    ngx_msec_t                     end;
    ngx_core_conf_t               *ccf;
    ngx_http_mcp_sse_main_conf_t  *mcf;

    ccf = (ngx_core_conf_t *) ngx_get_conf(ngx_cycle->conf_ctx,
                                           ngx_core_module);
    mcf = ngx_http_mcp_sse_zone()->conf;

    end = mcf->longest_call;

    if (ccf->shutdown_timeout) {
        end = (ccf->shutdown_timeout > 2 * NGX_HTTP_MCP_SSE_BEFORE_END)
              ? ccf->shutdown_timeout - NGX_HTTP_MCP_SSE_BEFORE_END
              : ccf->shutdown_timeout / 2;
    }

    ngx_http_mcp_sse_expiry_drain(ngx_min(mcf->drain, end));

    ngx_http_mcp_sse_end.handler = ngx_http_mcp_sse_stop;
    ngx_http_mcp_sse_tick_set(&ngx_http_mcp_sse_end, end);
}


static void
ngx_http_mcp_sse_stop(void *data)
{
    ngx_http_mcp_sse_expiry_stop();
    ngx_http_mcp_sse_actor_stop();
    ngx_http_mcp_sse_wake_all();
    ngx_http_mcp_sse_lookup_stop();
}


/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Creates, merges and validates configurations; the defaults of directives.
 *
 * Configurations are in the pool of their cycle.
 */

#include "ngx_mcp_conf_merge.h"
#include "ngx_mcp_check_uri.h"
#include "ngx_mcp_host.h"
#include "ngx_mcp_json_text.h"
#include "ngx_mcp_zone_conf.h"


#define NGX_MCP_ZONE_DEFAULT_SIZE  (8 * 1024 * 1024)    /* bytes */


static void ngx_mcp_merge_complex_value(ngx_http_complex_value_t **conf,
    ngx_http_complex_value_t *prev);
static void ngx_mcp_merge_endpoint(ngx_conf_t *cf, ngx_mcp_loc_conf_t *prev,
    ngx_mcp_loc_conf_t *conf);
static char *ngx_mcp_check_endpoint(ngx_conf_t *cf, ngx_mcp_loc_conf_t *conf);
static ngx_int_t ngx_mcp_check_site(ngx_conf_t *cf, ngx_mcp_loc_conf_t *conf);


void *
ngx_mcp_create_main_conf(ngx_conf_t *cf)
{
    ngx_mcp_main_conf_t  *mcf;

    mcf = ngx_pcalloc(cf->pool, sizeof(ngx_mcp_main_conf_t));
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
     *     mcf->events = NULL;
     *     mcf->redis_ssl.trusted_certificate = { 0, NULL };
     *     mcf->redis_ssl.certificate = { 0, NULL };
     *     mcf->redis_ssl.certificate_key = { 0, NULL };
     *     mcf->redis_ssl.name = { 0, NULL };
     *     mcf->redis_ssl.ssl = NULL;
     *     mcf->backend_calls = 0;
     *     mcf->backend_calls_per_user = 0;
     *     mcf->used = 0;
     *     mcf->longest_call = 0;
     *     mcf->warned = { { NULL, NULL } };
     *     mcf->nameless = NULL;
     */

    mcf->redis_ssl.verify = NGX_CONF_UNSET;
    mcf->max_inbox = NGX_CONF_UNSET;
    mcf->auth_lookups = NGX_CONF_UNSET;
    mcf->max_message = NGX_CONF_UNSET_SIZE;
    mcf->drain = NGX_CONF_UNSET_MSEC;

    return mcf;
}


char *
ngx_mcp_init_main_conf(ngx_conf_t *cf, void *conf)
{
    ngx_mcp_main_conf_t  *mcf = conf;

    ngx_conf_init_value(mcf->max_inbox, 256);
    ngx_conf_init_value(mcf->auth_lookups, 16);
    ngx_conf_init_size_value(mcf->max_message, 1024 * 1024);
    ngx_conf_init_msec_value(mcf->drain, 4000);

    if (mcf->zone_name.len == 0) {
        ngx_str_set(&mcf->zone_name, "mcp_sse");
        mcf->zone_size = NGX_MCP_ZONE_DEFAULT_SIZE;
    }

    return ngx_mcp_zone_conf_check(cf, mcf) == NGX_OK ? NGX_CONF_OK
                                                      : NGX_CONF_ERROR;
}


void *
ngx_mcp_create_loc_conf(ngx_conf_t *cf)
{
    ngx_mcp_loc_conf_t  *conf;

    conf = ngx_pcalloc(cf->pool, sizeof(ngx_mcp_loc_conf_t));
    if (conf == NULL) {
        return NULL;
    }

    /*
     * set by ngx_pcalloc():
     *
     *     conf->call_uri, user_uri, message_uri = { 0, NULL };
     *     conf->call_args, user_args = { 0, NULL };
     *     conf->principal, site, events_site = NULL;
     *     conf->public_url, auth_server = NULL;
     *     conf->api_secret = { 0, NULL };
     *     conf->handler = { 0, NULL };
     *     conf->endpoint = NULL;
     */

    conf->server_urls = NGX_CONF_UNSET_PTR;
    conf->origins = NGX_CONF_UNSET_PTR;
    conf->any_origin = NGX_CONF_UNSET;
    conf->local = NGX_CONF_UNSET_UINT;
    conf->ping_result = NGX_CONF_UNSET_UINT;
    conf->header_check = NGX_CONF_UNSET_UINT;
    conf->keepalive = NGX_CONF_UNSET_MSEC;
    conf->keepalive_event = NGX_CONF_UNSET_UINT;
    conf->grace = NGX_CONF_UNSET_MSEC;
    conf->idle_timeout = NGX_CONF_UNSET_MSEC;
    conf->session_ttl = NGX_CONF_UNSET;
    conf->call_timeout = NGX_CONF_UNSET_MSEC;
    conf->ask_timeout = NGX_CONF_UNSET_MSEC;
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
    conf->json_only = NGX_CONF_UNSET;
    conf->pass_headers = NGX_CONF_UNSET_PTR;

    return conf;
}


char *
ngx_mcp_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_mcp_loc_conf_t  *prev = parent;
    ngx_mcp_loc_conf_t  *conf = child;

    if (conf->call_uri.data == NULL) {
        conf->call_uri = prev->call_uri;
        conf->call_args = prev->call_args;
    }

    if (conf->user_uri.data == NULL) {
        conf->user_uri = prev->user_uri;
        conf->user_args = prev->user_args;
    }

    ngx_mcp_merge_complex_value(&conf->principal, prev->principal);
    ngx_mcp_merge_complex_value(&conf->site, prev->site);
    ngx_mcp_merge_complex_value(&conf->events_site, prev->events_site);
    ngx_mcp_merge_complex_value(&conf->public_url, prev->public_url);
    ngx_mcp_merge_complex_value(&conf->auth_server, prev->auth_server);

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
                              NGX_MCP_LOCAL_PING
                              |NGX_MCP_LOCAL_RESOURCES);
    ngx_conf_merge_uint_value(conf->ping_result, prev->ping_result,
                              NGX_MCP_PING_DEFAULT);
    ngx_conf_merge_uint_value(conf->header_check, prev->header_check,
                              NGX_MCP_HEADER_CHECK_LENIENT);
    ngx_conf_merge_msec_value(conf->keepalive, prev->keepalive, 15000);
    ngx_conf_merge_uint_value(conf->keepalive_event, prev->keepalive_event,
                              0);
    ngx_conf_merge_msec_value(conf->grace, prev->grace, 5000);
    ngx_conf_merge_msec_value(conf->idle_timeout, prev->idle_timeout,
                              NGX_MCP_OFF);
    ngx_conf_merge_sec_value(conf->session_ttl, prev->session_ttl,
                             7 * 24 * 3600);
    ngx_conf_merge_msec_value(conf->call_timeout, prev->call_timeout, 300000);
    ngx_conf_merge_msec_value(conf->ask_timeout, prev->ask_timeout, 100000);
    ngx_conf_merge_msec_value(conf->progress, prev->progress, 10000);
    ngx_conf_merge_msec_value(conf->retry, prev->retry, 1000);
    ngx_conf_merge_msec_value(conf->stream_after, prev->stream_after, 2000);
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
    ngx_conf_merge_value(conf->json_only, prev->json_only, 0);
    ngx_conf_merge_ptr_value(conf->pass_headers, prev->pass_headers, NULL);

    ngx_mcp_merge_endpoint(cf, prev, conf);

    return ngx_mcp_check_endpoint(cf, conf);
}


/*
 * ngx_http_set_complex_value_slot() wants NULL, ngx_conf_merge_ptr_value() has
 * another value for "unset".
 */

static void
ngx_mcp_merge_complex_value(ngx_http_complex_value_t **conf,
    ngx_http_complex_value_t *prev)
{
    if (*conf == NULL) {
        *conf = prev;
    }
}


char *
ngx_mcp_set_endpoint(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_mcp_loc_conf_t  *mlcf = conf;

    ngx_http_core_loc_conf_t  *clcf;
    ngx_mcp_main_conf_t       *mcf;
    ngx_mcp_endpoint_t        *endpoint = cmd->post;

    if (mlcf->handler.len) {
        return "is duplicate";
    }

    mlcf->handler = cmd->name;
    mlcf->endpoint = endpoint;

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_mcp_sse_module);
    mcf->used = 1;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = endpoint->handler;

    return NGX_CONF_OK;
}


/*
 * "if" and "limit_except" within a location inherit its endpoint, unless they
 * have a content handler.
 */

static void
ngx_mcp_merge_endpoint(ngx_conf_t *cf, ngx_mcp_loc_conf_t *prev,
    ngx_mcp_loc_conf_t *conf)
{
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (clcf->noname && clcf->handler == NULL && prev->endpoint) {
        conf->handler = prev->handler;
        conf->endpoint = prev->endpoint;

        clcf->handler = conf->endpoint->handler;
    }
}


static char *
ngx_mcp_check_endpoint(ngx_conf_t *cf, ngx_mcp_loc_conf_t *conf)
{
    ngx_msec_t                 longest;
    ngx_http_core_loc_conf_t  *clcf;
    ngx_mcp_main_conf_t       *mcf;

    if (conf->handler.len == 0) {
        return NGX_CONF_OK;
    }

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_mcp_sse_module);

    /* docs/PROTOCOL.md 5.2: the default differs between the transports */

    if (conf->ping_result == NGX_MCP_PING_DEFAULT) {
        conf->ping_result = ngx_mcp_str_is(&conf->handler, "mcp_sse_http")
                            ? NGX_MCP_PING_EMPTY
                            : NGX_MCP_PING_META;
    }

    if (!conf->endpoint->calls) {
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

    if (ngx_mcp_check_site(cf, conf) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    if (ngx_mcp_host_names(cf, conf) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    ngx_mcp_check_uri(cf, conf);

    /* questions of a call stop its clock */

    longest = conf->call_timeout + (mcf->events ? conf->ask_timeout : 0);
    mcf->longest_call = ngx_max(mcf->longest_call, longest);

    /* it would replace the request while streams and calls still use it */

    if (clcf->post_action.data) {
        ngx_log_error(NGX_LOG_WARN, cf->log, 0,
                      "\"post_action\" is not run for \"%V\" in location "
                      "\"%V\", use \"access_log\" instead",
                      &conf->handler, &clcf->name);
        ngx_str_null(&clcf->post_action);
    }

    /* mcp_sse_max_message limits the body, after the credential is checked */

    clcf->client_max_body_size = 0;

    return NGX_CONF_OK;
}


/*
 * Session ids and results of look-ups belong to a site.  Servers without a
 * name would have the same one, "_", whatever Frappe each of them leads to.
 */

static ngx_int_t
ngx_mcp_check_site(ngx_conf_t *cf, ngx_mcp_loc_conf_t *conf)
{
    ngx_mcp_main_conf_t       *mcf;
    ngx_http_core_srv_conf_t  *cscf;

    cscf = ngx_http_conf_get_module_srv_conf(cf, ngx_http_core_module);
    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_mcp_sse_module);

    if (conf->site
        || (cscf->server_name.len
            && !ngx_mcp_str_is(&cscf->server_name, "_")))
    {
        return NGX_OK;
    }

    if (mcf->nameless == NULL) {
        mcf->nameless = cscf;
    }

    if (mcf->nameless == cscf) {
        return NGX_OK;
    }

    ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                  "\"%V\" in two servers without \"server_name\", defined in "
                  "%s:%ui and %s:%ui, which share users and session ids: set "
                  "\"mcp_sse_site\" to the name of each one's Frappe site",
                  &conf->handler,
                  mcf->nameless->file_name, mcf->nameless->line,
                  cscf->file_name, cscf->line);

    return NGX_ERROR;
}

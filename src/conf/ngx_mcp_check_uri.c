
/*
 * Nothing is kept but which URIs were warned of, in the main configuration.
 */

#include "ngx_mcp_check_uri.h"
#include "ngx_mcp_json_text.h"


static void ngx_mcp_check_uri_internal(ngx_conf_t *cf, ngx_queue_t *locations,
    ngx_uint_t which, const char *directive, ngx_str_t *uri);
static void ngx_mcp_check_uri_message(ngx_conf_t *cf, ngx_queue_t *locations,
    ngx_str_t *uri);
static ngx_http_core_loc_conf_t *ngx_mcp_check_uri_find(ngx_queue_t *locations,
    ngx_str_t *uri, ngx_uint_t *regex);
static ngx_http_core_loc_conf_t *ngx_mcp_check_uri_here(ngx_queue_t *locations,
    ngx_str_t *uri, ngx_uint_t *regex);
static ngx_uint_t ngx_mcp_check_uri_fits(ngx_http_core_loc_conf_t *clcf,
    ngx_str_t *uri);
static ngx_uint_t ngx_mcp_check_uri_first(ngx_conf_t *cf, ngx_uint_t which,
    ngx_str_t *uri);


void
ngx_mcp_check_uri(ngx_conf_t *cf, ngx_mcp_loc_conf_t *conf)
{
    ngx_queue_t               *locations;
    ngx_http_core_loc_conf_t  *clcf;
    ngx_http_core_srv_conf_t  *cscf;

    cscf = ngx_http_conf_get_module_srv_conf(cf, ngx_http_core_module);
    clcf = cscf->ctx->loc_conf[ngx_http_core_module.ctx_index];
    locations = clcf->locations;

    ngx_mcp_check_uri_internal(cf, locations, 0, "mcp_sse_call",
                               &conf->call_uri);

    if (conf->principal == NULL) {
        ngx_mcp_check_uri_internal(cf, locations, 1, "mcp_sse_user",
                                   &conf->user_uri);
    }

    if (ngx_mcp_str_is(&conf->handler, "mcp_sse_stream")) {
        ngx_mcp_check_uri_message(cf, locations, &conf->message_uri);
    }
}


static void
ngx_mcp_check_uri_internal(ngx_conf_t *cf, ngx_queue_t *locations,
    ngx_uint_t which, const char *directive, ngx_str_t *uri)
{
    ngx_uint_t                 regex;
    ngx_http_core_loc_conf_t  *clcf;

    regex = 0;
    clcf = ngx_mcp_check_uri_find(locations, uri, &regex);

    /* regular expressions come before all but exact matches */

    if ((regex && (clcf == NULL || !clcf->exact_match))
        || (clcf && clcf->internal)
        || !ngx_mcp_check_uri_first(cf, which, uri))
    {
        return;
    }

    if (clcf == NULL) {
        ngx_log_error(NGX_LOG_WARN, cf->log, 0,
                      "\"%s\" names \"%V\", and there is no such location: "
                      "calls of Frappe will fail", directive, uri);
        return;
    }

    ngx_log_error(NGX_LOG_WARN, cf->log, 0,
                  "\"%s\" names \"%V\", and location \"%V\" for it is not "
                  "\"internal\": clients can use it themselves",
                  directive, uri, &clcf->name);
}


/*
 * A proxy in front may take away the beginning of the path that clients see.
 */

static void
ngx_mcp_check_uri_message(ngx_conf_t *cf, ngx_queue_t *locations,
    ngx_str_t *uri)
{
    u_char                    *query;
    ngx_str_t                  rest;
    ngx_uint_t                 regex;
    ngx_http_core_loc_conf_t  *clcf;
    ngx_mcp_loc_conf_t        *mlcf;

    regex = 0;
    rest = *uri;

    query = ngx_strlchr(rest.data, rest.data + rest.len, '?');

    if (query) {
        rest.len = query - rest.data;
    }

    while (rest.len) {

        if (rest.data[0] == '/') {
            clcf = ngx_mcp_check_uri_find(locations, &rest, &regex);
            mlcf = clcf ? clcf->loc_conf[ngx_http_mcp_sse_module.ctx_index]
                        : NULL;

            if (mlcf && ngx_mcp_str_is(&mlcf->handler, "mcp_sse_message")) {
                return;
            }
        }

        rest.data++;
        rest.len--;
    }

    if (!regex && ngx_mcp_check_uri_first(cf, 2, uri)) {
        ngx_log_error(NGX_LOG_WARN, cf->log, 0,
                      "streams announce \"%V\", and no location with "
                      "\"mcp_sse_message\" is there: set "
                      "\"mcp_sse_message_uri\"", uri);
    }
}


/*
 * As nginx does, but for regular expressions: whether one was on the way is
 * what "regex" says.
 */

static ngx_http_core_loc_conf_t *
ngx_mcp_check_uri_find(ngx_queue_t *locations, ngx_str_t *uri,
    ngx_uint_t *regex)
{
    ngx_http_core_loc_conf_t  *clcf, *found;

    found = NULL;

    while (locations) {
        clcf = ngx_mcp_check_uri_here(locations, uri, regex);

        if (clcf == NULL) {
            break;
        }

        found = clcf;
        locations = clcf->exact_match ? NULL : clcf->locations;
    }

    return found;
}


static ngx_http_core_loc_conf_t *
ngx_mcp_check_uri_here(ngx_queue_t *locations, ngx_str_t *uri,
    ngx_uint_t *regex)
{
    ngx_queue_t                *q;
    ngx_http_core_loc_conf_t   *clcf, *best;
    ngx_http_location_queue_t  *lq;

    best = NULL;

    for (q = ngx_queue_head(locations);
         q != ngx_queue_sentinel(locations);
         q = ngx_queue_next(q))
    {
        lq = (ngx_http_location_queue_t *) q;
        clcf = lq->exact ? lq->exact : lq->inclusive;

#if (NGX_PCRE)
        if (clcf->regex) {
            *regex = 1;
            continue;
        }
#endif

        if (!ngx_mcp_check_uri_fits(clcf, uri)) {
            continue;
        }

        if (clcf->exact_match) {
            return clcf;
        }

        if (best == NULL || clcf->name.len > best->name.len) {
            best = clcf;
        }
    }

    return best;
}


static ngx_uint_t
ngx_mcp_check_uri_fits(ngx_http_core_loc_conf_t *clcf, ngx_str_t *uri)
{
    if (clcf->named || clcf->noname || clcf->name.len > uri->len) {
        return 0;
    }

    if (clcf->exact_match && clcf->name.len != uri->len) {
        return 0;
    }

    return ngx_strncmp(clcf->name.data, uri->data, clcf->name.len) == 0;
}


/*
 * Endpoints of a server have most of these from the levels above.
 */

static ngx_uint_t
ngx_mcp_check_uri_first(ngx_conf_t *cf, ngx_uint_t which, ngx_str_t *uri)
{
    ngx_http_core_srv_conf_t        *cscf;
    ngx_mcp_warned_t                *warned;
    ngx_mcp_main_conf_t             *mcf;

    cscf = ngx_http_conf_get_module_srv_conf(cf, ngx_http_core_module);
    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_mcp_sse_module);

    warned = &mcf->warned[which];

    if (warned->server == cscf && warned->uri == uri->data) {
        return 0;
    }

    warned->server = cscf;
    warned->uri = uri->data;

    return 1;
}


/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Warnings of "nginx -t" for mcp_sse_call, mcp_sse_user and
 * mcp_sse_message_uri that do not lead to a fitting location.
 *
 * nginx searches locations in a tree that is built after the configurations
 * are merged, so that the search is repeated here on the list.
 */

#include "ngx_mcp_check_uri.h"
#include "ngx_mcp_json_text.h"


/* Angie keeps what a location matches in an object of its own */

#ifdef angie_version
typedef ngx_http_core_loc_t       ngx_mcp_check_uri_location_t;
#define ngx_mcp_check_uri_conf(location)  (location)->conf

#else
typedef ngx_http_core_loc_conf_t  ngx_mcp_check_uri_location_t;
#define ngx_mcp_check_uri_conf(location)  (location)
#endif


static void ngx_mcp_check_uri_internal(ngx_conf_t *cf, ngx_queue_t *locations,
    ngx_uint_t which, const char *directive, ngx_str_t *uri);
static void ngx_mcp_check_uri_message(ngx_conf_t *cf, ngx_queue_t *locations,
    ngx_str_t *uri);
static ngx_http_core_loc_conf_t *ngx_mcp_check_uri_find(ngx_queue_t *locations,
    ngx_str_t *uri, ngx_uint_t *regex);
static ngx_uint_t ngx_mcp_check_uri_warn_once(ngx_conf_t *cf,
    ngx_uint_t which, ngx_str_t *uri);


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

    /* a regular expression has precedence over all but exact matches */

    if ((regex && (clcf == NULL || !clcf->exact_match))
        || (clcf && clcf->internal)
        || !ngx_mcp_check_uri_warn_once(cf, which, uri))
    {
        return;
    }

    if (clcf == NULL) {
        ngx_log_error(NGX_LOG_WARN, cf->log, 0,
                      "\"%s\" names \"%V\", but there is no such location: "
                      "calls to Frappe will fail", directive, uri);
        return;
    }

    ngx_log_error(NGX_LOG_WARN, cf->log, 0,
                  "\"%s\" names \"%V\", but its location \"%V\" is not "
                  "\"internal\": clients can request it",
                  directive, uri, &clcf->name);
}


/*
 * A proxy in front may remove the beginning of the path that clients see, so
 * that each end of the path is tried.
 */

static void
ngx_mcp_check_uri_message(ngx_conf_t *cf, ngx_queue_t *locations,
    ngx_str_t *uri)
{
    u_char                    *last;
    ngx_str_t                  rest;
    ngx_uint_t                 regex;
    ngx_mcp_loc_conf_t        *mlcf;
    ngx_http_core_loc_conf_t  *clcf;

    regex = 0;

    last = uri->data + uri->len;
    rest.data = ngx_strlchr(uri->data, last, '?');
    last = rest.data ? rest.data : last;

    for (rest.data = uri->data; rest.data < last; rest.data++) {

        if (*rest.data != '/') {
            continue;
        }

        rest.len = last - rest.data;
        clcf = ngx_mcp_check_uri_find(locations, &rest, &regex);

        if (clcf == NULL) {
            continue;
        }

        mlcf = clcf->loc_conf[ngx_http_mcp_sse_module.ctx_index];

        if (ngx_mcp_str_is(&mlcf->handler, "mcp_sse_message")) {
            return;
        }
    }

    if (!regex && ngx_mcp_check_uri_warn_once(cf, 2, uri)) {
        ngx_log_error(NGX_LOG_WARN, cf->log, 0,
                      "streams announce \"%V\", but it has no location with "
                      "\"mcp_sse_message\": set \"mcp_sse_message_uri\"", uri);
    }
}


/*
 * Returns the location that nginx uses for a URI: the exact match, or the
 * longest prefix, and then the same among the locations in it.  Sets *regex if
 * there are locations with a regular expression, which are not tried.
 */

static ngx_http_core_loc_conf_t *
ngx_mcp_check_uri_find(ngx_queue_t *locations, ngx_str_t *uri,
    ngx_uint_t *regex)
{
    ngx_queue_t                   *q;
    ngx_http_core_loc_conf_t      *found;
    ngx_http_location_queue_t     *lq;
    ngx_mcp_check_uri_location_t  *loc, *best;

    found = NULL;

    while (locations) {
        best = NULL;

        for (q = ngx_queue_head(locations);
             q != ngx_queue_sentinel(locations);
             q = ngx_queue_next(q))
        {
            lq = (ngx_http_location_queue_t *) q;
            loc = lq->exact ? lq->exact : lq->inclusive;

#if (NGX_PCRE)
            if (loc->regex) {
                *regex = 1;
                continue;
            }
#endif

            if (loc->named || ngx_mcp_check_uri_conf(loc)->noname
                || loc->name.len > uri->len
                || (loc->exact_match && loc->name.len != uri->len)
                || (best && best->name.len > loc->name.len)
                || (best && best->exact_match)
                || ngx_strncmp(loc->name.data, uri->data, loc->name.len) != 0)
            {
                continue;
            }

            best = loc;
        }

        if (best == NULL) {
            break;
        }

        found = ngx_mcp_check_uri_conf(best);
        locations = best->exact_match ? NULL : found->locations;
    }

    return found;
}


/*
 * Returns whether the warning is the first one: endpoints of a server inherit
 * most URIs from the levels above.
 */

static ngx_uint_t
ngx_mcp_check_uri_warn_once(ngx_conf_t *cf, ngx_uint_t which, ngx_str_t *uri)
{
    ngx_mcp_warned_t          *warned;
    ngx_mcp_main_conf_t       *mcf;
    ngx_http_core_srv_conf_t  *cscf;

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

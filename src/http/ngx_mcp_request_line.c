
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * The request line in the error log.  nginx adds it to each line about a
 * request; its query, which may have a session id, is removed.
 *
 * The new line is in the pool of the request.
 */

#include "ngx_mcp_request_line.h"


static ngx_int_t ngx_mcp_request_line_handler(ngx_http_request_t *r);
static ngx_int_t ngx_mcp_request_line_mask(ngx_http_request_t *r);


ngx_int_t
ngx_mcp_request_line_init(ngx_conf_t *cf)
{
    ngx_http_handler_pt        *h;
    ngx_http_core_main_conf_t  *cmcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_REWRITE_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = ngx_mcp_request_line_handler;

    return NGX_OK;
}


/*
 * Only the text for logs changes: r->args and variables keep the query, so that
 * limit_req may have $arg_session_id as its key.
 */

static ngx_int_t
ngx_mcp_request_line_handler(ngx_http_request_t *r)
{
    ngx_mcp_loc_conf_t  *conf;

    conf = ngx_http_get_module_loc_conf(r, ngx_http_mcp_sse_module);

    if (conf->endpoint == NULL || !conf->endpoint->calls) {
        return NGX_DECLINED;
    }

    return ngx_mcp_request_line_mask(r->main) == NGX_OK
           ? NGX_DECLINED : NGX_HTTP_INTERNAL_SERVER_ERROR;
}


static ngx_int_t
ngx_mcp_request_line_mask(ngx_http_request_t *r)
{
    u_char  *p, *query, *version, *last;

    last = r->request_line.data + r->request_line.len;

    query = ngx_strlchr(r->request_line.data, last, '?');

    if (query == NULL) {
        return NGX_OK;
    }

    /* old versions of nginx take blanks in the query */

    for (version = last - 1; version > query && *version != ' '; version--) {
        /* void */
    }

    if (version == query) {
        version = last;
    }

    p = ngx_pnalloc(r->pool, r->request_line.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    query = ngx_cpymem(p, r->request_line.data,
                       query - r->request_line.data);
    last = ngx_cpymem(query, version, last - version);

    r->request_line.data = p;
    r->request_line.len = last - p;

    return NGX_OK;
}

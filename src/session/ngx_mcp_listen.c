
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * What a stream of subscriptions/listen gets.
 *
 * It ends with its stream, so that it is in this worker only.
 */

#include "ngx_mcp_listen.h"
#include "ngx_mcp_subscribe_check.h"


typedef struct {
    u_char                   uri[NGX_MCP_DIGEST_LEN];
    ngx_msec_t               read_at;      /* by the backend */
    ngx_uint_t               read;         /* it has been */
} ngx_mcp_listen_uri_t;


struct ngx_mcp_listen_s {
    ngx_uint_t               lists;        /* bits NGX_MCP_LISTEN_* */
    ngx_uint_t               nuris;
    ngx_mcp_listen_uri_t    *uris;         /* behind this struct */
};


static ngx_mcp_listen_uri_t *ngx_mcp_listen_uri(ngx_mcp_session_t *s,
    u_char *uri);


ngx_int_t
ngx_mcp_listen_create(ngx_mcp_session_t *s, ngx_mcp_listen_filter_t *filter)
{
    ngx_uint_t                    i;
    ngx_mcp_listen_t             *listen;
    ngx_mcp_listen_filter_uri_t  *uri;

    if (filter == NULL || (filter->lists == 0 && filter->uris.nelts == 0)) {
        return NGX_OK;
    }

    listen = ngx_calloc(sizeof(ngx_mcp_listen_t)
                        + filter->uris.nelts * sizeof(ngx_mcp_listen_uri_t),
                        ngx_cycle->log);
    if (listen == NULL) {
        return NGX_ERROR;
    }

    listen->lists = filter->lists;
    listen->nuris = filter->uris.nelts;
    listen->uris = (ngx_mcp_listen_uri_t *) (listen + 1);

    uri = filter->uris.elts;

    for (i = 0; i < listen->nuris; i++) {

        if (ngx_mcp_subscribe_digest(&uri[i].text, listen->uris[i].uri)
            != NGX_OK)
        {
            ngx_free(listen);
            return NGX_ERROR;
        }
    }

    s->filter = listen;

    return NGX_OK;
}


ngx_uint_t
ngx_mcp_listen_receives(ngx_mcp_session_t *s, ngx_uint_t method)
{
    if (s->filter == NULL) {
        return 0;
    }

    switch (method) {

    case NGX_MCP_PUSHED_TOOLS:
        return s->filter->lists & NGX_MCP_LISTEN_TOOLS;

    case NGX_MCP_PUSHED_PROMPTS:
        return s->filter->lists & NGX_MCP_LISTEN_PROMPTS;

    case NGX_MCP_PUSHED_RESOURCES:
        return s->filter->lists & NGX_MCP_LISTEN_RESOURCES;

    case NGX_MCP_PUSHED_UPDATED:
        return s->filter->nuris != 0;

    default:
        return 0;
    }
}


ngx_int_t
ngx_mcp_listen_find(ngx_mcp_session_t *s, u_char *uri, ngx_msec_t *age)
{
    ngx_mcp_listen_uri_t  *found;

    found = ngx_mcp_listen_uri(s, uri);

    if (found == NULL) {
        return NGX_DECLINED;
    }

    *age = found->read ? ngx_current_msec - found->read_at
                       : NGX_MAX_UINT32_VALUE;

    return NGX_OK;
}


/*
 * A URI that is listed twice is found where it is first.
 */

static ngx_mcp_listen_uri_t *
ngx_mcp_listen_uri(ngx_mcp_session_t *s, u_char *uri)
{
    ngx_uint_t         i;
    ngx_mcp_listen_t  *listen;

    listen = s->filter;

    for (i = 0; listen && i < listen->nuris; i++) {

        if (ngx_memcmp(listen->uris[i].uri, uri, NGX_MCP_DIGEST_LEN) == 0) {
            return &listen->uris[i];
        }
    }

    return NULL;
}


void
ngx_mcp_listen_read(ngx_mcp_session_t *s, u_char *uri)
{
    ngx_mcp_listen_uri_t  *found;

    found = ngx_mcp_listen_uri(s, uri);

    if (found) {
        found->read = 1;
        found->read_at = ngx_current_msec;
    }
}


/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * What an exchange answers with JSON: status, headers, body.
 */

#include "ngx_mcp_exchange_json.h"
#include "ngx_mcp_challenge.h"
#include "ngx_mcp_header.h"
#include "ngx_mcp_modern.h"
#include "ngx_mcp_response.h"


static ngx_int_t ngx_mcp_exchange_array(ngx_mcp_exchange_t *x);


ngx_uint_t
ngx_mcp_exchange_status(ngx_mcp_exchange_t *x)
{
    if (x->status && !x->batch) {
        return x->status;
    }

    return x->sink.modern ? ngx_mcp_modern_status(x->sink.modern)
                          : NGX_HTTP_OK;
}


ngx_int_t
ngx_mcp_exchange_json(ngx_mcp_exchange_t *x)
{
    ngx_uint_t           status, refused;
    ngx_http_request_t  *r;
    ngx_mcp_event_t     *ev;

    r = x->request;
    status = ngx_mcp_exchange_status(x);

    if (x->batch) {

        if (ngx_mcp_exchange_array(x) != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

    } else {
        ev = ngx_queue_data(ngx_queue_head(&x->events),
                            ngx_mcp_event_t, queue);
        ngx_mcp_event_data(ev, &x->body);
    }

    refused = (status == NGX_HTTP_UNAUTHORIZED
               && x->ctx->auth.credential.value.len);

    if ((status == NGX_HTTP_UNAUTHORIZED || x->challenge.len)
        && status != NGX_HTTP_OK
        && ngx_mcp_challenge(r, &x->challenge, refused) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (x->initialized && ngx_mcp_exchange_headers(x) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_mcp_respond(r, status, &x->body);
}


/*
 * Joins the answers of a batch in an array.
 */

static ngx_int_t
ngx_mcp_exchange_array(ngx_mcp_exchange_t *x)
{
    ngx_str_t         data;
    ngx_queue_t      *q, *next;
    ngx_mcp_event_t  *ev, *all;

    all = ngx_mcp_event_alloc(x->size, ngx_cycle->log);
    if (all == NULL) {
        return NGX_ERROR;
    }

    *all->last++ = '[';

    for (q = ngx_queue_head(&x->events);
         q != ngx_queue_sentinel(&x->events);
         q = next)
    {
        next = ngx_queue_next(q);

        ev = ngx_queue_data(q, ngx_mcp_event_t, queue);
        ngx_mcp_event_data(ev, &data);

        all->last = ngx_cpymem(all->last, data.data, data.len);
        *all->last++ = ',';

        ngx_mcp_event_free(ev);
    }

    all->last[-1] = ']';

    ngx_queue_init(&x->events);
    ngx_queue_insert_tail(&x->events, &all->queue);

    x->body.data = all->pos;
    x->body.len = all->last - all->pos;

    return NGX_OK;
}


ngx_int_t
ngx_mcp_exchange_headers(ngx_mcp_exchange_t *x)
{
    if (x->session.len == 0) {
        return NGX_OK;
    }

    return ngx_mcp_header_set(x->request, "Mcp-Session-Id", &x->session);
}

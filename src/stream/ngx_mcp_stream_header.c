
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * The headers of an SSE response.
 */

#include "ngx_mcp_stream_header.h"
#include "ngx_mcp_header.h"


ngx_int_t
ngx_mcp_stream_header(ngx_http_request_t *r)
{
    r->headers_out.status = NGX_HTTP_OK;
    r->headers_out.content_length_n = -1;

    ngx_str_set(&r->headers_out.content_type, "text/event-stream");
    r->headers_out.content_type_len = r->headers_out.content_type.len;
    r->headers_out.content_type_lowcase = NULL;

    if (ngx_mcp_header_add(r, "Cache-Control", "no-cache, no-transform")
        != NGX_OK
        || ngx_mcp_header_add(r, "X-Accel-Buffering", "no") != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

#if (NGX_HTTP_GZIP)
    /* gzip delays events and allocates 270 kB for a stream */
    r->gzip_tested = 1;
    r->gzip_ok = 0;
#endif

    return ngx_http_send_header(r);
}

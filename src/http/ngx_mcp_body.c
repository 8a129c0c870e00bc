
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Reads a request body into memory, limited by mcp_sse_max_message.
 *
 * The body is read unbuffered and collected in the pool of its request:
 * otherwise nginx writes a large body to a file, and answers one that is too
 * large with an HTML page.
 */

#include "ngx_mcp_body.h"
#include "ngx_mcp_body_user.h"
#include "ngx_mcp_response.h"


static void ngx_mcp_body_begin(ngx_http_request_t *r);
static void ngx_mcp_body_handler(ngx_http_request_t *r);
static ngx_int_t ngx_mcp_body_wait(ngx_http_request_t *r);
static ngx_int_t ngx_mcp_body_more(ngx_http_request_t *r);
static ngx_int_t ngx_mcp_body_collect(ngx_http_request_t *r);
static ngx_int_t ngx_mcp_body_append(ngx_http_request_t *r, ngx_mcp_ctx_t *ctx,
    ngx_buf_t *b);
static ngx_int_t ngx_mcp_body_reserve(ngx_http_request_t *r,
    ngx_mcp_ctx_t *ctx, size_t size);


#define NGX_MCP_BODY_MIN_SIZE  4096    /* bytes, if the length is unknown */


ngx_int_t
ngx_mcp_body_read(ngx_http_request_t *r, size_t max, ngx_mcp_body_pt done)
{
    ngx_int_t       rc;
    ngx_mcp_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_mcp_sse_module);

    ctx->body = ngx_pcalloc(r->pool, sizeof(ngx_mcp_body_t));
    if (ctx->body == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->body->done = done;
    ctx->body->max = max;

    /* nginx has found the body too large in another location: discard it */

    if (r->discard_body) {
        return done(r, NGX_HTTP_REQUEST_ENTITY_TOO_LARGE);
    }

    /* the first part of the body may be gone to an upstream */

    if (r->request_body && r->reading_body) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "mcp sse: another location has begun to read the body "
                      "of the request, check the configuration of internal "
                      "redirects");
        r->keepalive = 0;
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (r->headers_in.content_length_n > 0) {
        ctx->body->capacity = r->headers_in.content_length_n;

        ctx->body->text.data = ngx_pnalloc(r->pool, ctx->body->capacity);
        if (ctx->body->text.data == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    ctx->body->foreign = (r->request_body != NULL);

    r->request_body_no_buffering = 1;

    rc = ngx_http_read_client_request_body(r, ngx_mcp_body_begin);

    /* broken framing: the end of the body is unknown, close the connection */

    if (rc == NGX_HTTP_BAD_REQUEST || rc == NGX_HTTP_REQUEST_ENTITY_TOO_LARGE)
    {
        r->keepalive = 0;
        return done(r, rc);
    }

    if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
        return rc;
    }

    return NGX_DONE;
}


static void
ngx_mcp_body_begin(ngx_http_request_t *r)
{
    r->read_event_handler = ngx_mcp_body_handler;

    ngx_mcp_body_handler(r);
}


static void
ngx_mcp_body_handler(ngx_http_request_t *r)
{
    ngx_int_t       rc;
    ngx_mcp_ctx_t  *ctx;

    rc = ngx_mcp_body_more(r);

    if (rc == NGX_AGAIN) {
        rc = ngx_mcp_body_wait(r);
    }

    if (rc == NGX_AGAIN) {
        return;
    }

    r->read_event_handler = ngx_http_block_reading;

    ctx = ngx_http_get_module_ctx(r, ngx_http_mcp_sse_module);

    ngx_mcp_body_user_done(ctx->body);

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "mcp body: %uz bytes, rc:%i", ctx->body->text.len, rc);

    switch (rc) {

    case NGX_OK:
        rc = ctx->body->done(r, 0);
        break;

    case NGX_HTTP_BAD_REQUEST:
    case NGX_HTTP_REQUEST_ENTITY_TOO_LARGE:
    case NGX_HTTP_TOO_MANY_REQUESTS:
        rc = ctx->body->done(r, rc);
    }

    ngx_http_finalize_request(r, ngx_mcp_error_result(r, rc));
}


/*
 * More of the body will come.  Returns NGX_AGAIN if it may be waited for, or an
 * HTTP status.  nginx has a buffer for the body even if nothing has come.
 */

static ngx_int_t
ngx_mcp_body_wait(ngx_http_request_t *r)
{
    size_t          size;
    ngx_int_t       rc;
    ngx_mcp_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_mcp_sse_module);

    size = ngx_max(ctx->body->capacity, NGX_MCP_BODY_MIN_SIZE);

    rc = ngx_mcp_body_user_count(r, size);

    if (rc == NGX_OK) {
        return NGX_AGAIN;
    }

    return (rc == NGX_BUSY) ? NGX_HTTP_TOO_MANY_REQUESTS
                            : NGX_HTTP_INTERNAL_SERVER_ERROR;
}


/*
 * Returns NGX_OK if the body is complete, NGX_AGAIN if more will come, or an
 * HTTP status.
 */

static ngx_int_t
ngx_mcp_body_more(ngx_http_request_t *r)
{
    ngx_int_t  rc;

    for ( ;; ) {
        rc = ngx_mcp_body_collect(r);

        if (rc != NGX_OK || !r->reading_body) {
            return rc;
        }

        rc = ngx_http_read_unbuffered_request_body(r);

        if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
            return rc;
        }

        if (rc == NGX_AGAIN && r->request_body->bufs == NULL) {
            return NGX_AGAIN;
        }
    }
}


static ngx_int_t
ngx_mcp_body_collect(ngx_http_request_t *r)
{
    ngx_int_t       rc;
    ngx_chain_t    *cl, *next;
    ngx_mcp_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_mcp_sse_module);

    for (cl = r->request_body->bufs; cl; cl = next) {
        next = cl->next;

        rc = ngx_mcp_body_append(r, ctx, cl->buf);

        if (rc != NGX_OK) {
            return rc;
        }

        /* buffers that another module has read stay as they are */

        if (!ctx->body->foreign) {
            cl->buf->pos = cl->buf->last;
            r->request_body->bufs = next;
            ngx_free_chain(r->pool, cl);
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_mcp_body_append(ngx_http_request_t *r, ngx_mcp_ctx_t *ctx, ngx_buf_t *b)
{
    off_t    size;
    u_char  *last;

    size = ngx_buf_size(b);

    if (size <= 0) {
        return NGX_OK;
    }

    if ((off_t) ctx->body->text.len + size > (off_t) ctx->body->max) {
        return NGX_HTTP_REQUEST_ENTITY_TOO_LARGE;
    }

    if (ngx_mcp_body_reserve(r, ctx, size) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    last = ctx->body->text.data + ctx->body->text.len;

    if (ngx_buf_in_memory(b)) {
        ngx_memcpy(last, b->pos, size);

    } else if (ngx_read_file(b->file, last, size, b->file_pos) != size) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->body->text.len += size;

    return NGX_OK;
}


static ngx_int_t
ngx_mcp_body_reserve(ngx_http_request_t *r, ngx_mcp_ctx_t *ctx, size_t size)
{
    u_char  *p;
    size_t   need;

    need = ctx->body->text.len + size;

    if (need <= ctx->body->capacity) {
        return NGX_OK;
    }

    need = ngx_max(need, 2 * ctx->body->capacity);
    need = ngx_max(need, NGX_MCP_BODY_MIN_SIZE);

    p = ngx_pnalloc(r->pool, need);
    if (p == NULL) {
        return NGX_ERROR;
    }

    if (ctx->body->text.len) {
        ngx_memcpy(p, ctx->body->text.data, ctx->body->text.len);
        ngx_pfree(r->pool, ctx->body->text.data);
    }

    ctx->body->text.data = p;
    ctx->body->capacity = need;

    return NGX_OK;
}

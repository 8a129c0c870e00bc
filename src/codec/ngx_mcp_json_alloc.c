
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Memory for yajl, which does not check malloc() for NULL.
 *
 * Pieces are cut off one after the other, each preceded by its size, and are
 * freed with the arena only.
 */

#include "ngx_mcp_json_alloc.h"


/*
 * The needs of yajl 2.1: a few hundred bytes for its handle, lexer and stack,
 * and two buffers, one for a decoded string and one for a token that is cut
 * off at the end of the text.  A buffer begins with 2048 bytes and is doubled.
 * No string is longer than the text, so that a buffer and its predecessors are
 * together less than four times as large as the text.
 */

#define NGX_MCP_JSON_ALLOC_BASE    16384
#define NGX_MCP_JSON_ALLOC_FACTOR  4

/* texts up to this size, bytes, use a static arena */

#define NGX_MCP_JSON_ALLOC_SHORT  4096


static void *ngx_mcp_json_alloc_malloc(void *data, size_t size);
static void *ngx_mcp_json_alloc_realloc(void *data, void *p, size_t size);
static void ngx_mcp_json_alloc_none(void *data, void *p);


/* one is enough: a worker parses one text at a time */

static u_char  ngx_mcp_json_alloc_static[NGX_MCP_JSON_ALLOC_BASE
                                         + NGX_MCP_JSON_ALLOC_FACTOR
                                           * NGX_MCP_JSON_ALLOC_SHORT];


ngx_int_t
ngx_mcp_json_alloc_init(ngx_mcp_json_alloc_t *arena, size_t len)
{
    size_t  size;

    size = NGX_MCP_JSON_ALLOC_BASE + NGX_MCP_JSON_ALLOC_FACTOR * len;

    arena->start = (size > sizeof(ngx_mcp_json_alloc_static))
                   ? ngx_alloc(size, ngx_cycle->log)
                   : ngx_mcp_json_alloc_static;
    if (arena->start == NULL) {
        return NGX_ERROR;
    }

    arena->pos = arena->start;
    arena->end = arena->start + size;

    arena->funcs.malloc = ngx_mcp_json_alloc_malloc;
    arena->funcs.realloc = ngx_mcp_json_alloc_realloc;
    arena->funcs.free = ngx_mcp_json_alloc_none;
    arena->funcs.ctx = arena;

    return NGX_OK;
}


void
ngx_mcp_json_alloc_free(ngx_mcp_json_alloc_t *arena)
{
    if (arena->start != ngx_mcp_json_alloc_static) {
        ngx_free(arena->start);
    }
}


static void *
ngx_mcp_json_alloc_malloc(void *data, size_t size)
{
    ngx_mcp_json_alloc_t  *arena = data;

    u_char  *p;

    p = ngx_align_ptr(arena->pos + sizeof(size_t), NGX_ALIGNMENT);

    if (p > arena->end || size > (size_t) (arena->end - p)) {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                      "mcp sse: yajl needs more memory than expected");
        return NULL;
    }

    ngx_memcpy(p - sizeof(size_t), &size, sizeof(size_t));

    arena->pos = p + size;

    return p;
}


static void *
ngx_mcp_json_alloc_realloc(void *data, void *p, size_t size)
{
    size_t   old;
    u_char  *new;

    new = ngx_mcp_json_alloc_malloc(data, size);

    if (new == NULL || p == NULL) {
        return new;
    }

    ngx_memcpy(&old, (u_char *) p - sizeof(size_t), sizeof(size_t));
    ngx_memcpy(new, p, ngx_min(old, size));

    return new;
}


static void
ngx_mcp_json_alloc_none(void *data, void *p)
{
    /* freed with the arena */
}

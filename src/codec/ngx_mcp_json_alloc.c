
/*
 * Blocks are cut off in order, each with its size in front; none is given
 * back before the arena is.
 */

#include "ngx_mcp_json_alloc.h"


/*
 * What yajl 2.1 needs: its handle, lexer and stack, a few hundred bytes, and
 * two buffers that begin with 2048 bytes and are doubled, one for a decoded
 * string and one for a token that is cut off at the end.  No string is longer
 * than the text, so that a buffer and all its predecessors are together less
 * than four times as large.
 */

#define NGX_MCP_JSON_ALLOC_BASE    16384
#define NGX_MCP_JSON_ALLOC_FACTOR  4

#define NGX_MCP_JSON_ALLOC_SHORT  4096


static void *ngx_mcp_json_alloc_malloc(void *data, size_t size);
static void *ngx_mcp_json_alloc_realloc(void *data, void *p, size_t size);
static void ngx_mcp_json_alloc_none(void *data, void *p);


/* one text is parsed at a time, and most are short */

static u_char  ngx_mcp_json_alloc_kept[NGX_MCP_JSON_ALLOC_BASE
                                           + NGX_MCP_JSON_ALLOC_FACTOR
                                             * NGX_MCP_JSON_ALLOC_SHORT];


ngx_int_t
ngx_mcp_json_alloc_init(ngx_mcp_json_alloc_t *arena, size_t len)
{
    size_t  size;

    size = NGX_MCP_JSON_ALLOC_BASE + NGX_MCP_JSON_ALLOC_FACTOR * len;

    arena->start = (size > sizeof(ngx_mcp_json_alloc_kept))
                   ? ngx_alloc(size, ngx_cycle->log)
                   : ngx_mcp_json_alloc_kept;
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
    if (arena->start != ngx_mcp_json_alloc_kept) {
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
                      "mcp sse: yajl wants more memory than it should");
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
    /* it goes with the arena */
}

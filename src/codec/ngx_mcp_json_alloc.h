
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Memory for yajl, which does not check malloc() for NULL.
 *
 * An arena is one block, allocated and checked before yajl begins, from which
 * the allocations of yajl are cut.
 */

#ifndef _NGX_MCP_JSON_ALLOC_H_INCLUDED_
#define _NGX_MCP_JSON_ALLOC_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include <yajl/yajl_parse.h>


typedef struct {
    yajl_alloc_funcs   funcs;      /* the argument of yajl_alloc() */
    u_char            *start;
    u_char            *pos;
    u_char            *end;
} ngx_mcp_json_alloc_t;


/*
 * Makes an arena that is large enough to parse "len" bytes in one piece.
 * Returns NGX_OK, or NGX_ERROR if memory is short.  The caller frees it after
 * yajl_free(), and before it makes another one.
 */

ngx_int_t ngx_mcp_json_alloc_init(ngx_mcp_json_alloc_t *arena, size_t len);
void ngx_mcp_json_alloc_free(ngx_mcp_json_alloc_t *arena);


#endif /* _NGX_MCP_JSON_ALLOC_H_INCLUDED_ */

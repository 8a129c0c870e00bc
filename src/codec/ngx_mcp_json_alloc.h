
/*
 * Memory for yajl, which does not check what it allocates.  A leaf.
 *
 * An arena is one block, made and checked before yajl begins, from which its
 * allocations are cut.
 */

#ifndef _NGX_MCP_JSON_ALLOC_H_INCLUDED_
#define _NGX_MCP_JSON_ALLOC_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include <yajl/yajl_parse.h>


typedef struct {
    yajl_alloc_funcs   funcs;      /* to be given to yajl_alloc() */
    u_char            *start;
    u_char            *pos;
    u_char            *end;
} ngx_mcp_json_alloc_t;


/*
 * Makes an arena that is large enough for parsing "len" bytes in one piece.
 * NGX_OK or NGX_ERROR.  Its owner frees it after yajl_free().
 */

ngx_int_t ngx_mcp_json_alloc_init(ngx_mcp_json_alloc_t *arena, size_t len);
void ngx_mcp_json_alloc_free(ngx_mcp_json_alloc_t *arena);


#endif /* _NGX_MCP_JSON_ALLOC_H_INCLUDED_ */

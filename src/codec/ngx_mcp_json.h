
/*
 * A walk through JSON: yajl is run once over the whole body in one buffer,
 * and tells of every value up to NGX_MCP_JSON_LEVELS deep as it
 * ends, with its raw bytes and the names that lead to it.  Nothing that was
 * taken counts until the walk has said that all of the body is JSON.
 */

#ifndef _NGX_MCP_JSON_H_INCLUDED_
#define _NGX_MCP_JSON_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <yajl/yajl_parse.h>


/* a batch, a message, its params, their _meta, and the members of that */
#define NGX_MCP_JSON_LEVELS  5


typedef enum {
    NGX_MCP_JSON_NULL = 1,
    NGX_MCP_JSON_TRUE,
    NGX_MCP_JSON_FALSE,
    NGX_MCP_JSON_NUMBER,
    NGX_MCP_JSON_STRING,
    NGX_MCP_JSON_OBJECT,
    NGX_MCP_JSON_ARRAY
} ngx_mcp_json_type_e;


typedef struct {
    size_t                            start;   /* of the open container */
    ngx_uint_t                        key;     /* of the current member, 0 if
                                                  not in names or in an array */
    ngx_uint_t                        seen;    /* keys there were */
    ngx_uint_t                        twice;   /* those repeated */
} ngx_mcp_json_level_t;


typedef struct ngx_mcp_json_walk_s  ngx_mcp_json_walk_t;

/*
 * Called as a value ends, with walk->depth containers around it: its key is
 * level[depth].key, and if it is an object, level[depth + 1] tells which
 * members it had.  Returns NGX_OK or NGX_ERROR, which ends the walk.
 */

typedef ngx_int_t (*ngx_mcp_json_value_pt)(
    ngx_mcp_json_walk_t *walk, ngx_uint_t type, ngx_str_t *raw);


struct ngx_mcp_json_walk_s {
    ngx_pool_t                       *pool;
    ngx_str_t                        *body;
    ngx_conf_bitmask_t               *names;
    ngx_mcp_json_value_pt             value;
    void                             *data;

    yajl_handle                       yajl;
    size_t                            mark;    /* end of the last token */
    ngx_uint_t                        top;     /* type of the outermost */
    ngx_uint_t                        depth;
    ngx_uint_t                        max_depth;
    ngx_mcp_json_level_t              level[NGX_MCP_JSON_LEVELS];

    unsigned                          ended:1; /* all of body was given */
    unsigned                          failed:1;
};


/*
 * Walks through w->body.  The caller zeroes the walk and sets body, names
 * (ended by an empty one), value and max_depth, and pool and data for itself:
 * all of them stay its own, and the parser is freed before this returns.  The
 * raw bytes that value() is given point into the body.
 *
 * Returns NGX_OK if all of the body is one JSON value in UTF-8 not deeper
 * than max_depth, NGX_DECLINED if it is not, NGX_ERROR if memory is short or
 * value() said so.  w->top is then the type of the outermost container, or 0.
 */

ngx_int_t ngx_mcp_json_walk(ngx_mcp_json_walk_t *w);


#endif /* _NGX_MCP_JSON_H_INCLUDED_ */

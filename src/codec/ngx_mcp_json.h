
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * A walk over JSON (RFC 8259): yajl runs once over the whole body, and each
 * value up to NGX_MCP_JSON_LEVELS deep is reported when it ends, with its raw
 * bytes and the keys that lead to it.  What was reported is valid only if
 * ngx_mcp_json_walk() returns NGX_OK.
 */

#ifndef _NGX_MCP_JSON_H_INCLUDED_
#define _NGX_MCP_JSON_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <yajl/yajl_parse.h>


/* containers: a batch, a message, its params, their _meta, and its members */

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
    size_t                            start;   /* offset of the container */
    ngx_uint_t                        key;     /* of the current member; 0: it
                                                  is not in names, or this is
                                                  an array */
    ngx_uint_t                        seen;    /* keys that it has */
    ngx_uint_t                        twice;   /* keys that are repeated */
} ngx_mcp_json_level_t;


typedef struct ngx_mcp_json_walk_s  ngx_mcp_json_walk_t;

/*
 * Called when a value ends, with walk->depth containers around it.  Its key is
 * level[depth].key; if it is an object, level[depth + 1] has the keys of its
 * members.  "type" is of ngx_mcp_json_type_e.  Returns NGX_OK, or NGX_ERROR,
 * which ends the walk.
 */

typedef ngx_int_t (*ngx_mcp_json_value_pt)(
    ngx_mcp_json_walk_t *walk, ngx_uint_t type, ngx_str_t *raw);


struct ngx_mcp_json_walk_s {
    ngx_pool_t                       *pool;
    ngx_str_t                        *body;
    ngx_conf_bitmask_t               *names;
    ngx_mcp_json_value_pt             value;
    void                             *data;

    ngx_str_t                         text;    /* body without its BOM */
    yajl_handle                       yajl;
    size_t                            mark;    /* end of the last token */
    ngx_uint_t                        top;     /* type of the outermost one */
    ngx_uint_t                        depth;
    ngx_uint_t                        max_depth;
    ngx_mcp_json_level_t              level[NGX_MCP_JSON_LEVELS];

    unsigned                          ended:1; /* yajl has got all of body */
    unsigned                          failed:1; /* value() failed */
};


/*
 * Walks over w->body.  The caller zeroes the walk and sets body, names (ended
 * by an empty one), value and max_depth, and pool and data for its own use.
 * It keeps the ownership of all of them.  value() runs before this returns;
 * the raw bytes that it gets point into the body.
 *
 * Returns NGX_OK if the body is one JSON value in UTF-8, with or without a byte
 * order mark in front, that is not deeper than max_depth; NGX_DECLINED if it is
 * not; NGX_ERROR if memory is short or value() has failed.  w->top is the type
 * of the outermost container, or 0.
 */

ngx_int_t ngx_mcp_json_walk(ngx_mcp_json_walk_t *w);


#endif /* _NGX_MCP_JSON_H_INCLUDED_ */

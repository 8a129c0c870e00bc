
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * A scanner of JSON (RFC 8259) for texts that come in pieces: answers of the
 * backend.  It accepts what ngx_mcp_json_walk() accepts, reports the same
 * values, and needs no memory.
 */

#ifndef _NGX_MCP_JSON_SCAN_H_INCLUDED_
#define _NGX_MCP_JSON_SCAN_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_mcp_json.h"


#define NGX_MCP_JSON_SCAN_MAX_DEPTH  512    /* containers */


typedef struct ngx_mcp_json_scan_s  ngx_mcp_json_scan_t;

/*
 * Called when a value ends, as ngx_mcp_json_value_pt.  "raw" is valid until
 * this returns: the text may move between two pieces.  raw->data - s->text.data
 * is its offset.
 */

typedef ngx_int_t (*ngx_mcp_json_scan_pt)(
    ngx_mcp_json_scan_t *s, ngx_uint_t type, ngx_str_t *raw);


struct ngx_mcp_json_scan_s {
    ngx_conf_bitmask_t    *names;
    ngx_mcp_json_scan_pt   value;
    void                  *data;

    ngx_str_t              text;        /* what has come so far */
    size_t                 offset;      /* of the next byte */
    size_t                 start;       /* of the current string or number */
    uint64_t               filter;      /* of names */
    const char            *literal;     /* what must follow of true, false or
                                           null */
    ngx_uint_t             type;        /* of the current literal */
    ngx_uint_t             state;
    ngx_uint_t             number;      /* what was read of a number */
    ngx_uint_t             depth;
    ngx_uint_t             separators;  /* U+0085, U+2028, U+2029 in strings */
    ngx_mcp_json_level_t   level[NGX_MCP_JSON_LEVELS];

    /* whether a container is an array, a bit for each */

    u_char                 array[NGX_MCP_JSON_SCAN_MAX_DEPTH / 8];

    unsigned               key:1;       /* the current string is a name */
    unsigned               escaped:1;   /* it has escapes */
    unsigned               breaks:1;    /* CR or LF inside a container */
};


/*
 * Returns the filter of names, which tells of most names in a text that they
 * are none of these.
 */

uint64_t ngx_mcp_json_scan_filter(ngx_conf_bitmask_t *names);

/*
 * Goes on with what has come of a text.  The caller zeroes the scan before
 * the first call and sets names, filter, value and data.  "text" is all that
 * has come so far: its beginning has the same bytes as in the call before, its
 * address may differ.  With "last" it is the whole text.  value() runs before
 * this returns.
 *
 * Returns NGX_AGAIN without "last", if the text may go on to be JSON.  With
 * "last", NGX_OK if it is one JSON value in UTF-8, with or without a byte order
 * mark in front, that is not deeper than NGX_MCP_JSON_SCAN_MAX_DEPTH.  With or
 * without it, NGX_DECLINED if it is not; NGX_ERROR if value() has failed; both
 * end the scan.
 */

ngx_int_t ngx_mcp_json_scan(ngx_mcp_json_scan_t *s, ngx_str_t *text,
    ngx_uint_t last);


#endif /* _NGX_MCP_JSON_SCAN_H_INCLUDED_ */

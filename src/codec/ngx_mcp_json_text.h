
/*
 * Characters: UTF-8, and the strings of JSON.  A leaf.
 */

#ifndef _NGX_MCP_JSON_TEXT_H_INCLUDED_
#define _NGX_MCP_JSON_TEXT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* whether an ngx_str_t * is that literal */

#define ngx_mcp_str_is(s, text)                                               \
    ((s)->len == sizeof(text) - 1                                             \
     && ngx_strncmp((s)->data, text, sizeof(text) - 1) == 0)


/*
 * Takes any bytes, returns NGX_OK if they are UTF-8 as RFC 3629 has it,
 * without characters below U+0020 but for tab, CR and LF; else NGX_DECLINED.
 * Allocates and keeps nothing.
 */

ngx_int_t ngx_mcp_json_text_check(ngx_str_t *text);

/*
 * Whether there is no control character in it, so that it can stand in a line
 * of a log or in a header.
 */

ngx_uint_t ngx_mcp_json_text_one_line(ngx_str_t *text);

/*
 * Takes a JSON string with its quotes, which has been parsed, and sets *value
 * to what it stands for.  That points into raw, whose owner does not change,
 * or is allocated from pool if there are escapes.  Returns NGX_OK, or
 * NGX_ERROR if memory is short.
 */

ngx_int_t ngx_mcp_json_text_decode(ngx_pool_t *pool, ngx_str_t *raw,
    ngx_str_t *value);

/*
 * Takes two raw JSON values, of which "a" is not empty and begins with a
 * quote; returns whether both are strings and the same once decoded.
 * Allocates and keeps nothing.
 */

ngx_uint_t ngx_mcp_json_text_same(ngx_str_t *a, ngx_str_t *b);


#endif /* _NGX_MCP_JSON_TEXT_H_INCLUDED_ */

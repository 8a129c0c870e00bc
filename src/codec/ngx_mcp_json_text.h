
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Characters: UTF-8 (RFC 3629) and JSON strings (RFC 8259, 7).
 */

#ifndef _NGX_MCP_JSON_TEXT_H_INCLUDED_
#define _NGX_MCP_JSON_TEXT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* whether an ngx_str_t * equals a literal */

#define ngx_mcp_str_is(s, text)                                               \
    ((s)->len == sizeof(text) - 1                                             \
     && ngx_strncmp((s)->data, text, sizeof(text) - 1) == 0)


/*
 * Checks any bytes.  Returns NGX_OK if they are UTF-8 (RFC 3629) without
 * characters below U+0020 other than tab, CR and LF; else NGX_DECLINED.
 */

ngx_int_t ngx_mcp_json_text_check(ngx_str_t *text);

/*
 * Returns whether the text has no control character: it fits into a line of a
 * log and into a header.
 */

ngx_uint_t ngx_mcp_json_text_one_line(ngx_str_t *text);

/*
 * Decodes "raw", a JSON string with its quotes that yajl has accepted.  *value
 * points into raw, or is allocated from pool if there are escapes.  A lone
 * surrogate becomes U+FFFD.  Returns NGX_OK, or NGX_ERROR if memory is short.
 */

ngx_int_t ngx_mcp_json_text_decode(ngx_pool_t *pool, ngx_str_t *raw,
    ngx_str_t *value);

/*
 * Compares two raw JSON values.  "a" must begin with a quote.  Returns whether
 * both are strings and equal when they are decoded.
 */

ngx_uint_t ngx_mcp_json_text_same(ngx_str_t *a, ngx_str_t *b);


#endif /* _NGX_MCP_JSON_TEXT_H_INCLUDED_ */

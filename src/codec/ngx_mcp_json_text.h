
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


#define NGX_MCP_JSON_TEXT_INVALID  0xffffffff    /* no code point */


/*
 * Skips ASCII characters from U+0020 on, other than quotes and backslashes.
 * Returns the first byte from p on that is another one, or last.
 */

u_char *ngx_mcp_json_text_plain(u_char *p, u_char *last);

/*
 * Skips ASCII characters from U+0020 on.  Returns the first byte from p on that
 * is another one, or last.
 */

u_char *ngx_mcp_json_text_visible(u_char *p, u_char *last);

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
 * As ngx_mcp_json_text_decode(), but *value is always allocated from pool.
 */

ngx_int_t ngx_mcp_json_text_copy(ngx_pool_t *pool, ngx_str_t *raw,
    ngx_str_t *value);

/*
 * Compares two raw JSON values.  "a" must begin with a quote.  Returns whether
 * both are strings and equal when they are decoded.
 */

ngx_uint_t ngx_mcp_json_text_same(ngx_str_t *a, ngx_str_t *b);

/*
 * Returns whether "raw", a JSON string with its quotes, equals "text" when it
 * is decoded.
 */

ngx_uint_t ngx_mcp_json_text_equals(ngx_str_t *raw, ngx_str_t *text);

/*
 * Reads the character of UTF-8 at *pos, which is before "last", and advances
 * *pos.  Returns its code point, or NGX_MCP_JSON_TEXT_INVALID if it has not the
 * shortest form, is a surrogate, is above U+10FFFF (RFC 3629, 3) or is cut off.
 */

uint32_t ngx_mcp_json_text_utf8(u_char **pos, u_char *last);


#endif /* _NGX_MCP_JSON_TEXT_H_INCLUDED_ */


/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Characters: UTF-8 (RFC 3629), and escapes of JSON strings (RFC 8259, 7).
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_mcp_json_text.h"


#define NGX_MCP_JSON_TEXT_REPLACEMENT  0xfffd

/*
 * 16 bytes, signed: those of characters that are not ASCII are below 0.  A
 * comparison gives a byte of ones or zeroes for each.
 */

typedef signed char  ngx_mcp_json_text_block_t __attribute__((vector_size(16)));
typedef uint64_t     ngx_mcp_json_text_words_t __attribute__((vector_size(16)));

/* after so many plain characters, a multiple of 16, there are probably more */

#define NGX_MCP_JSON_TEXT_LONG  64

/* a block of 16 equal bytes */

#define NGX_MCP_JSON_TEXT_4(c)   c, c, c, c
#define NGX_MCP_JSON_TEXT_16(c)                                               \
    { NGX_MCP_JSON_TEXT_4(c), NGX_MCP_JSON_TEXT_4(c),                         \
      NGX_MCP_JSON_TEXT_4(c), NGX_MCP_JSON_TEXT_4(c) }


static ngx_inline ngx_mcp_json_text_block_t ngx_mcp_json_text_special(
    u_char *p);
static u_char *ngx_mcp_json_text_plain_blocks(u_char *p, u_char *last);
static ngx_inline ngx_uint_t ngx_mcp_json_text_first(
    ngx_mcp_json_text_block_t block);
static uint32_t ngx_mcp_json_text_utf8_long(u_char **pos, u_char *last);
static uint32_t ngx_mcp_json_text_char(u_char **pos, u_char *last);
static u_char *ngx_mcp_json_text_put_utf8(u_char *p, uint32_t c);


static const ngx_mcp_json_text_block_t  ngx_mcp_json_text_blanks =
    NGX_MCP_JSON_TEXT_16(' ');
static const ngx_mcp_json_text_block_t  ngx_mcp_json_text_twos =
    NGX_MCP_JSON_TEXT_16(2);
static const ngx_mcp_json_text_block_t  ngx_mcp_json_text_backslashes =
    NGX_MCP_JSON_TEXT_16('\\');


u_char *
ngx_mcp_json_text_plain(u_char *p, u_char *last)
{
    u_char      *start;
    ngx_uint_t   n;

    start = p;

    while (last - p >= 16) {

        n = ngx_mcp_json_text_first(ngx_mcp_json_text_special(p));
        p += n;

        if (n < 16) {
            return p;
        }

        if (p - start == NGX_MCP_JSON_TEXT_LONG) {
            p = ngx_mcp_json_text_plain_blocks(p, last);
        }
    }

    while (p < last && *p >= 0x20 && *p < 0x80 && *p != '"' && *p != '\\') {
        p++;
    }

    return p;
}


/*
 * Tells which of 16 bytes are not plain.  With its second bit changed a quote
 * is a blank, and what else is plain is above that.
 */

static ngx_inline ngx_mcp_json_text_block_t
ngx_mcp_json_text_special(u_char *p)
{
    ngx_mcp_json_text_block_t  block;

    ngx_memcpy(&block, p, 16);

    return ((block ^ ngx_mcp_json_text_twos) <= ngx_mcp_json_text_blanks)
           | (block == ngx_mcp_json_text_backslashes);
}


/*
 * Skips 64 bytes at a time, as long as all of them are plain.
 */

static u_char *
ngx_mcp_json_text_plain_blocks(u_char *p, u_char *last)
{
    ngx_mcp_json_text_block_t  special;

    while (last - p >= 64) {

        special = ngx_mcp_json_text_special(p)
                  | ngx_mcp_json_text_special(p + 16)
                  | ngx_mcp_json_text_special(p + 32)
                  | ngx_mcp_json_text_special(p + 48);

        if (ngx_mcp_json_text_first(special) < 16) {
            break;
        }

        p += 64;
    }

    return p;
}


/*
 * Returns the number of bytes in front of the first one that is not zero.
 */

static ngx_inline ngx_uint_t
ngx_mcp_json_text_first(ngx_mcp_json_text_block_t block)
{
    ngx_mcp_json_text_words_t  words;

    words = (ngx_mcp_json_text_words_t) block;

    if ((words[0] | words[1]) == 0) {
        return 16;
    }

#if (NGX_HAVE_LITTLE_ENDIAN)

    return words[0] ? (ngx_uint_t) __builtin_ctzll(words[0]) / 8
                    : 8 + (ngx_uint_t) __builtin_ctzll(words[1]) / 8;

#else

    return words[0] ? (ngx_uint_t) __builtin_clzll(words[0]) / 8
                    : 8 + (ngx_uint_t) __builtin_clzll(words[1]) / 8;

#endif
}


ngx_int_t
ngx_mcp_json_text_check(ngx_str_t *text)
{
    u_char  *p, *last;

    p = text->data;
    last = text->data + text->len;

    for ( ;; ) {

        p = ngx_mcp_json_text_visible(p, last);

        if (p == last) {
            return NGX_OK;
        }

        if (*p == '\t' || *p == CR || *p == LF) {
            p++;
            continue;
        }

        if (*p < 0x20
            || ngx_mcp_json_text_utf8(&p, last) == NGX_MCP_JSON_TEXT_INVALID)
        {
            return NGX_DECLINED;
        }
    }
}


u_char *
ngx_mcp_json_text_visible(u_char *p, u_char *last)
{
    ngx_uint_t                 n;
    ngx_mcp_json_text_block_t  block;

    while (last - p >= 16) {

        ngx_memcpy(&block, p, 16);

        n = ngx_mcp_json_text_first(block < ngx_mcp_json_text_blanks);
        p += n;

        if (n < 16) {
            return p;
        }
    }

    while (p < last && *p >= 0x20 && *p < 0x80) {
        p++;
    }

    return p;
}


ngx_uint_t
ngx_mcp_json_text_one_line(ngx_str_t *text)
{
    size_t  i;

    for (i = 0; i < text->len; i++) {

        if (text->data[i] < ' ' || text->data[i] == 0x7f) {
            return 0;
        }
    }

    return 1;
}


/*
 * A character is never longer in UTF-8 than as an escape, so that the result
 * fits into the length of the raw string.
 */

ngx_int_t
ngx_mcp_json_text_decode(ngx_pool_t *pool, ngx_str_t *raw, ngx_str_t *value)
{
    u_char    *p, *d, *last;
    uint32_t   c;

    p = raw->data + 1;
    last = raw->data + raw->len - 1;

    if (ngx_strlchr(p, last, '\\') == NULL) {
        value->len = last - p;
        value->data = p;
        return NGX_OK;
    }

    d = ngx_pnalloc(pool, last - p);
    if (d == NULL) {
        return NGX_ERROR;
    }

    value->data = d;

    while (p < last) {

        if (*p != '\\') {
            *d++ = *p++;
            continue;
        }

        c = ngx_mcp_json_text_char(&p, last);

        if (c == NGX_MCP_JSON_TEXT_INVALID) {
            c = NGX_MCP_JSON_TEXT_REPLACEMENT;
        }

        d = ngx_mcp_json_text_put_utf8(d, c);
    }

    value->len = d - value->data;

    return NGX_OK;
}


ngx_int_t
ngx_mcp_json_text_copy(ngx_pool_t *pool, ngx_str_t *raw, ngx_str_t *value)
{
    ngx_str_t  decoded;

    if (ngx_mcp_json_text_decode(pool, raw, &decoded) != NGX_OK) {
        return NGX_ERROR;
    }

    if (decoded.data != raw->data + 1) {
        *value = decoded;
        return NGX_OK;
    }

    value->len = decoded.len;
    value->data = ngx_pstrdup(pool, &decoded);

    return (value->data == NULL) ? NGX_ERROR : NGX_OK;
}


ngx_uint_t
ngx_mcp_json_text_same(ngx_str_t *a, ngx_str_t *b)
{
    u_char    *p, *q, *p_last, *q_last;
    uint32_t   c;

    if (a->len < 2 || b->len < 2 || b->data[0] != '"') {
        return 0;
    }

    if (a->len == b->len && ngx_memcmp(a->data, b->data, a->len) == 0) {
        return 1;
    }

    p = a->data + 1;
    q = b->data + 1;

    p_last = a->data + a->len - 1;
    q_last = b->data + b->len - 1;

    while (p < p_last && q < q_last) {

        c = ngx_mcp_json_text_char(&p, p_last);

        if (c == NGX_MCP_JSON_TEXT_INVALID
            || c != ngx_mcp_json_text_char(&q, q_last))
        {
            return 0;
        }
    }

    return p == p_last && q == q_last;
}


ngx_uint_t
ngx_mcp_json_text_equals(ngx_str_t *raw, ngx_str_t *text)
{
    u_char  *p, *q, *p_last, *q_last;

    p = raw->data + 1;
    q = text->data;

    p_last = raw->data + raw->len - 1;
    q_last = text->data + text->len;

    while (p < p_last && q < q_last) {

        if (ngx_mcp_json_text_char(&p, p_last)
            != ngx_mcp_json_text_utf8(&q, q_last))
        {
            return 0;
        }
    }

    return p == p_last && q == q_last;
}


/*
 * Returns the character at *pos, escaped or not, and advances *pos.  A lone
 * surrogate, which the grammar of JSON allows and UTF-8 does not, is U+FFFD.
 */

static uint32_t
ngx_mcp_json_text_char(u_char **pos, u_char *last)
{
    u_char     *p;
    ngx_int_t   c, low;

    p = *pos;

    if (*p != '\\') {
        return ngx_mcp_json_text_utf8(pos, last);
    }

    if (last - p < 2) {
        *pos = last;
        return NGX_MCP_JSON_TEXT_INVALID;
    }

    *pos = p + 2;

    switch (p[1]) {

    case 'b':
        return '\b';

    case 'f':
        return '\f';

    case 'n':
        return LF;

    case 'r':
        return CR;

    case 't':
        return '\t';

    case 'u':
        break;

    default:
        return p[1];
    }

    c = (last - p < 6) ? NGX_ERROR : ngx_hextoi(p + 2, 4);

    if (c == NGX_ERROR) {
        return NGX_MCP_JSON_TEXT_INVALID;
    }

    *pos = p + 6;

    if (c >= 0xd800 && c <= 0xdbff
        && last - p >= 12 && p[6] == '\\' && p[7] == 'u')
    {
        low = ngx_hextoi(p + 8, 4);

        if (low >= 0xdc00 && low <= 0xdfff) {
            *pos = p + 12;

            return 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
        }
    }

    return (c >= 0xd800 && c <= 0xdfff) ? NGX_MCP_JSON_TEXT_REPLACEMENT : c;
}


uint32_t
ngx_mcp_json_text_utf8(u_char **pos, u_char *last)
{
    u_char    *p;
    uint32_t   c;

    p = *pos;
    c = *p++;

    *pos = p;

    if (c < 0x80) {
        return c;
    }

    if (c >= 0xe0) {
        return ngx_mcp_json_text_utf8_long(pos, last);
    }

    if (c < 0xc2 || p == last || (*p & 0xc0) != 0x80) {
        return NGX_MCP_JSON_TEXT_INVALID;
    }

    *pos = p + 1;

    return (c & 0x1f) << 6 | (*p & 0x3f);
}


/* a character of three or four bytes, the first of which is before *pos */

static uint32_t
ngx_mcp_json_text_utf8_long(u_char **pos, u_char *last)
{
    u_char    *p;
    size_t     n;
    uint32_t   c;

    p = *pos;
    c = p[-1];
    n = (c < 0xf0) ? 2 : 3;

    if (c > 0xf4
        || (size_t) (last - p) < n
        || (p[0] & 0xc0) != 0x80
        || (p[1] & 0xc0) != 0x80)
    {
        return NGX_MCP_JSON_TEXT_INVALID;
    }

    c = (c & 0x0f) << 12 | (p[0] & 0x3f) << 6 | (p[1] & 0x3f);

    if (n == 2) {

        if (c < 0x800 || (c >= 0xd800 && c <= 0xdfff)) {
            return NGX_MCP_JSON_TEXT_INVALID;
        }

    } else {

        if ((p[2] & 0xc0) != 0x80) {
            return NGX_MCP_JSON_TEXT_INVALID;
        }

        c = c << 6 | (p[2] & 0x3f);

        if (c < 0x10000 || c > 0x10ffff) {
            return NGX_MCP_JSON_TEXT_INVALID;
        }
    }

    *pos = p + n;

    return c;
}


static u_char *
ngx_mcp_json_text_put_utf8(u_char *p, uint32_t c)
{
    if (c < 0x80) {
        *p++ = (u_char) c;
        return p;
    }

    if (c < 0x800) {
        *p++ = (u_char) (0xc0 | (c >> 6));
        *p++ = (u_char) (0x80 | (c & 0x3f));
        return p;
    }

    if (c < 0x10000) {
        *p++ = (u_char) (0xe0 | (c >> 12));

    } else {
        *p++ = (u_char) (0xf0 | (c >> 18));
        *p++ = (u_char) (0x80 | ((c >> 12) & 0x3f));
    }

    *p++ = (u_char) (0x80 | ((c >> 6) & 0x3f));
    *p++ = (u_char) (0x80 | (c & 0x3f));

    return p;
}

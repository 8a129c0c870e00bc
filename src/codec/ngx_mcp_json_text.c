
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Characters: UTF-8 (RFC 3629), and escapes of JSON strings (RFC 8259, 7).
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_mcp_json_text.h"


#define NGX_MCP_JSON_TEXT_REPLACEMENT  0xfffd

/* a byte in each byte of a word */

#define NGX_MCP_JSON_TEXT_BYTES(c)  ((uint64_t) (c) * 0x0101010101010101)


static uint64_t ngx_mcp_json_text_special(u_char *p);
static uint32_t ngx_mcp_json_text_char(u_char **pos, u_char *last);
static u_char *ngx_mcp_json_text_put_utf8(u_char *p, uint32_t c);


u_char *
ngx_mcp_json_text_plain(u_char *p, u_char *last)
{
    uint64_t  special;

    while (last - p >= 8) {

        special = ngx_mcp_json_text_special(p);

        if (special) {
#if (NGX_HAVE_LITTLE_ENDIAN && __GNUC__)
            return p + __builtin_ctzll(special) / 8;
#else
            break;
#endif
        }

        p += 8;
    }

    while (p < last && *p >= 0x20 && *p < 0x80 && *p != '"' && *p != '\\') {
        p++;
    }

    return p;
}


/*
 * Looks at 8 bytes.  Returns a word with the highest bit set in the first byte
 * that is not plain, or 0 if all are.  A subtraction sets the highest bit of a
 * byte that is below 0x20, or that equals a quote or a backslash.  It may
 * borrow from the bytes behind: then there is one anyhow.
 */

static uint64_t
ngx_mcp_json_text_special(u_char *p)
{
    uint64_t  w;

    ngx_memcpy(&w, p, sizeof(uint64_t));

    return (w
            | (w - NGX_MCP_JSON_TEXT_BYTES(0x20))
            | ((w ^ NGX_MCP_JSON_TEXT_BYTES('"'))
               - NGX_MCP_JSON_TEXT_BYTES(0x01))
            | ((w ^ NGX_MCP_JSON_TEXT_BYTES('\\'))
               - NGX_MCP_JSON_TEXT_BYTES(0x01)))
           & NGX_MCP_JSON_TEXT_BYTES(0x80);
}


ngx_int_t
ngx_mcp_json_text_check(ngx_str_t *text)
{
    u_char  *p, *last;

    p = text->data;
    last = text->data + text->len;

    for ( ;; ) {

        p = ngx_mcp_json_text_plain(p, last);

        if (p == last) {
            return NGX_OK;
        }

        if (*p == '"' || *p == '\\') {
            p++;
            continue;
        }

        if (*p < 0x20) {

            if (*p != '\t' && *p != CR && *p != LF) {
                return NGX_DECLINED;
            }

            p++;
            continue;
        }

        if (ngx_mcp_json_text_utf8(&p, last) == NGX_MCP_JSON_TEXT_INVALID) {
            return NGX_DECLINED;
        }
    }
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
    size_t     n;
    uint32_t   c, min;

    p = *pos;
    c = *p++;

    *pos = p;

    if (c < 0x80) {
        return c;
    }

    if (c >= 0xf0 && c <= 0xf4) {
        c &= 0x07;
        min = 0x10000;
        n = 3;

    } else if (c >= 0xe0 && c < 0xf0) {
        c &= 0x0f;
        min = 0x800;
        n = 2;

    } else if (c >= 0xc2 && c < 0xe0) {
        c &= 0x1f;
        min = 0x80;
        n = 1;

    } else {
        return NGX_MCP_JSON_TEXT_INVALID;
    }

    if ((size_t) (last - p) < n) {
        return NGX_MCP_JSON_TEXT_INVALID;
    }

    for ( /* void */ ; n; n--) {

        if ((*p & 0xc0) != 0x80) {
            return NGX_MCP_JSON_TEXT_INVALID;
        }

        c = (c << 6) | (*p++ & 0x3f);
    }

    if (c < min || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff)) {
        return NGX_MCP_JSON_TEXT_INVALID;
    }

    *pos = p;

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


/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Characters of JSON: UTF-8 by the grammar of RFC 3629, 4, and the escapes of
 * RFC 8259, 7.
 */

#include <string.h>

#include "strict_json.h"


static size_t strict_decode_escape(const uint8_t *p, const uint8_t *last,
    uint32_t *c);
static size_t strict_encode(uint32_t c, uint8_t *d);


size_t
strict_json_decode(const uint8_t *p, const uint8_t *last, uint8_t *d)
{
    size_t    n;
    uint8_t  *start;
    uint32_t  c;

    start = d;

    while (p < last) {

        if (*p != '\\') {
            *d++ = *p++;
            continue;
        }

        n = strict_decode_escape(p, last, &c);
        p += n;
        d += strict_encode(c, d);
    }

    return d - start;
}


static size_t
strict_decode_escape(const uint8_t *p, const uint8_t *last, uint32_t *c)
{
    uint32_t     low;
    const char  *at;

    static const char  letters[] = "bfnrt";
    static const char  meanings[] = "\b\f\n\r\t";

    if (p[1] != 'u') {
        at = strchr(letters, p[1]);
        *c = at ? (uint32_t) meanings[at - letters] : p[1];
        return 2;
    }

    (void) strict_hex(p + 2, c);

    if (*c >> 11 != 0x1b) {
        return 6;
    }

    if (*c < 0xdc00
        && last - p >= 12 && p[6] == '\\' && p[7] == 'u'
        && strict_hex(p + 8, &low) && low >> 10 == 0x37)
    {
        *c = 0x10000 + (*c % 0x400) * 0x400 + low % 0x400;
        return 12;
    }

    *c = 0xfffd;

    return 6;
}


int
strict_hex(const uint8_t *p, uint32_t *value)
{
    int          i;
    const char  *at;

    static const char  digits[] = "0123456789abcdefABCDEF";

    *value = 0;

    for (i = 0; i < 4; i++) {

        at = p[i] ? strchr(digits, p[i]) : NULL;
        if (at == NULL) {
            return 0;
        }

        *value = *value * 16
                 + (uint32_t) (at - digits - (at - digits > 15 ? 6 : 0));
    }

    return 1;
}


static size_t
strict_encode(uint32_t c, uint8_t *d)
{
    size_t  i, n;

    if (c < 0x80) {
        d[0] = (uint8_t) c;
        return 1;
    }

    n = (c < 0x800) ? 2 : (c < 0x10000) ? 3 : 4;

    for (i = n - 1; i; i--) {
        d[i] = (uint8_t) (0x80 + c % 0x40);
        c /= 0x40;
    }

    d[0] = (uint8_t) (0xf00 >> n) + (uint8_t) c;

    return n;
}


/* the rows of the grammar in RFC 3629, 4 */

size_t
strict_utf8(const uint8_t *p, const uint8_t *last)
{
    size_t  i, row;

    static const struct {
        uint8_t  first[2];
        uint8_t  second[2];
        size_t   n;
    } rows[] = {
        { { 0x00, 0x7f }, { 0x00, 0x00 }, 1 },
        { { 0xc2, 0xdf }, { 0x80, 0xbf }, 2 },
        { { 0xe0, 0xe0 }, { 0xa0, 0xbf }, 3 },
        { { 0xe1, 0xec }, { 0x80, 0xbf }, 3 },
        { { 0xed, 0xed }, { 0x80, 0x9f }, 3 },
        { { 0xee, 0xef }, { 0x80, 0xbf }, 3 },
        { { 0xf0, 0xf0 }, { 0x90, 0xbf }, 4 },
        { { 0xf1, 0xf3 }, { 0x80, 0xbf }, 4 },
        { { 0xf4, 0xf4 }, { 0x80, 0x8f }, 4 }
    };

    for (row = 0; row < sizeof(rows) / sizeof(rows[0]); row++) {

        if (p == last || *p < rows[row].first[0] || *p > rows[row].first[1]) {
            continue;
        }

        if ((size_t) (last - p) < rows[row].n) {
            return 0;
        }

        for (i = 1; i < rows[row].n; i++) {

            if (p[i] < (i == 1 ? rows[row].second[0] : 0x80)
                || p[i] > (i == 1 ? rows[row].second[1] : 0xbf))
            {
                return 0;
            }
        }

        return rows[row].n;
    }

    return 0;
}


/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Characters and strings of JSON (codec/ngx_mcp_json_text.c), against the
 * strict parser:
 *
 * ngx_mcp_json_text_check() accepts UTF-8 without control characters other than
 * tab, CR and LF; ngx_mcp_json_text_one_line() finds what would end a line;
 * decoding gives the same bytes, which are UTF-8; two strings are the same if,
 * and only if, they are equal when they are decoded; and two ids have the same
 * ngx_mcp_jsonrpc_id_value() if, and only if, they are the same.
 *
 * The input is two strings without their quotes.
 */

#include "fuzz.h"
#include "ngx_mcp_json_text.h"
#include "ngx_mcp_jsonrpc.h"


static void text_check(ngx_str_t *text);
static void text_strings(fuzz_input_t *in, ngx_str_t *a, ngx_str_t *b);
static ngx_str_t text_quote(fuzz_input_t *in, ngx_str_t *text);
static ngx_uint_t text_is_string(ngx_str_t *raw);
static ngx_str_t text_decode(fuzz_input_t *in, ngx_str_t *raw);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ngx_str_t     a, b, text;
    fuzz_input_t  in;

    fuzz_begin(&in, data, size);

    text = fuzz_copy(&in, data, size);
    text_check(&text);

    a = fuzz_field(&in);
    b = fuzz_rest(&in);

    text_check(&a);

    a = text_quote(&in, &a);
    b = text_quote(&in, &b);

    if (text_is_string(&a) && text_is_string(&b)) {
        text_strings(&in, &a, &b);
        text_strings(&in, &a, &a);
    }

    fuzz_end(&in);

    return 0;
}


static void
text_check(ngx_str_t *text)
{
    size_t      n, pos;
    ngx_int_t   expected;
    ngx_uint_t  line;

    line = 1;
    expected = NGX_OK;

    for (pos = 0; pos < text->len; pos++) {
        if (text->data[pos] <= 0x1f || text->data[pos] == 0x7f) {
            line = 0;
        }
    }

    for (pos = 0; pos < text->len; pos += n) {
        n = strict_utf8(text->data + pos, text->data + text->len);

        if (n == 0
            || (text->data[pos] < 0x20
                && (text->data[pos] == 0
                    || strchr("\t\r\n", text->data[pos]) == NULL)))
        {
            expected = NGX_DECLINED;
            break;
        }
    }

    if (ngx_mcp_json_text_check(text) != expected) {
        fuzz_fail("UTF-8 is accepted, nothing else is: %ld", (long) expected);
    }

    if (!ngx_mcp_json_text_one_line(text) != !line) {
        fuzz_fail("a line has no control character: %lu", (long) line);
    }
}


static void
text_strings(fuzz_input_t *in, ngx_str_t *a, ngx_str_t *b)
{
    ngx_str_t   x, y, kind[2], value[2];
    ngx_uint_t  same;

    x = text_decode(in, a);
    y = text_decode(in, b);

    same = fuzz_same(&x, &y);

    if (!ngx_mcp_json_text_same(a, b) != !same
        || !ngx_mcp_json_text_same(b, a) != !same)
    {
        fuzz_fail("%.*s and %.*s are %s", (int) a->len, a->data, (int) b->len,
                  b->data, same ? "the same" : "not the same");
    }

    if (ngx_mcp_jsonrpc_id_value(in->pool, a, &kind[0], &value[0]) != NGX_OK
        || ngx_mcp_jsonrpc_id_value(in->pool, b, &kind[1], &value[1])
           != NGX_OK)
    {
        fuzz_fail("there is memory for ids");
    }

    if (fuzz_same(&kind[0], &kind[1]) != 1
        || fuzz_same(&value[0], &value[1])
           != ngx_mcp_jsonrpc_same_id(a, b))
    {
        fuzz_fail("values of ids are equal if the ids are the same");
    }
}


static ngx_str_t
text_quote(fuzz_input_t *in, ngx_str_t *text)
{
    ngx_str_t  raw;

    raw.len = text->len + 2;
    raw.data = fuzz_alloc(in, raw.len);

    raw.data[0] = '"';
    ngx_memcpy(raw.data + 1, text->data, text->len);
    raw.data[raw.len - 1] = '"';

    return raw;
}


static ngx_uint_t
text_is_string(ngx_str_t *raw)
{
    int            ok;
    strict_json_t  j;

    ok = strict_json_parse(&j, raw->data, raw->len);

    strict_json_free(&j);

    return ok;
}


/* by the module, and compared */

static ngx_str_t
text_decode(fuzz_input_t *in, ngx_str_t *raw)
{
    ngx_str_t  decoded, expected;

    expected.data = fuzz_alloc(in, raw->len);
    expected.len = strict_json_decode(raw->data + 1, raw->data + raw->len - 1,
                                      expected.data);

    if (ngx_mcp_json_text_decode(in->pool, raw, &decoded) != NGX_OK
        || !fuzz_same(&decoded, &expected))
    {
        fuzz_fail("%.*s is decoded", (int) raw->len, raw->data);
    }

    while (expected.len) {
        size_t  n;

        n = strict_utf8(expected.data, expected.data + expected.len);

        if (n == 0) {
            fuzz_fail("a decoded string is UTF-8");
        }

        expected.data += n;
        expected.len -= n;
    }

    return decoded;
}

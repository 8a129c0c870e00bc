
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * The headers that repeat members of a body of the modern era, compared with a
 * second reading of MCP 2026-07-28, Streamable HTTP, Server validation.
 *
 * Input: flags; a line with the version, one with the name in the body; the
 * headers of a request as lines.
 */

#include "request.h"
#include "ngx_mcp_header_check.h"


static ngx_uint_t header_check_list(ngx_http_request_t *r, const char *name,
    ngx_str_t *value, ngx_uint_t *missing);
static ngx_uint_t header_check_name(ngx_http_request_t *r, ngx_str_t *value,
    ngx_uint_t *missing);
static ngx_uint_t header_check_decode(ngx_pool_t *pool, ngx_str_t *text,
    ngx_str_t *value);
static ngx_int_t header_check_sextet(u_char ch);


static const char  *header_check_methods[] = {
    "tools/call", "prompts/get", "resources/read", "tools/list"
};

static fuzz_input_t  header_check_in;


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ngx_int_t            rc;
    ngx_str_t            text, version, name;
    ngx_uint_t           flags, which, lenient, wrong, missing;
    const char          *message;
    ngx_mcp_ctx_t       *ctx;
    ngx_mcp_modern_t    *modern;
    ngx_http_request_t  *r;

    fuzz_begin(&header_check_in, data, size);

    flags = fuzz_number(&header_check_in, 255);
    text = fuzz_rest(&header_check_in);

    r = fuzz_request(&header_check_in, 0);
    ctx = ngx_http_get_module_ctx(r, ngx_http_mcp_sse_module);

    modern = fuzz_request_alloc(r->pool, sizeof(ngx_mcp_modern_t));
    ctx->modern = modern;

    which = flags & 3;
    lenient = (flags & 4) != 0;

    modern->method.data = (u_char *) header_check_methods[which];
    modern->method.len = ngx_strlen(header_check_methods[which]);

    ngx_str_null(&version);
    ngx_str_null(&name);

    (void) fuzz_request_line(&text, &version);
    (void) fuzz_request_line(&text, &name);

    modern->meta.version = version;

    if (flags & 8) {
        ngx_str_null(&name);
    }

    if (which == 2) {
        modern->meta.uri = name;

    } else {
        modern->meta.name = name;
    }

    fuzz_request_headers(r, &text);

    message = NULL;
    missing = 0;
    wrong = 0;

    if (!lenient) {
        wrong = header_check_list(r, "mcp-protocol-version", &version,
                                  &missing);
    }

    wrong |= header_check_list(r, "mcp-method", &modern->method, &missing);

    if (which != 3) {
        wrong |= header_check_name(r, &name, &missing);
    }

    wrong |= (missing && !lenient);

    rc = ngx_mcp_header_check(r, lenient, &message);

    fuzz_check(rc == (wrong ? NGX_DECLINED : NGX_OK),
               "headers have the values of the body, or are refused");
    fuzz_check(rc == NGX_OK || message != NULL, "a refusal says why");

    fuzz_end(&header_check_in);

    return 0;
}


static ngx_uint_t
header_check_list(ngx_http_request_t *r, const char *name, ngx_str_t *value,
    ngx_uint_t *missing)
{
    ngx_str_t    *member;
    ngx_uint_t    i;
    ngx_array_t   lines, members;

    fuzz_request_values(r, name, &lines, &members);

    member = members.elts;

    for (i = 0; i < members.nelts; i++) {

        if (!fuzz_same(&member[i], value)) {
            return 1;
        }
    }

    *missing |= (members.nelts == 0);

    return 0;
}


static ngx_uint_t
header_check_name(ngx_http_request_t *r, ngx_str_t *value, ngx_uint_t *missing)
{
    ngx_str_t    *line, decoded;
    ngx_uint_t    i, n;
    ngx_array_t   lines, members;

    fuzz_request_values(r, "mcp-name", &lines, &members);

    line = lines.elts;
    n = 0;

    for (i = 0; i < lines.nelts; i++) {

        if (line[i].len == 0) {
            continue;
        }

        n++;

        if (value->data == NULL
            || !header_check_decode(r->pool, &line[i], &decoded)
            || !fuzz_same(&decoded, value))
        {
            return 1;
        }
    }

    *missing |= (n == 0 && value->len);

    return 0;
}


/*
 * RFC 4648, 4, with padding, and 3.5: bits behind the last byte are zero.
 */

static ngx_uint_t
header_check_decode(ngx_pool_t *pool, ngx_str_t *text, ngx_str_t *value)
{
    size_t      i, n, pad;
    u_char     *p, *last;
    uint32_t    bits;
    ngx_int_t   six;

    if (text->len < 11
        || ngx_strncmp(text->data, "=?base64?", 9) != 0
        || text->data[text->len - 2] != '?'
        || text->data[text->len - 1] != '=')
    {
        for (i = 0; i < text->len; i++) {

            if (text->data[i] != '\t'
                && (text->data[i] < 0x20 || text->data[i] > 0x7e))
            {
                return 0;
            }
        }

        *value = *text;
        return 1;
    }

    p = text->data + 9;
    last = text->data + text->len - 2;

    if ((last - p) % 4) {
        return 0;
    }

    for (pad = 0; pad < 2 && last > p && last[-1] == '='; pad++) {
        last--;
    }

    value->data = fuzz_request_alloc(pool, text->len);
    value->len = 0;
    bits = 0;
    n = 0;

    for ( /* void */ ; p < last; p++) {
        six = header_check_sextet(*p);

        if (six < 0) {
            return 0;
        }

        bits = (bits << 6 | six) & 0xffffff;
        n += 6;

        if (n >= 8) {
            n -= 8;
            value->data[value->len++] = (u_char) (bits >> n);
        }
    }

    return n == pad * 2 && (bits & ((1u << n) - 1)) == 0;
}


static ngx_int_t
header_check_sextet(u_char ch)
{
    static const char  alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char        *p;

    p = ch ? strchr(alphabet, ch) : NULL;

    return p ? p - alphabet : -1;
}


/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Accept and MCP-Protocol-Version, compared with a second reading: RFC 9110,
 * 12.5.1 for well-formed lists.
 *
 * Input: the headers of a request as lines.
 */

#include "request.h"
#include "ngx_mcp_negotiate.h"


#define NEGOTIATE_VERSIONS  4


typedef struct {
    ngx_str_t    type;         /* with the slash */
    ngx_str_t    subtype;
    ngx_uint_t   zero;         /* q=0 */
} negotiate_range_t;


static void negotiate_limit(ngx_str_t *offered);
static ngx_uint_t negotiate_find(ngx_str_t *name);
static ngx_uint_t negotiate_modern(ngx_str_t *name);
static void negotiate_version(ngx_http_request_t *r);
static void negotiate_accept(ngx_http_request_t *r);
static ngx_uint_t negotiate_range(ngx_str_t *member,
    negotiate_range_t *range);
static ngx_uint_t negotiate_param(u_char **pos, u_char *last,
    negotiate_range_t *range, ngx_uint_t *weight);
static u_char *negotiate_token(u_char *p, u_char *last);
static u_char *negotiate_quoted(u_char *p, u_char *last);
static ngx_uint_t negotiate_weight(u_char *p, u_char *last,
    ngx_uint_t *zero);
static ngx_uint_t negotiate_rank(negotiate_range_t *range,
    const char *type, const char *subtype);


static const char  *negotiate_versions[] = {
    "2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"
};

static fuzz_input_t  negotiate_in;


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ngx_str_t            text;
    ngx_http_request_t  *r;

    fuzz_begin(&negotiate_in, data, size);

    r = fuzz_request(&negotiate_in, 0);
    text = fuzz_rest(&negotiate_in);

    negotiate_limit(&text);
    fuzz_request_headers(r, &text);
    negotiate_version(r);
    negotiate_accept(r);

    fuzz_end(&negotiate_in);

    return 0;
}


static void
negotiate_limit(ngx_str_t *offered)
{
    ngx_str_t  limit;

    limit = ngx_mcp_negotiate_limit(offered);

    fuzz_check(negotiate_find(offered) == NEGOTIATE_VERSIONS
               ? negotiate_find(&limit) == NEGOTIATE_VERSIONS - 1
               : fuzz_same(offered, &limit),
               "a version that is unknown is answered with the newest one");
}


/*
 * Returns NEGOTIATE_VERSIONS for an unknown version.
 */

static ngx_uint_t
negotiate_find(ngx_str_t *name)
{
    ngx_uint_t  n;

    for (n = 0; n < NEGOTIATE_VERSIONS; n++) {

        if (fuzz_request_is(name, negotiate_versions[n])) {
            break;
        }
    }

    return n;
}


/*
 * A date from 2026-07-28 on.
 */

static ngx_uint_t
negotiate_modern(ngx_str_t *name)
{
    size_t  i;

    if (name->len != 10) {
        return 0;
    }

    for (i = 0; i < 10; i++) {

        if (i == 4 || i == 7) {

            if (name->data[i] != '-') {
                return 0;
            }

        } else if (name->data[i] < '0' || name->data[i] > '9') {
            return 0;
        }
    }

    return ngx_strncmp(name->data, "2026-07-28", 10) >= 0;
}


/*
 * One member of the modern era decides; else the newest counts, and one that
 * is unknown is refused.
 */

static void
negotiate_version(ngx_http_request_t *r)
{
    ngx_str_t      *member;
    ngx_str_t       name;
    ngx_uint_t      i, n, newest, unknown, modern, other;
    ngx_array_t     lines, members;
    ngx_mcp_ctx_t  *ctx;

    fuzz_request_values(r, "mcp-protocol-version", &lines, &members);

    member = members.elts;
    newest = 0;
    unknown = 0;
    modern = 0;
    other = 0;

    for (i = 0; i < members.nelts; i++) {

        n = negotiate_find(&member[i]);
        unknown |= (n == NEGOTIATE_VERSIONS);
        newest = ngx_max(newest, n);
        modern |= negotiate_modern(&member[i]);
        other |= (n == NEGOTIATE_VERSIONS
                  && !fuzz_request_is(&member[i], "2026-07-28"));
    }

    fuzz_check(ngx_mcp_negotiate_is_modern(r) == modern,
               "the era is that of one member of the modern one");
    fuzz_check(ngx_mcp_negotiate_other(r, &name) == other,
               "a version is served in one of the eras, or not");

    ctx = ngx_http_get_module_ctx(r, ngx_http_mcp_sse_module);

    fuzz_check(ngx_mcp_negotiate_version(r) == (modern ? NGX_DONE
                                                : unknown ? NGX_DECLINED
                                                          : NGX_OK),
               "only unknown versions are refused");

    if (unknown) {
        return;
    }

    fuzz_check(members.nelts == 0
               ? ctx->version.len == 0
               : fuzz_request_is(&ctx->version,
                                 negotiate_versions[newest]),
               "the newest version counts");
    fuzz_check(ctx->batches == (members.nelts == 0 || newest < 2),
               "batches were removed in 2025-06-18");
}


static void
negotiate_accept(ngx_http_request_t *r)
{
    ngx_str_t               *member;
    ngx_uint_t               i, n, rank, best[2], accepted[2];
    ngx_array_t              lines, members;
    ngx_mcp_ctx_t           *ctx;
    negotiate_range_t   range;

    ngx_mcp_negotiate_accept(r);

    fuzz_request_values(r, "accept", &lines, &members);

    member = members.elts;
    ngx_memzero(best, sizeof(best));

    accepted[0] = (members.nelts == 0);
    accepted[1] = 0;

    for (i = 0; i < members.nelts; i++) {

        if (!negotiate_range(&member[i], &range)) {
            return;
        }

        for (n = 0; n < 2; n++) {
            rank = n ? negotiate_rank(&range, "text/", "event-stream")
                     : negotiate_rank(&range, "application/", "json");

            /* of two that are equal the last one */

            if (rank && rank >= best[n]) {
                best[n] = rank;
                accepted[n] = !range.zero;
            }
        }
    }

    ctx = ngx_http_get_module_ctx(r, ngx_http_mcp_sse_module);

    fuzz_check(ctx->accept_json == accepted[0], "JSON is accepted, or not");
    fuzz_check(ctx->accept_stream
               == (accepted[1] && (best[1] == 3 || !accepted[0])),
               "a stream is accepted, or not");
}


/*
 * media-range [weight] = ( type "/" subtype ) parameters, RFC 9110, 12.5.1.
 * Returns 0 if the member is not well-formed.
 */

static ngx_uint_t
negotiate_range(ngx_str_t *member, negotiate_range_t *range)
{
    u_char      *p, *last;
    ngx_uint_t   weight;

    last = member->data + member->len;
    range->zero = 0;
    weight = 0;

    p = negotiate_token(member->data, last);

    if (p == member->data || p == last || *p != '/') {
        return 0;
    }

    range->type.data = member->data;
    range->type.len = ++p - member->data;
    range->subtype.data = p;

    p = negotiate_token(p, last);
    range->subtype.len = p - range->subtype.data;

    if (range->subtype.len == 0) {
        return 0;
    }

    while (p < last) {

        while (p < last && (*p == ' ' || *p == '\t')) {
            p++;
        }

        if (p == last || *p++ != ';') {
            return 0;
        }

        while (p < last && (*p == ' ' || *p == '\t')) {
            p++;
        }

        /* parameters may be empty: RFC 9110, 5.6.6 */

        if (p < last && *p != ';'
            && !negotiate_param(&p, last, range, &weight))
        {
            return 0;
        }
    }

    return 1;
}


/*
 * The first "q" is the weight.
 */

static ngx_uint_t
negotiate_param(u_char **pos, u_char *last,
    negotiate_range_t *range, ngx_uint_t *weight)
{
    u_char  *name, *value, *p;

    name = *pos;
    p = negotiate_token(name, last);

    if (p == name || p == last || *p != '=') {
        return 0;
    }

    value = p + 1;
    *pos = (value < last && *value == '"') ? negotiate_quoted(value, last)
                                           : negotiate_token(value, last);

    if (*pos == value) {
        return 0;
    }

    if (p - name != 1 || (*name | 0x20) != 'q' || *weight) {
        return 1;
    }

    *weight = 1;

    return negotiate_weight(value, *pos, &range->zero);
}


static u_char *
negotiate_token(u_char *p, u_char *last)
{
    while (p < last
           && ((*p >= '0' && *p <= '9')
               || ((*p | 0x20) >= 'a' && (*p | 0x20) <= 'z')
               || (*p && strchr("!#$%&'*+-.^_`|~", *p))))
    {
        p++;
    }

    return p;
}


/*
 * Returns its beginning if it has no end.
 */

static u_char *
negotiate_quoted(u_char *p, u_char *last)
{
    u_char  *start;

    start = p;

    for (p++; p < last && *p != '"'; p++) {
        p += (*p == '\\');
    }

    return p < last ? p + 1 : start;
}


/*
 * RFC 9110, 12.4.2: "0" [ "." 0*3DIGIT ] / "1" [ "." 0*3("0") ].
 */

static ngx_uint_t
negotiate_weight(u_char *p, u_char *last, ngx_uint_t *zero)
{
    ngx_uint_t  i, sum;

    if (last - p > 5 || (*p != '0' && *p != '1')) {
        return 0;
    }

    sum = *p - '0';

    for (i = 1; p + i < last; i++) {

        if (i == 1 ? p[i] != '.'
                   : p[i] < '0' || p[i] > (*p == '0' ? '9' : '0'))
        {
            return 0;
        }

        sum += (i > 1) * (p[i] - '0');
    }

    *zero = (sum == 0);

    return 1;
}


static ngx_uint_t
negotiate_rank(negotiate_range_t *range, const char *type,
    const char *subtype)
{
    if (fuzz_request_is(&range->type, type)) {
        return fuzz_request_is(&range->subtype, subtype) ? 3
               : fuzz_request_is(&range->subtype, "*") ? 2 : 0;
    }

    return fuzz_request_is(&range->type, "*/")
           && fuzz_request_is(&range->subtype, "*");
}

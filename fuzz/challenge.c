
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * WWW-Authenticate: what is made of a well-formed challenge of Frappe is
 * well-formed, has the same challenges and parameters, the error, and no
 * metadata but those of this server.  Compared with a second parser of RFC
 * 9110, 11.6.1.
 *
 * Input: flags; a line with the path, one with the Host, one with the
 * challenge of Frappe.
 */

#include "request.h"
#include "ngx_mcp_challenge.h"
#include "ngx_mcp_public_url.h"


#define CHALLENGE_MAX  64    /* items; a longer challenge is skipped */


/* a scheme, if the name is empty, or a parameter of the scheme before it */

typedef struct {
    ngx_str_t    name;
    ngx_str_t    value;        /* with its quotes */
    ngx_uint_t   token68;
} challenge_item_t;


typedef struct {
    ngx_uint_t             n;
    challenge_item_t  items[CHALLENGE_MAX];
} challenge_t;


static void challenge_check(ngx_str_t *given, ngx_str_t *value,
    ngx_str_t *url, ngx_uint_t refused);
static void challenge_same(challenge_t *given,
    challenge_t *made);
static ngx_uint_t challenge_added(challenge_item_t *item);
static void challenge_bearer(challenge_t *made, ngx_str_t *url,
    ngx_uint_t refused);
static ngx_uint_t challenge_names(ngx_str_t *text);
static ngx_uint_t challenge_parse(ngx_str_t *text, challenge_t *c);
static u_char *challenge_scheme(u_char *p, u_char *last,
    challenge_item_t *item);
static u_char *challenge_param(u_char *p, u_char *last,
    challenge_item_t *item);
static u_char *challenge_token(u_char *p, u_char *last,
    const char *more);
static u_char *challenge_blanks(u_char *p, u_char *last);

static fuzz_input_t  challenge_in;


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ngx_str_t            text, host, given, value, url, header;
    ngx_uint_t           flags;
    ngx_mcp_ctx_t       *ctx;
    ngx_http_request_t  *r;

    fuzz_begin(&challenge_in, data, size);

    flags = fuzz_number(&challenge_in, 255);
    text = fuzz_rest(&challenge_in);

    r = fuzz_request(&challenge_in, flags & 4);
    ctx = ngx_http_get_module_ctx(r, ngx_http_mcp_sse_module);

    ngx_str_set(&host, "");
    ngx_str_set(&given, "");
    ngx_str_set(&url, "");

    (void) fuzz_request_line(&text, &r->uri);
    (void) fuzz_request_line(&text, &host);
    (void) fuzz_request_line(&text, &given);

    header.data = fuzz_alloc(&challenge_in, host.len + 8);
    header.len = ngx_sprintf(header.data, "host: %V", &host) - header.data;
    fuzz_request_headers(r, &header);

    ngx_str_set(&ctx->vars.site, "site.example");
    ctx->resource = (flags >> 1) & 1;

    if (ctx->resource) {
        fuzz_check(ngx_mcp_public_url_metadata(r, &url) == NGX_OK,
                   "there is memory");
    }

    fuzz_check(ngx_mcp_challenge(r, &given, flags & 1) == NGX_OK,
               "there is memory");

    value = fuzz_request_answer(r, "WWW-Authenticate");

    if (!challenge_names(&host) && !challenge_names(&r->uri)) {
        fuzz_check(challenge_names(&value) <= (url.len != 0),
                   "metadata are those of this server");
    }

    challenge_check(&given, &value, &url, flags & 1);

    fuzz_end(&challenge_in);

    return 0;
}


static void
challenge_check(ngx_str_t *given, ngx_str_t *value, ngx_str_t *url,
    ngx_uint_t refused)
{
    challenge_t  in, out;

    if (!challenge_parse(given, &in)
        || (in.n && in.items[0].token68
            && fuzz_request_is(&in.items[0].value, "bearer")))
    {
        /* RFC 6750 has no Bearer with a token68 */

        return;
    }

    /* the module adds a scheme and parameters of its own */

    if (in.n > CHALLENGE_MAX - 8) {
        return;
    }

    fuzz_check(challenge_parse(value, &out) && out.n,
               "the challenge is well-formed");

    if (in.n && !challenge_names(given)) {
        challenge_same(&in, &out);

    } else if (in.n == 0) {
        fuzz_check(fuzz_request_is(&out.items[0].value, "bearer"),
                   "the challenge of the module is Bearer");
    }

    if (fuzz_request_is(&out.items[0].value, "bearer")) {
        challenge_bearer(&out, url, refused);

    } else {
        fuzz_check(value->len <= given->len
                   && ngx_memcmp(value->data, given->data + given->len
                                              - value->len, value->len)
                      == 0,
                   "a challenge of another scheme is passed on as it is");
    }
}


/*
 * All of "given" is in "made", which has at most two parameters more.
 */

static void
challenge_same(challenge_t *given, challenge_t *made)
{
    ngx_uint_t  i, n;

    i = 0;

    for (n = 0; n < made->n; n++) {

        if (i < given->n
            && fuzz_same(&given->items[i].name, &made->items[n].name)
            && fuzz_same(&given->items[i].value,
                                 &made->items[n].value))
        {
            i++;
            continue;
        }

        fuzz_check(challenge_added(&made->items[n]),
                   "error and metadata are added, and nothing else");
    }

    fuzz_check(i == given->n, "the challenges of Frappe stay");
    fuzz_check(made->n <= given->n + 2, "two parameters are added at most");
}


static ngx_uint_t
challenge_added(challenge_item_t *item)
{
    return fuzz_request_is(&item->name, "resource_metadata")
           || (fuzz_request_is(&item->name, "error")
               && fuzz_request_is(&item->value, "\"invalid_token\""));
}


static void
challenge_bearer(challenge_t *made, ngx_str_t *url,
    ngx_uint_t refused)
{
    ngx_str_t              inner;
    ngx_uint_t             i, errors, metadata;
    challenge_item_t  *item;

    errors = 0;
    metadata = 0;

    for (i = 1; i < made->n && made->items[i].name.len; i++) {
        item = &made->items[i];
        errors += fuzz_request_is(&item->name, "error");

        if (fuzz_request_is(&item->name, "resource_metadata")) {
            metadata++;

            inner.data = item->value.data + 1;
            inner.len = item->value.len - 2;

            fuzz_check(item->value.data[0] == '"'
                       && fuzz_same(&inner, url),
                       "metadata have the URL of this server");
        }
    }

    fuzz_check(!refused || errors, "a refused credential is an error");
    fuzz_check(metadata == (url->len != 0), "metadata are named once");
}


/*
 * How often a text has the name.
 */

static ngx_uint_t
challenge_names(ngx_str_t *text)
{
    size_t      i;
    ngx_uint_t  n;

    n = 0;

    for (i = 0; i + 17 <= text->len; i++) {
        n += ngx_strncasecmp(text->data + i, (u_char *) "resource_metadata", 17)
             == 0;
    }

    return n;
}


static ngx_uint_t
challenge_parse(ngx_str_t *text, challenge_t *c)
{
    u_char                 *p, *end, *last;
    ngx_uint_t              token68;
    challenge_item_t  *item;

    p = text->data;
    last = text->data + text->len;

    c->n = 0;
    token68 = 1;

    for ( ;; ) {

        while (p < last && (*p == ' ' || *p == '\t' || *p == ',')) {
            p++;
        }

        if (p == last) {
            return 1;
        }

        if (c->n == CHALLENGE_MAX) {
            return 0;
        }

        item = &c->items[c->n++];
        end = token68 ? NULL : challenge_param(p, last, item);

        if (end == NULL) {
            end = challenge_scheme(p, last, item);

            if (end == NULL) {
                return 0;
            }

            token68 = item->token68;
        }

        p = challenge_blanks(end, last);

        /* a parameter may follow its scheme without a comma */

        if (p < last && *p != ',' && (item->name.len || item->token68)) {
            return 0;
        }

        if (p < last && *p != ',') {

            if (c->n == CHALLENGE_MAX) {
                return 0;
            }

            item = &c->items[c->n++];
            p = challenge_param(p, last, item);

            if (p == NULL) {
                return 0;
            }

            p = challenge_blanks(p, last);

            if (p < last && *p != ',') {
                return 0;
            }
        }
    }
}


/*
 * auth-scheme [ 1*SP token68 ]
 */

static u_char *
challenge_scheme(u_char *p, u_char *last, challenge_item_t *item)
{
    u_char  *end, *start;

    item->value.data = p;
    p = challenge_token(p, last, "!#$%&'*+-.^_`|~");
    item->value.len = p - item->value.data;
    item->token68 = 0;
    ngx_str_null(&item->name);

    if (item->value.len == 0 || (p < last && *p != ' ' && *p != ',')) {
        return NULL;
    }

    for (start = p; start < last && *start == ' '; start++) { /* void */ }

    end = challenge_token(start, last, "-._~+/");

    if (start == p || end == start) {
        return p;
    }

    while (end < last && *end == '=') {
        end++;
    }

    start = challenge_blanks(end, last);

    if (start < last && *start != ',') {
        return p;
    }

    item->token68 = 1;

    return end;
}


/*
 * token BWS "=" BWS ( token / quoted-string )
 */

static u_char *
challenge_param(u_char *p, u_char *last, challenge_item_t *item)
{
    item->token68 = 0;
    item->name.data = p;
    p = challenge_token(p, last, "!#$%&'*+-.^_`|~");
    item->name.len = p - item->name.data;

    p = challenge_blanks(p, last);

    if (item->name.len == 0 || p == last || *p != '=') {
        return NULL;
    }

    p = challenge_blanks(p + 1, last);
    item->value.data = p;

    if (p < last && *p == '"') {

        for (p++; p < last && *p != '"'; p++) {
            p += (*p == '\\');
        }

        if (p >= last) {
            return NULL;
        }

        p++;

    } else {
        p = challenge_token(p, last, "!#$%&'*+-.^_`|~");
    }

    item->value.len = p - item->value.data;

    return item->value.len ? p : NULL;
}


static u_char *
challenge_token(u_char *p, u_char *last, const char *more)
{
    while (p < last
           && ((*p >= '0' && *p <= '9')
               || ((*p | 0x20) >= 'a' && (*p | 0x20) <= 'z')
               || (*p && strchr(more, *p))))
    {
        p++;
    }

    return p;
}


static u_char *
challenge_blanks(u_char *p, u_char *last)
{
    while (p < last && (*p == ' ' || *p == '\t')) {
        p++;
    }

    return p;
}

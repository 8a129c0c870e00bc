
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Credentials: what goes to Frappe is what the client has sent, in the one form
 * that Frappe reads: "Bearer T" or "token K:S", two words of visible
 * characters, or the cookie "sid".  Compared with a second reading of the
 * headers.
 *
 * Input: flags, and the headers of a request as lines.
 */

#include "request.h"
#include "ngx_mcp_credential.h"


static ngx_uint_t credential_authorization(ngx_str_t *value,
    ngx_str_t *secret, ngx_str_t *expected);
static ngx_uint_t credential_token(ngx_str_t *pair, ngx_str_t *secret,
    ngx_str_t *expected);
static ngx_uint_t credential_base64(ngx_str_t *text, ngx_str_t *bytes);
static ngx_uint_t credential_cookie(ngx_http_request_t *r,
    ngx_str_t *expected);
static ngx_uint_t credential_sid(ngx_http_request_t *r, ngx_str_t *sid);
static ngx_str_t credential_print(const char *fmt, ngx_str_t *a,
    ngx_str_t *b);
static void credential_form(ngx_mcp_credential_t *cred);
static void credential_digest(ngx_mcp_credential_t *cred);

static fuzz_input_t  credential_in;


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ngx_int_t              rc;
    ngx_str_t              text, value, expected, csrf;
    ngx_uint_t             flags, accepted;
    ngx_mcp_ctx_t         *ctx;
    ngx_http_request_t    *r;
    ngx_mcp_loc_conf_t    *conf;
    ngx_mcp_credential_t   cred;

    fuzz_begin(&credential_in, data, size);

    r = fuzz_request(&credential_in, 0);
    ctx = ngx_http_get_module_ctx(r, ngx_http_mcp_sse_module);
    conf = ngx_http_get_module_loc_conf(r, ngx_http_mcp_sse_module);

    flags = fuzz_number(&credential_in, 255);
    text = fuzz_rest(&credential_in);

    r->method = (flags & 1) ? NGX_HTTP_GET
                : (flags & 2) ? NGX_HTTP_DELETE : NGX_HTTP_POST;
    conf->cookie = (flags >> 2) & 1;

    if (flags & 8) {
        ngx_str_set(&conf->api_secret, "secret");
    }

    if (flags & 16) {
        ngx_str_set(&ctx->origin, "https://site.example");
    }

    fuzz_request_headers(r, &text);

    ngx_memzero(&cred, sizeof(ngx_mcp_credential_t));
    rc = ngx_mcp_credential_read(r, &cred);

    switch (fuzz_request_value(r, "authorization", &value)) {

    case NGX_OK:
        accepted = credential_authorization(&value, &conf->api_secret,
                                                 &expected);
        break;

    case NGX_DECLINED:
        accepted = credential_cookie(r, &expected);
        break;

    default:
        accepted = 0;
    }

    fuzz_check(rc == (accepted ? NGX_OK : NGX_DECLINED),
               "a credential is accepted in the documented forms");

    if (accepted) {
        fuzz_check(fuzz_same(&cred.value, &expected),
                   "Frappe gets what the client has sent");

        if (cred.cookie && r->method != NGX_HTTP_GET) {
            fuzz_check(fuzz_request_value(r, "x-frappe-csrf-token", &csrf)
                       == NGX_OK
                       && fuzz_same(&csrf, &cred.csrf_token)
                       && fuzz_request_visible(&csrf) && ctx->origin.len,
                       "a cookie that changes something has a CSRF token");
        }

        credential_form(&cred);
        credential_digest(&cred);
    }

    fuzz_end(&credential_in);

    return 0;
}


static ngx_uint_t
credential_authorization(ngx_str_t *value, ngx_str_t *secret,
    ngx_str_t *expected)
{
    u_char     *blank;
    ngx_str_t   scheme, rest, pair;

    blank = ngx_strlchr(value->data, value->data + value->len, ' ');

    if (blank == NULL) {
        return !ngx_strlchr(value->data, value->data + value->len, ':')
               && credential_token(value, secret, expected);
    }

    scheme.data = value->data;
    scheme.len = blank - value->data;

    rest.data = blank;
    rest.len = value->len - scheme.len;

    while (rest.len && rest.data[0] == ' ') {
        rest.data++;
        rest.len--;
    }

    if (!fuzz_request_visible(&rest)) {
        return 0;
    }

    if (fuzz_request_is(&scheme, "bearer")) {
        *expected = credential_print("Bearer %V", &rest, NULL);
        return 1;
    }

    if (fuzz_request_is(&scheme, "token")) {
        return credential_token(&rest, secret, expected);
    }

    return fuzz_request_is(&scheme, "basic")
           && credential_base64(&rest, &pair)
           && ngx_strlchr(pair.data, pair.data + pair.len, ':')
           && credential_token(&pair, secret, expected);
}


/*
 * KEY:SECRET, with one colon, or KEY.
 */

static ngx_uint_t
credential_token(ngx_str_t *pair, ngx_str_t *secret, ngx_str_t *expected)
{
    size_t      i;
    ngx_uint_t  colons;

    colons = 0;

    for (i = 0; i < pair->len; i++) {
        colons += (pair->data[i] == ':');
    }

    if (!fuzz_request_visible(pair)) {
        return 0;
    }

    if (colons == 0 && secret->len) {
        *expected = credential_print("token %V:%V", pair, secret);
        return 1;
    }

    *expected = credential_print("token %V", pair, NULL);

    return colons == 1 && pair->data[0] != ':'
           && pair->data[pair->len - 1] != ':';
}


/*
 * RFC 4648, 4.  As with nginx, padding is not required, and what follows it is
 * ignored.
 */

static ngx_uint_t
credential_base64(ngx_str_t *text, ngx_str_t *bytes)
{
    u_char      *p, *last;
    uint32_t     bits;
    ngx_uint_t   n;
    const char  *found;
    const char  *alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwx"
                            "yz0123456789+/";

    bytes->data = fuzz_alloc(&credential_in, text->len);
    bytes->len = 0;

    last = text->data + text->len;
    bits = 0;
    n = 0;

    for (p = text->data; p < last && *p != '='; p++) {

        found = strchr(alphabet, *p);
        if (found == NULL) {
            return 0;
        }

        bits = bits << 6 | (uint32_t) (found - alphabet);

        if (n++ % 4) {
            bytes->data[bytes->len++] =
                               (u_char) (bits >> (6 - 2 * ((n - 1) % 4)));
        }
    }

    return n % 4 != 1;
}


static ngx_uint_t
credential_cookie(ngx_http_request_t *r, ngx_str_t *expected)
{
    ngx_int_t            rc;
    ngx_str_t            sid, site, csrf;
    ngx_mcp_ctx_t       *ctx;
    ngx_mcp_loc_conf_t  *conf;

    ctx = ngx_http_get_module_ctx(r, ngx_http_mcp_sse_module);
    conf = ngx_http_get_module_loc_conf(r, ngx_http_mcp_sse_module);

    if (!conf->cookie || !credential_sid(r, &sid)
        || !fuzz_request_visible(&sid) || fuzz_request_is(&sid, "guest"))
    {
        return 0;
    }

    rc = fuzz_request_value(r, "sec-fetch-site", &site);

    if (rc == NGX_ABORT
        || (rc == NGX_OK && !fuzz_request_is(&site, "same-origin")))
    {
        return 0;
    }

    if (r->method != NGX_HTTP_GET
        && (fuzz_request_value(r, "x-frappe-csrf-token", &csrf) != NGX_OK
            || !fuzz_request_visible(&csrf) || ctx->origin.len == 0))
    {
        return 0;
    }

    *expected = credential_print("sid=%V", &sid, NULL);

    return 1;
}


/*
 * The first cookie "sid": RFC 6265, 4.2.1.
 */

static ngx_uint_t
credential_sid(ngx_http_request_t *r, ngx_str_t *sid)
{
    u_char           *p, *end, *last;
    ngx_str_t         rest;
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    for (part = &r->headers_in.headers.part; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {

            if (!h[i].hash || !fuzz_request_is(&h[i].key, "cookie")) {
                continue;
            }

            rest = h[i].value;
            last = rest.data + rest.len;

            for (p = rest.data; p < last; p = end + 1) {

                for (end = p; end < last && *end != ';'; end++) { /* void */ }

                while (p < end && *p == ' ') {
                    p++;
                }

                if (end - p >= 4 && ngx_strncmp(p, "sid=", 4) == 0) {
                    sid->data = p + 4;
                    sid->len = end - sid->data;
                    return 1;
                }
            }
        }
    }

    return 0;
}


static ngx_str_t
credential_print(const char *fmt, ngx_str_t *a, ngx_str_t *b)
{
    ngx_str_t  s;

    s.data = fuzz_alloc(&credential_in, 64 + a->len);
    s.len = ngx_sprintf(s.data, fmt, a, b) - s.data;

    return s;
}


/*
 * What Frappe expects: frappe.auth.validate_auth() splits the header at each
 * blank and ignores it unless there are two words.
 */

static void
credential_form(ngx_mcp_credential_t *cred)
{
    size_t      i;
    ngx_uint_t  blanks, semicolons;

    blanks = 0;
    semicolons = 0;

    for (i = 0; i < cred->value.len; i++) {
        blanks += (cred->value.data[i] == ' ');
        semicolons += (cred->value.data[i] == ';');

        fuzz_check(cred->value.data[i] >= ' ' && cred->value.data[i] <= '~',
                   "a credential has visible characters");
    }

    if (cred->cookie) {
        fuzz_check(blanks == 0 && semicolons == 0
                   && ngx_strncmp(cred->value.data, "sid=", 4) == 0,
                   "Frappe gets no other cookie");

    } else {
        fuzz_check(blanks == 1
                   && (ngx_strncmp(cred->value.data, "Bearer ", 7) == 0
                       || ngx_strncmp(cred->value.data, "token ", 6) == 0),
                   "Authorization has two words");
    }
}


/*
 * The key of the cache of look-ups.
 */

static void
credential_digest(ngx_mcp_credential_t *cred)
{
    ngx_str_t             secret, site, site2;
    ngx_mcp_loc_conf_t    conf;
    ngx_mcp_credential_t  other;

    ngx_memzero(&conf, sizeof(ngx_mcp_loc_conf_t));
    ngx_str_set(&conf.user_uri, "/user");
    ngx_str_set(&secret, "key");
    ngx_str_set(&site, "a");
    ngx_str_set(&site2, "b");

    other = *cred;
    other.cookie = !cred->cookie;

    fuzz_check(ngx_mcp_credential_digest(cred, &secret, &site, &conf) == NGX_OK
               && ngx_mcp_credential_digest(&other, &secret, &site, &conf)
                  == NGX_OK, "a credential has a digest");
    fuzz_check(ngx_memcmp(cred->digest, other.digest, NGX_MCP_DIGEST_LEN),
               "a cookie and an Authorization are told apart");

    other = *cred;

    (void) ngx_mcp_credential_digest(&other, &secret, &site2, &conf);

    fuzz_check(ngx_memcmp(cred->digest, other.digest, NGX_MCP_DIGEST_LEN),
               "credentials of two sites are told apart");
}

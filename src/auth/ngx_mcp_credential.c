
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Reads Authorization or Frappe's cookie into the form that Frappe gets.
 *
 * Values are in the pool of the request.
 */

#include "ngx_mcp_credential.h"
#include "ngx_mcp_header.h"
#include "ngx_mcp_memo.h"


#define NGX_MCP_CREDENTIAL_PARTS  6    /* of what is digested */

/* what a digest is remembered by: these parts, and the secret */

#define NGX_MCP_CREDENTIAL_KEPT   (NGX_MCP_CREDENTIAL_PARTS + 1)


static ngx_int_t ngx_mcp_credential_key(ngx_http_request_t *r,
    ngx_str_t *key, ngx_mcp_credential_t *cred);
static ngx_int_t ngx_mcp_credential_pair(ngx_http_request_t *r,
    ngx_str_t *pair, ngx_mcp_credential_t *cred);
static ngx_int_t ngx_mcp_credential_basic(ngx_http_request_t *r,
    ngx_str_t *value, ngx_mcp_credential_t *cred);
static ngx_int_t ngx_mcp_credential_set(ngx_http_request_t *r,
    const char *fmt, ngx_str_t *a, ngx_str_t *b, ngx_mcp_credential_t *cred);
static ngx_int_t ngx_mcp_credential_cookie(ngx_http_request_t *r,
    ngx_mcp_credential_t *cred);
static void ngx_mcp_credential_parts(ngx_mcp_credential_t *cred,
    ngx_str_t *secret, ngx_str_t *site, ngx_mcp_loc_conf_t *conf,
    ngx_str_t *parts);
static ngx_uint_t ngx_mcp_credential_visible(ngx_str_t *s);


static ngx_str_t  ngx_mcp_credential_cookie_name = ngx_string("sid");


/* whether an ngx_str_t * equals a literal, without case (RFC 9110, 11.1) */

#define ngx_mcp_scheme_is(s, text)                                            \
    ((s)->len == sizeof(text) - 1                                             \
     && ngx_strncasecmp((s)->data, (u_char *) (text), sizeof(text) - 1) == 0)


ngx_int_t
ngx_mcp_credential_read(ngx_http_request_t *r, ngx_mcp_credential_t *cred)
{
    u_char      *p;
    ngx_int_t    rc;
    ngx_str_t    header, scheme, value;

    rc = ngx_mcp_header_value(&r->headers_in.headers, "authorization",
                              &header);

    if (rc == NGX_DECLINED) {
        return ngx_mcp_credential_cookie(r, cred);
    }

    if (rc != NGX_OK) {
        return NGX_DECLINED;
    }

    p = ngx_strlchr(header.data, header.data + header.len, ' ');

    if (p == NULL) {
        return ngx_mcp_credential_key(r, &header, cred);
    }

    scheme.data = header.data;
    scheme.len = p - header.data;

    /* RFC 9110, 11.4: one blank or more */

    while (*p == ' ') {
        p++;
    }

    value.data = p;
    value.len = header.data + header.len - p;

    /* also excludes a third word */

    if (!ngx_mcp_credential_visible(&value)) {
        return NGX_DECLINED;
    }

    if (ngx_mcp_scheme_is(&scheme, "bearer")) {
        return ngx_mcp_credential_set(r, "Bearer %V%V", &value, NULL, cred);
    }

    if (ngx_mcp_scheme_is(&scheme, "basic")) {
        return ngx_mcp_credential_basic(r, &value, cred);
    }

    if (!ngx_mcp_scheme_is(&scheme, "token")) {
        return NGX_DECLINED;
    }

    if (ngx_strlchr(value.data, value.data + value.len, ':')) {
        return ngx_mcp_credential_pair(r, &value, cred);
    }

    return ngx_mcp_credential_key(r, &value, cred);
}


/*
 * An API key without a secret: mcp_sse_api_secret is added.
 */

static ngx_int_t
ngx_mcp_credential_key(ngx_http_request_t *r, ngx_str_t *key,
    ngx_mcp_credential_t *cred)
{
    ngx_mcp_loc_conf_t  *conf;

    conf = ngx_http_get_module_loc_conf(r, ngx_http_mcp_sse_module);

    if (conf->api_secret.len == 0
        || !ngx_mcp_credential_visible(key)
        || ngx_strlchr(key->data, key->data + key->len, ':'))
    {
        return NGX_DECLINED;
    }

    return ngx_mcp_credential_set(r, "token %V:%V", key, &conf->api_secret,
                                  cred);
}


static ngx_int_t
ngx_mcp_credential_pair(ngx_http_request_t *r, ngx_str_t *pair,
    ngx_mcp_credential_t *cred)
{
    u_char     *colon, *last;
    ngx_str_t   key, secret;

    last = pair->data + pair->len;
    colon = ngx_strlchr(pair->data, last, ':');

    if (colon == NULL) {
        return NGX_DECLINED;
    }

    key.data = pair->data;
    key.len = colon - pair->data;
    secret.data = colon + 1;
    secret.len = last - secret.data;

    if (key.len == 0
        || secret.len == 0
        || ngx_strlchr(secret.data, last, ':')
        || !ngx_mcp_credential_visible(pair))
    {
        return NGX_DECLINED;
    }

    return ngx_mcp_credential_set(r, "token %V:%V", &key, &secret, cred);
}


static ngx_int_t
ngx_mcp_credential_basic(ngx_http_request_t *r, ngx_str_t *value,
    ngx_mcp_credential_t *cred)
{
    ngx_str_t  pair;

    pair.data = ngx_pnalloc(r->pool, ngx_base64_decoded_length(value->len));
    if (pair.data == NULL) {
        return NGX_ERROR;
    }

    if (ngx_decode_base64(&pair, value) != NGX_OK) {
        return NGX_DECLINED;
    }

    return ngx_mcp_credential_pair(r, &pair, cred);
}


static ngx_int_t
ngx_mcp_credential_set(ngx_http_request_t *r, const char *fmt, ngx_str_t *a,
    ngx_str_t *b, ngx_mcp_credential_t *cred)
{
    u_char     *p;
    ngx_str_t   none;

    ngx_str_null(&none);

    b = b ? b : &none;

    p = ngx_pnalloc(r->pool, ngx_strlen(fmt) + a->len + b->len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    cred->value.data = p;
    cred->value.len = ngx_sprintf(p, fmt, a, b) - p;
    cred->cookie = 0;

    return NGX_OK;
}


/*
 * A browser sends cookies with requests of other sites, too.  A cookie is
 * accepted if Sec-Fetch-Site, when it is sent, is "same-origin" and, for POST
 * and DELETE, with an Origin and the CSRF token, which other sites do not know.
 * A request with another Origin was refused before.
 */

static ngx_int_t
ngx_mcp_credential_cookie(ngx_http_request_t *r, ngx_mcp_credential_t *cred)
{
    ngx_int_t            rc;
    ngx_str_t            sid, site;
    ngx_mcp_ctx_t       *ctx;
    ngx_mcp_loc_conf_t  *conf;

    conf = ngx_http_get_module_loc_conf(r, ngx_http_mcp_sse_module);
    ctx = ngx_http_get_module_ctx(r, ngx_http_mcp_sse_module);

    if (!conf->cookie
        || ngx_mcp_header_cookie(r, &ngx_mcp_credential_cookie_name, &sid)
           != NGX_OK
        || !ngx_mcp_credential_visible(&sid)
        || ngx_mcp_scheme_is(&sid, "guest"))
    {
        return NGX_DECLINED;
    }

    rc = ngx_mcp_header_value(&r->headers_in.headers, "sec-fetch-site", &site);

    if (rc != NGX_DECLINED
        && (rc != NGX_OK || !ngx_mcp_scheme_is(&site, "same-origin")))
    {
        return NGX_DECLINED;
    }

    ngx_str_null(&cred->csrf_token);

    if (r->method & (NGX_HTTP_POST|NGX_HTTP_DELETE)) {

        if (ngx_mcp_header_value(&r->headers_in.headers,
                                 "x-frappe-csrf-token", &cred->csrf_token)
            != NGX_OK
            || ctx->origin.len == 0
            || !ngx_mcp_credential_visible(&cred->csrf_token))
        {
            return NGX_DECLINED;
        }
    }

    if (ngx_mcp_credential_set(r, "sid=%V%V", &sid, NULL, cred) != NGX_OK) {
        return NGX_ERROR;
    }

    cred->cookie = 1;

    return NGX_OK;
}


static ngx_uint_t
ngx_mcp_credential_visible(ngx_str_t *s)
{
    ngx_uint_t  i;

    for (i = 0; i < s->len; i++) {

        if (s->data[i] <= ' ' || s->data[i] >= 0x7f) {
            return 0;
        }
    }

    return s->len != 0;
}


ngx_int_t
ngx_mcp_credential_digest(ngx_mcp_credential_t *cred, ngx_str_t *secret,
    ngx_str_t *site, ngx_mcp_loc_conf_t *conf)
{
    u_char     value[NGX_MCP_MEMO_VALUE_LEN];
    ngx_str_t  parts[NGX_MCP_CREDENTIAL_KEPT];

    ngx_mcp_credential_parts(cred, secret, site, conf, parts);

    cred->kept = ngx_mcp_memo_get(parts, NGX_MCP_CREDENTIAL_KEPT, value);

    if (cred->kept) {
        ngx_memcpy(cred->digest, value, NGX_MCP_DIGEST_LEN);
        return NGX_OK;
    }

    return ngx_mcp_hmac(cred->digest, secret, parts, NGX_MCP_CREDENTIAL_PARTS);
}


void
ngx_mcp_credential_judged(ngx_mcp_credential_t *cred, ngx_str_t *secret,
    ngx_str_t *site, ngx_mcp_loc_conf_t *conf, ngx_uint_t accepted)
{
    u_char     value[NGX_MCP_MEMO_VALUE_LEN];
    ngx_str_t  parts[NGX_MCP_CREDENTIAL_KEPT];

    if (cred->kept == accepted) {
        return;
    }

    ngx_mcp_credential_parts(cred, secret, site, conf, parts);

    if (!accepted) {
        ngx_mcp_memo_forget(parts, NGX_MCP_CREDENTIAL_KEPT);
        return;
    }

    ngx_memzero(value, NGX_MCP_MEMO_VALUE_LEN);
    ngx_memcpy(value, cred->digest, NGX_MCP_DIGEST_LEN);

    ngx_mcp_memo_put(parts, NGX_MCP_CREDENTIAL_KEPT, value);
}


static void
ngx_mcp_credential_parts(ngx_mcp_credential_t *cred, ngx_str_t *secret,
    ngx_str_t *site, ngx_mcp_loc_conf_t *conf, ngx_str_t *parts)
{
    ngx_str_set(&parts[0], "credential");
    parts[1] = *site;
    parts[2] = conf->user_uri;
    parts[3] = conf->user_args;

    if (cred->cookie) {
        ngx_str_set(&parts[4], "cookie");

    } else {
        ngx_str_set(&parts[4], "authorization");
    }

    parts[5] = cred->value;
    parts[6] = *secret;
}

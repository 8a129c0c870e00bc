
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Session ids: format and MAC; HMAC-SHA-256 digests, random bytes.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include "ngx_mcp_memo.h"
#include "ngx_mcp_session_id.h"


#define NGX_MCP_SESSION_ID_VERSION  1      /* first byte of an id */

/* offsets of the fields of a raw id, bytes */

#define NGX_MCP_SESSION_ID_ISSUED_POS    1
#define NGX_MCP_SESSION_ID_INSTANCE_POS  5
#define NGX_MCP_SESSION_ID_RANDOM_POS    9
#define NGX_MCP_SESSION_ID_MAC_POS       21

#define NGX_MCP_SHA256_LEN  32             /* bytes, FIPS 180-4 */

/* short parts are collected here, for fewer calls of OpenSSL; bytes */

#define NGX_MCP_HMAC_BUF_SIZE  256

/* the longest secret whose prepared HMAC is kept, bytes */

#define NGX_MCP_HMAC_MAX_SECRET_LEN  128


static ngx_int_t ngx_mcp_session_id_mac(ngx_mcp_session_id_t *sid, u_char *mac,
    ngx_str_t *secret, const char *purpose, ngx_str_t *site,
    ngx_str_t *principal);
static ngx_uint_t ngx_mcp_session_id_known(ngx_mcp_session_id_t *sid,
    ngx_str_t *text);
static void ngx_mcp_session_id_set_issued(ngx_mcp_session_id_t *sid);
static void ngx_mcp_session_id_remember(ngx_mcp_session_id_t *sid);
static ngx_int_t ngx_mcp_session_id_digest(ngx_mcp_session_id_t *sid);
static ngx_int_t ngx_mcp_hmac_parts(EVP_MAC_CTX *ctx, u_char *mac,
    ngx_str_t *secret, ngx_str_t *parts, ngx_uint_t n);
static ngx_int_t ngx_mcp_hmac_init(EVP_MAC_CTX *ctx, ngx_str_t *secret);
static EVP_MAC_CTX *ngx_mcp_hmac_ctx(void);
static ngx_int_t ngx_mcp_digest_parts(EVP_MD_CTX *ctx, ngx_str_t *parts,
    ngx_uint_t n);
static ngx_int_t ngx_mcp_sha256(u_char *digest, u_char *data, size_t len);
static EVP_MD_CTX *ngx_mcp_sha256_ctx(void);


ngx_int_t
ngx_mcp_random(u_char *buf, size_t n)
{
    if (n > NGX_MAX_INT32_VALUE || RAND_bytes(buf, (int) n) != 1) {
        ERR_clear_error();
        return NGX_ERROR;
    }

    return NGX_OK;
}


ngx_int_t
ngx_mcp_session_id_make(ngx_mcp_session_id_t *sid, u_char *text,
    ngx_str_t *secret, u_char *instance, time_t issued, const char *purpose,
    ngx_str_t *site, ngx_str_t *principal)
{
    u_char     *p;
    ngx_str_t   src, dst;

    p = sid->raw;

    *p++ = NGX_MCP_SESSION_ID_VERSION;

    *p++ = (u_char) (issued >> 24);
    *p++ = (u_char) (issued >> 16);
    *p++ = (u_char) (issued >> 8);
    *p++ = (u_char) issued;

    p = ngx_cpymem(p, instance, NGX_MCP_INSTANCE_LEN);

    if (ngx_mcp_random(p, NGX_MCP_SESSION_ID_MAC_POS
                                   - NGX_MCP_SESSION_ID_RANDOM_POS)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    p = sid->raw + NGX_MCP_SESSION_ID_MAC_POS;

    if (ngx_mcp_session_id_mac(sid, p, secret, purpose, site, principal)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    src.len = NGX_MCP_SESSION_ID_BYTES;
    src.data = sid->raw;
    dst.data = text;

    ngx_encode_base64url(&dst, &src);

    sid->issued = issued;

    return ngx_mcp_session_id_digest(sid);
}


ngx_int_t
ngx_mcp_session_id_parse(ngx_mcp_session_id_t *sid, ngx_str_t *text)
{
    ngx_str_t  dst;

    if (ngx_mcp_session_id_known(sid, text)) {
        ngx_mcp_session_id_set_issued(sid);
        return NGX_OK;
    }

    /*
     * The last character has two bits of the id and four unused ones, which
     * the decoder ignores.  They must be zero, or an id would have sixteen
     * texts.
     */

    if (text->len != NGX_MCP_SESSION_ID_LEN
        || ngx_strchr("AQgw", text->data[NGX_MCP_SESSION_ID_LEN - 1]) == NULL)
    {
        return NGX_DECLINED;
    }

    dst.data = sid->raw;

    if (ngx_decode_base64url(&dst, text) != NGX_OK
        || dst.len != NGX_MCP_SESSION_ID_BYTES)
    {
        return NGX_DECLINED;
    }

    if (sid->raw[0] != NGX_MCP_SESSION_ID_VERSION) {
        return NGX_DECLINED;
    }

    ngx_mcp_session_id_set_issued(sid);

    return (ngx_mcp_session_id_digest(sid) == NGX_OK) ? NGX_OK : NGX_DECLINED;
}


static void
ngx_mcp_session_id_set_issued(ngx_mcp_session_id_t *sid)
{
    u_char  *p;

    p = sid->raw + NGX_MCP_SESSION_ID_ISSUED_POS;

    sid->issued = (time_t) ((uint32_t) p[0] << 24 | p[1] << 16
                            | p[2] << 8 | p[3]);
}


u_char *
ngx_mcp_session_id_instance(ngx_mcp_session_id_t *sid)
{
    return sid->raw + NGX_MCP_SESSION_ID_INSTANCE_POS;
}


ngx_int_t
ngx_mcp_session_id_verify(ngx_mcp_session_id_t *sid, ngx_array_t *secrets,
    const char *purpose, ngx_str_t *site, ngx_str_t *principal)
{
    u_char      mac[NGX_MCP_DIGEST_LEN], none[NGX_MCP_MEMO_VALUE_LEN];
    ngx_str_t  *secret, parts[5];
    ngx_uint_t  i;

    parts[0].len = ngx_strlen(purpose);
    parts[0].data = (u_char *) purpose;
    parts[1].len = NGX_MCP_SESSION_ID_BYTES;
    parts[1].data = sid->raw;
    parts[2] = *site;
    parts[3] = *principal;

    secret = secrets->elts;

    for (i = 0; i < secrets->nelts; i++) {

        parts[4] = secret[i];

        if (ngx_mcp_memo_get(parts, 5, none)) {
            return NGX_OK;
        }

        if (ngx_mcp_session_id_mac(sid, mac, &secret[i], purpose, site,
                                   principal)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        if (CRYPTO_memcmp(mac, sid->raw + NGX_MCP_SESSION_ID_MAC_POS,
                          NGX_MCP_DIGEST_LEN)
            == 0)
        {
            ngx_memzero(none, NGX_MCP_MEMO_VALUE_LEN);
            ngx_mcp_memo_put(parts, 5, none);
            ngx_mcp_session_id_remember(sid);

            return NGX_OK;
        }
    }

    return NGX_DECLINED;
}


/* whether the text of an id was verified before; sets its bytes and digests */

static ngx_uint_t
ngx_mcp_session_id_known(ngx_mcp_session_id_t *sid, ngx_str_t *text)
{
    u_char  *p, value[NGX_MCP_MEMO_VALUE_LEN];

    if (!ngx_mcp_memo_get(text, 1, value)) {
        return 0;
    }

    p = value;

    ngx_memcpy(sid->raw, p, NGX_MCP_SESSION_ID_BYTES);
    p += NGX_MCP_SESSION_ID_BYTES;

    ngx_memcpy(sid->key, p, NGX_MCP_DIGEST_LEN);
    p += NGX_MCP_DIGEST_LEN;

    ngx_memcpy(sid->hash, p, NGX_MCP_HASH_LEN);

    return 1;
}


static void
ngx_mcp_session_id_remember(ngx_mcp_session_id_t *sid)
{
    u_char     *p, text[NGX_MCP_SESSION_ID_LEN],
                value[NGX_MCP_MEMO_VALUE_LEN];
    ngx_str_t   src, dst;

    src.len = NGX_MCP_SESSION_ID_BYTES;
    src.data = sid->raw;
    dst.data = text;

    ngx_encode_base64url(&dst, &src);

    ngx_memzero(value, NGX_MCP_MEMO_VALUE_LEN);

    p = ngx_cpymem(value, sid->raw, NGX_MCP_SESSION_ID_BYTES);
    p = ngx_cpymem(p, sid->key, NGX_MCP_DIGEST_LEN);
    ngx_memcpy(p, sid->hash, NGX_MCP_HASH_LEN);

    ngx_mcp_memo_put(&dst, 1, value);
}


ngx_int_t
ngx_mcp_hmac(u_char *digest, ngx_str_t *secret, ngx_str_t *parts, ngx_uint_t n)
{
    u_char        mac[NGX_MCP_SHA256_LEN];
    EVP_MAC_CTX  *ctx;

    /* OpenSSL would use the previous secret instead of an empty one */

    if (secret->len == 0) {
        return NGX_ERROR;
    }

    ctx = ngx_mcp_hmac_ctx();

    if (ctx == NULL
        || ngx_mcp_hmac_parts(ctx, mac, secret, parts, n) != NGX_OK)
    {
        /* nginx would log errors left in the queue as its own */

        ERR_clear_error();

        return NGX_ERROR;
    }

    ngx_memcpy(digest, mac, NGX_MCP_DIGEST_LEN);

    return NGX_OK;
}


ngx_int_t
ngx_mcp_digest(u_char *digest, ngx_str_t *parts, ngx_uint_t n)
{
    u_char       hash[NGX_MCP_SHA256_LEN];
    EVP_MD_CTX  *ctx;

    ctx = ngx_mcp_sha256_ctx();

    if (ctx == NULL
        || ngx_mcp_digest_parts(ctx, parts, n) != NGX_OK
        || EVP_DigestFinal_ex(ctx, hash, NULL) != 1)
    {
        ERR_clear_error();
        return NGX_ERROR;
    }

    ngx_memcpy(digest, hash, NGX_MCP_DIGEST_LEN);

    return NGX_OK;
}


static ngx_int_t
ngx_mcp_digest_parts(EVP_MD_CTX *ctx, ngx_str_t *parts, ngx_uint_t n)
{
    uint32_t    len;
    ngx_uint_t  i;

    for (i = 0; i < n; i++) {
        len = (uint32_t) parts[i].len;

        if (EVP_DigestUpdate(ctx, &len, sizeof(uint32_t)) != 1
            || (len && EVP_DigestUpdate(ctx, parts[i].data, len) != 1))
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_mcp_session_id_mac(ngx_mcp_session_id_t *sid, u_char *mac,
    ngx_str_t *secret, const char *purpose, ngx_str_t *site,
    ngx_str_t *principal)
{
    ngx_str_t  parts[7];

    parts[0].len = ngx_strlen(purpose);
    parts[0].data = (u_char *) purpose;

    parts[1].len = NGX_MCP_SESSION_ID_ISSUED_POS;
    parts[1].data = sid->raw;

    parts[2].len = NGX_MCP_SESSION_ID_INSTANCE_POS
                   - NGX_MCP_SESSION_ID_ISSUED_POS;
    parts[2].data = sid->raw + NGX_MCP_SESSION_ID_ISSUED_POS;

    parts[3].len = NGX_MCP_INSTANCE_LEN;
    parts[3].data = sid->raw + NGX_MCP_SESSION_ID_INSTANCE_POS;

    parts[4].len = NGX_MCP_SESSION_ID_MAC_POS - NGX_MCP_SESSION_ID_RANDOM_POS;
    parts[4].data = sid->raw + NGX_MCP_SESSION_ID_RANDOM_POS;

    parts[5] = *site;
    parts[6] = *principal;

    return ngx_mcp_hmac(mac, secret, parts, 7);
}


static ngx_int_t
ngx_mcp_session_id_digest(ngx_mcp_session_id_t *sid)
{
    u_char  digest[NGX_MCP_SHA256_LEN];

    if (ngx_mcp_sha256(digest, sid->raw, NGX_MCP_SESSION_ID_BYTES) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_memcpy(sid->key, digest, NGX_MCP_DIGEST_LEN);
    ngx_hex_dump(sid->hash, digest + NGX_MCP_DIGEST_LEN, NGX_MCP_HASH_LEN / 2);

    return NGX_OK;
}


static ngx_int_t
ngx_mcp_hmac_parts(EVP_MAC_CTX *ctx, u_char *mac, ngx_str_t *secret,
    ngx_str_t *parts, ngx_uint_t n)
{
    u_char     *p, buf[NGX_MCP_HMAC_BUF_SIZE];
    size_t      len, size;
    ngx_uint_t  i;

    if (ngx_mcp_hmac_init(ctx, secret) != NGX_OK) {
        return NGX_ERROR;
    }

    p = buf;

    for (i = 0; i < n; i++) {

        len = parts[i].len;

        *p++ = (u_char) (len >> 24);
        *p++ = (u_char) (len >> 16);
        *p++ = (u_char) (len >> 8);
        *p++ = (u_char) len;

        /* collect short parts; 4 bytes are left for the next length */

        if ((size_t) (p - buf) + len + 4 <= sizeof(buf)) {
            p = len ? ngx_cpymem(p, parts[i].data, len) : p;
            continue;
        }

        if (EVP_MAC_update(ctx, buf, p - buf) != 1
            || (len && EVP_MAC_update(ctx, parts[i].data, len) != 1))
        {
            return NGX_ERROR;
        }

        p = buf;
    }

    if (EVP_MAC_update(ctx, buf, p - buf) != 1
        || EVP_MAC_final(ctx, mac, &size, NGX_MCP_SHA256_LEN) != 1
        || size != NGX_MCP_SHA256_LEN)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


/*
 * Most digests are made with one secret, and to use it as it was prepared
 * halves the work.  The bytes are compared, and not the address: another
 * secret may be at the same place.
 */

static ngx_int_t
ngx_mcp_hmac_init(EVP_MAC_CTX *ctx, ngx_str_t *secret)
{
    static size_t  len;
    static u_char  last[NGX_MCP_HMAC_MAX_SECRET_LEN];

    if (secret->len == len
        && len
        && CRYPTO_memcmp(secret->data, last, len) == 0)
    {
        return EVP_MAC_init(ctx, NULL, 0, NULL) == 1 ? NGX_OK : NGX_ERROR;
    }

    len = 0;

    if (EVP_MAC_init(ctx, secret->data, secret->len, NULL) != 1) {
        return NGX_ERROR;
    }

    if (secret->len <= NGX_MCP_HMAC_MAX_SECRET_LEN) {
        ngx_memcpy(last, secret->data, secret->len);
        len = secret->len;
    }

    return NGX_OK;
}


/*
 * The context is kept: the look-up of the algorithm takes longer than the
 * digest.  EVP_MAC_init() resets it.
 */

static EVP_MAC_CTX *
ngx_mcp_hmac_ctx(void)
{
    EVP_MAC              *mac;
    OSSL_PARAM            params[2];
    EVP_MAC_CTX          *new;
    static EVP_MAC_CTX   *ctx;

    if (ctx) {
        return ctx;
    }

    mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    if (mac == NULL) {
        return NULL;
    }

    new = EVP_MAC_CTX_new(mac);

    /* the context has taken its own reference */

    EVP_MAC_free(mac);

    if (new == NULL) {
        return NULL;
    }

    params[0] = OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST,
                                                 "SHA256", 0);
    params[1] = OSSL_PARAM_construct_end();

    if (EVP_MAC_CTX_set_params(new, params) != 1) {
        EVP_MAC_CTX_free(new);
        return NULL;
    }

    ctx = new;

    return ctx;
}


static ngx_int_t
ngx_mcp_sha256(u_char *digest, u_char *data, size_t len)
{
    EVP_MD_CTX  *ctx;

    ctx = ngx_mcp_sha256_ctx();

    if (ctx == NULL
        || EVP_DigestUpdate(ctx, data, len) != 1
        || EVP_DigestFinal_ex(ctx, digest, NULL) != 1)
    {
        ERR_clear_error();
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* returns a context that has begun; it is kept, as that of HMAC is */

static EVP_MD_CTX *
ngx_mcp_sha256_ctx(void)
{
    static EVP_MD      *md;
    static EVP_MD_CTX  *ctx;

    if (md == NULL) {
        md = EVP_MD_fetch(NULL, "SHA256", NULL);
    }

    if (ctx == NULL) {
        ctx = EVP_MD_CTX_new();
    }

    if (md == NULL || ctx == NULL || EVP_DigestInit_ex(ctx, md, NULL) != 1) {
        return NULL;
    }

    return ctx;
}

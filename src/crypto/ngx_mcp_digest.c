
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Digests by SHA-256 and HMAC-SHA-256, random bytes.
 */

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include "ngx_mcp_digest.h"


/* short parts are collected here, for fewer calls of OpenSSL; bytes */

#define NGX_MCP_HMAC_BUF_SIZE  256

/* the longest secret whose prepared HMAC is kept, bytes */

#define NGX_MCP_HMAC_MAX_SECRET_LEN  128


static ngx_int_t ngx_mcp_hmac_parts(EVP_MAC_CTX *ctx, u_char *mac,
    ngx_str_t *secret, ngx_str_t *parts, ngx_uint_t n);
static ngx_int_t ngx_mcp_hmac_init(EVP_MAC_CTX *ctx, ngx_str_t *secret);
static EVP_MAC_CTX *ngx_mcp_hmac_ctx(void);
static EVP_MD_CTX *ngx_mcp_sha256_ctx(void);


ngx_int_t
ngx_mcp_random(u_char *buf, size_t n)
{
    ngx_int_t  rc;

    rc = NGX_ERROR;

    if (n <= NGX_MAX_INT32_VALUE && RAND_bytes(buf, (int) n) == 1) {
        rc = NGX_OK;
    }

    /* also after a success: the generator can go on after an error */

    ERR_clear_error();

    return rc;
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

    /* a look-up can go on after an error */

    ERR_clear_error();

    ctx = new;

    return ctx;
}


ngx_int_t
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
        ERR_clear_error();
    }

    if (ctx == NULL) {
        ctx = EVP_MD_CTX_new();
    }

    if (md == NULL || ctx == NULL || EVP_DigestInit_ex(ctx, md, NULL) != 1) {
        return NULL;
    }

    return ctx;
}


/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * HKDF-SHA-256 and AES-256-GCM over OpenSSL's EVP.
 *
 * The EVP context is made at its first use and kept for the life of the
 * process.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include "ngx_mcp_cipher.h"


/*
 * Bytes; NIST SP 800-38D, 8.2.1: a fixed field, which is zero here since each
 * sender has a key of its own, and the packet number as invocation field.
 */

#define NGX_MCP_CIPHER_NONCE_LEN  12


static ngx_int_t ngx_mcp_cipher_hkdf(EVP_KDF_CTX *ctx, u_char *key,
    ngx_str_t *secret, ngx_str_t *info);
static EVP_CIPHER_CTX *ngx_mcp_cipher_ctx(void);
static ngx_int_t ngx_mcp_cipher_run(u_char *key, uint64_t number,
    ngx_str_t *ad, ngx_str_t *data, int seal);
static void ngx_mcp_cipher_nonce(u_char *nonce, uint64_t number);


ngx_int_t
ngx_mcp_cipher_derive(u_char *key, ngx_str_t *secret, ngx_str_t *info)
{
    EVP_KDF      *kdf;
    ngx_int_t     rc;
    EVP_KDF_CTX  *ctx;

    rc = NGX_ERROR;

    kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);

    if (kdf) {
        ctx = EVP_KDF_CTX_new(kdf);

        /* the context has taken its own reference */

        EVP_KDF_free(kdf);

        if (ctx) {
            rc = ngx_mcp_cipher_hkdf(ctx, key, secret, info);
            EVP_KDF_CTX_free(ctx);
        }
    }

    /* also after a success: a look-up can go on after an error */

    ERR_clear_error();

    return rc;
}


static ngx_int_t
ngx_mcp_cipher_hkdf(EVP_KDF_CTX *ctx, u_char *key, ngx_str_t *secret,
    ngx_str_t *info)
{
    OSSL_PARAM  params[4];

    params[0] = OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST,
                                                 "SHA256", 0);
    params[1] = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY,
                                                  secret->data, secret->len);
    params[2] = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO,
                                                  info->data, info->len);
    params[3] = OSSL_PARAM_construct_end();

    return EVP_KDF_derive(ctx, key, NGX_MCP_CIPHER_KEY_LEN, params) == 1
           ? NGX_OK : NGX_ERROR;
}


ngx_int_t
ngx_mcp_cipher_seal(u_char *key, uint64_t number, ngx_str_t *ad,
    ngx_str_t *data)
{
    return ngx_mcp_cipher_run(key, number, ad, data, 1);
}


ngx_int_t
ngx_mcp_cipher_open(u_char *key, uint64_t number, ngx_str_t *ad,
    ngx_str_t *data)
{
    return ngx_mcp_cipher_run(key, number, ad, data, 0);
}


static ngx_int_t
ngx_mcp_cipher_run(u_char *key, uint64_t number, ngx_str_t *ad,
    ngx_str_t *data, int seal)
{
    int              n;
    u_char          *tag, nonce[NGX_MCP_CIPHER_NONCE_LEN];
    size_t           len;
    EVP_CIPHER_CTX  *ctx;

    if (data->len < NGX_MCP_CIPHER_TAG_LEN
        || data->len > NGX_MAX_INT32_VALUE)
    {
        return NGX_DECLINED;
    }

    len = data->len - NGX_MCP_CIPHER_TAG_LEN;
    tag = data->data + len;

    ngx_mcp_cipher_nonce(nonce, number);

    ctx = ngx_mcp_cipher_ctx();

    if (ctx == NULL
        || EVP_CipherInit_ex(ctx, NULL, NULL, key, nonce, seal) != 1
        || EVP_CipherUpdate(ctx, NULL, &n, ad->data, (int) ad->len) != 1
        || EVP_CipherUpdate(ctx, data->data, &n, data->data, (int) len) != 1
        || (!seal
            && EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_TAG,
                                   NGX_MCP_CIPHER_TAG_LEN, tag)
               != 1))
    {
        ERR_clear_error();
        return NGX_ERROR;
    }

    if (EVP_CipherFinal_ex(ctx, tag, &n) != 1) {
        ERR_clear_error();
        return seal ? NGX_ERROR : NGX_DECLINED;
    }

    if (seal
        && EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG,
                               NGX_MCP_CIPHER_TAG_LEN, tag)
           != 1)
    {
        ERR_clear_error();
        return NGX_ERROR;
    }

    return NGX_OK;
}


/*
 * The context is kept: the look-up of the algorithm takes longer than a small
 * message.
 */

static EVP_CIPHER_CTX *
ngx_mcp_cipher_ctx(void)
{
    EVP_CIPHER_CTX         *new;
    static EVP_CIPHER_CTX  *ctx;

    if (ctx) {
        return ctx;
    }

    new = EVP_CIPHER_CTX_new();
    if (new == NULL) {
        return NULL;
    }

    if (EVP_CipherInit_ex(new, EVP_aes_256_gcm(), NULL, NULL, NULL, 1) != 1) {
        EVP_CIPHER_CTX_free(new);
        return NULL;
    }

    /* a look-up can go on after an error */

    ERR_clear_error();

    ctx = new;

    return ctx;
}


static void
ngx_mcp_cipher_nonce(u_char *nonce, uint64_t number)
{
    ngx_uint_t  i;

    ngx_memzero(nonce, NGX_MCP_CIPHER_NONCE_LEN);

    for (i = 1; i <= sizeof(uint64_t); i++) {
        nonce[NGX_MCP_CIPHER_NONCE_LEN - i] = (u_char) number;
        number >>= 8;
    }
}

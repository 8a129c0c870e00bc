
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Key derivation and authenticated encryption, over OpenSSL's EVP.
 */

#ifndef _NGX_MCP_CIPHER_H_INCLUDED_
#define _NGX_MCP_CIPHER_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


#define NGX_MCP_CIPHER_KEY_LEN  32     /* bytes, AES-256 */
#define NGX_MCP_CIPHER_TAG_LEN  16     /* bytes; NIST SP 800-38D, 5.2.1.2:
                                          the full length */


/*
 * Derives "key" (NGX_MCP_CIPHER_KEY_LEN bytes) from "secret" for the purpose
 * "info" by HKDF with SHA-256 and no salt (RFC 5869).  Returns NGX_OK, or
 * NGX_ERROR if OpenSSL fails.
 */

ngx_int_t ngx_mcp_cipher_derive(u_char *key, ngx_str_t *secret,
    ngx_str_t *info);

/*
 * AES-256-GCM (NIST SP 800-38D) of "data" in place; its last
 * NGX_MCP_CIPHER_TAG_LEN bytes are the tag.  The nonce is "number": a key must
 * seal each number once only.  "ad" is authenticated and not encrypted.
 *
 * Both return NGX_OK; NGX_ERROR if OpenSSL fails; NGX_DECLINED if data is
 * shorter than a tag, longer than NGX_MAX_INT32_VALUE or, in open(), is not
 * authentic.  After NGX_DECLINED of open() data is undefined.
 */

ngx_int_t ngx_mcp_cipher_seal(u_char *key, uint64_t number, ngx_str_t *ad,
    ngx_str_t *data);
ngx_int_t ngx_mcp_cipher_open(u_char *key, uint64_t number, ngx_str_t *ad,
    ngx_str_t *data);


#endif /* _NGX_MCP_CIPHER_H_INCLUDED_ */

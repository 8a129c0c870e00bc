
/*
 * Keys and authenticated encryption, over OpenSSL's EVP.  A leaf.
 */

#ifndef _NGX_MCP_CIPHER_H_INCLUDED_
#define _NGX_MCP_CIPHER_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


#define NGX_MCP_CIPHER_KEY_LEN  32
#define NGX_MCP_CIPHER_TAG_LEN  16


/*
 * Derives "key" (NGX_MCP_CIPHER_KEY_LEN bytes) from "secret" for what
 * "info" says: HKDF with SHA-256 and no salt (RFC 5869).  NGX_OK, NGX_ERROR.
 */

ngx_int_t ngx_mcp_cipher_derive(u_char *key, ngx_str_t *secret,
    ngx_str_t *info);

/*
 * AES-256-GCM (NIST SP 800-38D) of "data" in place; its last
 * NGX_MCP_CIPHER_TAG_LEN bytes are the tag.  The nonce is "number",
 * which a key must never see twice in seal().  "ad" is covered by the tag and
 * stays readable.  NGX_OK; NGX_ERROR; open(): NGX_DECLINED, if the tag does
 * not fit, and data is undefined then.
 */

ngx_int_t ngx_mcp_cipher_seal(u_char *key, uint64_t number, ngx_str_t *ad,
    ngx_str_t *data);
ngx_int_t ngx_mcp_cipher_open(u_char *key, uint64_t number, ngx_str_t *ad,
    ngx_str_t *data);


#endif /* _NGX_MCP_CIPHER_H_INCLUDED_ */

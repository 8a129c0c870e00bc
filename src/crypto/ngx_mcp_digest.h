
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Digests and random bytes, over OpenSSL's EVP.
 */

#ifndef _NGX_MCP_DIGEST_H_INCLUDED_
#define _NGX_MCP_DIGEST_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


#define NGX_MCP_DIGEST_LEN        16     /* bytes: half of a SHA-256 */
#define NGX_MCP_SHA256_LEN        32     /* bytes, FIPS 180-4 */


/*
 * Fills buf with n bytes of OpenSSL's CSPRNG.  Returns NGX_OK or NGX_ERROR.
 */

ngx_int_t ngx_mcp_random(u_char *buf, size_t n);

/*
 * Fills "digest" with the first NGX_MCP_DIGEST_LEN bytes of HMAC-SHA-256 over
 * n strings, each preceded by its length (4 bytes, big-endian).  Returns
 * NGX_OK, or NGX_ERROR if the secret is empty or OpenSSL fails.
 */

ngx_int_t ngx_mcp_hmac(u_char *digest, ngx_str_t *secret, ngx_str_t *parts,
    ngx_uint_t n);

/*
 * Fills "digest" with the NGX_MCP_SHA256_LEN bytes of SHA-256 over "data".
 * Returns NGX_OK, or NGX_ERROR if OpenSSL fails.
 */

ngx_int_t ngx_mcp_sha256(u_char *digest, u_char *data, size_t len);


#endif /* _NGX_MCP_DIGEST_H_INCLUDED_ */

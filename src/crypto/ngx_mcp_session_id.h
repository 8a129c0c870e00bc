
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Session ids and digests, over OpenSSL's EVP.
 *
 * A session id is
 *
 *     base64url(version 1 | issued 4 | instance 4 | random 12 | MAC 16)
 *
 * with sizes in bytes and without padding (RFC 4648, 5).  The MAC is the first
 * half of HMAC-SHA-256 (RFC 2104, 5) with a secret, over a purpose label, each
 * of the fields, the site and the principal, each preceded by its length.
 */

#ifndef _NGX_MCP_SESSION_ID_H_INCLUDED_
#define _NGX_MCP_SESSION_ID_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


#define NGX_MCP_SESSION_ID_BYTES  37     /* raw */
#define NGX_MCP_SESSION_ID_LEN    50     /* characters: base64url of 37 bytes */
#define NGX_MCP_INSTANCE_LEN      4      /* bytes */
#define NGX_MCP_DIGEST_LEN        16     /* bytes: half of a SHA-256 */
#define NGX_MCP_HASH_LEN          16     /* characters: 8 bytes in hex */
#define NGX_MCP_KEY_LEN           32     /* bytes of a key that nginx makes */


typedef struct {
    u_char       raw[NGX_MCP_SESSION_ID_BYTES];
    u_char       key[NGX_MCP_DIGEST_LEN];   /* first half of SHA-256 of raw:
                                               the key in tables and in Redis */
    u_char       hash[NGX_MCP_HASH_LEN];    /* the next 8 bytes, in hexadecimal:
                                               the name in logs */
    time_t       issued;                    /* unix seconds */
} ngx_mcp_session_id_t;


/*
 * Fills buf with n bytes of OpenSSL's CSPRNG.  Returns NGX_OK or NGX_ERROR.
 */

ngx_int_t ngx_mcp_random(u_char *buf, size_t n);

/*
 * Makes a new id for a purpose (such as "legacy"), site and principal, signed
 * with "secret" and issued at "issued" (unix seconds).  Fills sid, and "text"
 * with NGX_MCP_SESSION_ID_LEN characters.  Returns NGX_OK or NGX_ERROR.
 */

ngx_int_t ngx_mcp_session_id_make(ngx_mcp_session_id_t *sid, u_char *text,
    ngx_str_t *secret, u_char *instance, time_t issued, const char *purpose,
    ngx_str_t *site, ngx_str_t *principal);

/*
 * Parses the text of an id and fills sid.  Checks the form only: length,
 * alphabet (RFC 4648, 5, no padding), unused bits zero, version.  Returns
 * NGX_OK or NGX_DECLINED.
 */

ngx_int_t ngx_mcp_session_id_parse(ngx_mcp_session_id_t *sid, ngx_str_t *text);

/*
 * Returns the NGX_MCP_INSTANCE_LEN bytes of an id that name the instance that
 * made it.
 */

u_char *ngx_mcp_session_id_instance(ngx_mcp_session_id_t *sid);

/*
 * Verifies the MAC of a parsed id with each of "secrets" (of ngx_str_t); each
 * comparison takes constant time.  Returns NGX_OK, NGX_DECLINED if none fits,
 * NGX_ERROR if OpenSSL fails.
 */

ngx_int_t ngx_mcp_session_id_verify(ngx_mcp_session_id_t *sid,
    ngx_array_t *secrets, const char *purpose, ngx_str_t *site,
    ngx_str_t *principal);

/*
 * Fills "digest" with the first NGX_MCP_DIGEST_LEN bytes of HMAC-SHA-256 over
 * n strings, each preceded by its length (4 bytes, big-endian).  Returns
 * NGX_OK, or NGX_ERROR if the secret is empty or OpenSSL fails.
 */

ngx_int_t ngx_mcp_hmac(u_char *digest, ngx_str_t *secret, ngx_str_t *parts,
    ngx_uint_t n);


/*
 * Fills "digest" with the first NGX_MCP_DIGEST_LEN bytes of SHA-256 over n
 * strings, each preceded by its length.  One of them must be secret, as the key
 * of a session is, or anybody can compute it.  Returns NGX_OK, or NGX_ERROR if
 * OpenSSL fails.
 */

ngx_int_t ngx_mcp_digest(u_char *digest, ngx_str_t *parts, ngx_uint_t n);


#endif /* _NGX_MCP_SESSION_ID_H_INCLUDED_ */

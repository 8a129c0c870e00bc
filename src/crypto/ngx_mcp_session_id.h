
/*
 * Session ids and digests, over OpenSSL's EVP.  A leaf.
 *
 * A session id is
 *
 *     base64url(version 1 | issued 4 | instance 4 | random 12 | MAC 16)
 *
 * without padding, where the MAC is the first half of HMAC-SHA-256 under a
 * secret, over a purpose label, each of the fields, the site and the
 * principal, every one with its length in front.
 */

#ifndef _NGX_MCP_SESSION_ID_H_INCLUDED_
#define _NGX_MCP_SESSION_ID_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


#define NGX_MCP_SESSION_ID_BYTES  37
#define NGX_MCP_SESSION_ID_LEN    50     /* base64url of 37 bytes */
#define NGX_MCP_INSTANCE_LEN      4
#define NGX_MCP_DIGEST_LEN        16
#define NGX_MCP_HASH_LEN          16
#define NGX_MCP_KEY_LEN           32     /* of a key drawn by the server */


typedef struct {
    u_char       raw[NGX_MCP_SESSION_ID_BYTES];
    u_char       key[NGX_MCP_DIGEST_LEN];       /* digest of raw: the key under
                                                   which tables know it */
    u_char       hash[NGX_MCP_HASH_LEN];           /* more of it, in
                                                      hexadecimal: its name in
                                                      logs */
    time_t       issued;
} ngx_mcp_session_id_t;


/*
 * Fills buf with n bytes of the system's CSPRNG; NGX_OK or NGX_ERROR.
 */

ngx_int_t ngx_mcp_random(u_char *buf, size_t n);

/*
 * Makes a new id, signed with "secret" for "purpose" ("legacy"), site and
 * principal, issued now (unix seconds).  "text" receives
 * NGX_MCP_SESSION_ID_LEN characters.  NGX_OK or NGX_ERROR.
 */

ngx_int_t ngx_mcp_session_id_make(ngx_mcp_session_id_t *sid, u_char *text,
    ngx_str_t *secret, u_char *instance, time_t issued, const char *purpose,
    ngx_str_t *site, ngx_str_t *principal);

/*
 * Takes the text of an id apart and fills sid.  Checks its form only:
 * length, alphabet (RFC 4648, section 5, no padding), unused trailing bits
 * zero, version.  NGX_OK or NGX_DECLINED.
 */

ngx_int_t ngx_mcp_session_id_parse(ngx_mcp_session_id_t *sid, ngx_str_t *text);

/*
 * The NGX_MCP_INSTANCE_LEN bytes of an id that tell who has made it.
 */

u_char *ngx_mcp_session_id_instance(ngx_mcp_session_id_t *sid);

/*
 * Checks the MAC of a parsed id against any of "secrets" (of ngx_str_t), in
 * constant time.  NGX_OK, NGX_DECLINED if it is not ours, NGX_ERROR.
 */

ngx_int_t ngx_mcp_session_id_verify(ngx_mcp_session_id_t *sid,
    ngx_array_t *secrets, const char *purpose, ngx_str_t *site,
    ngx_str_t *principal);

/*
 * HMAC-SHA-256 over n strings, each with its length (4 bytes, big-endian) in
 * front, cut to NGX_MCP_DIGEST_LEN bytes.  NGX_OK or NGX_ERROR.
 */

ngx_int_t ngx_mcp_hmac(u_char *digest, ngx_str_t *secret, ngx_str_t *parts,
    ngx_uint_t n);


#endif /* _NGX_MCP_SESSION_ID_H_INCLUDED_ */

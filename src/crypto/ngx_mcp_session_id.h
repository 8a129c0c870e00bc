
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


#define NGX_HTTP_MCP_SSE_ID_RAW     37
#define NGX_HTTP_MCP_SSE_ID_LEN     50     /* base64url of 37 bytes */
#define NGX_HTTP_MCP_SSE_INSTANCE   4
#define NGX_HTTP_MCP_SSE_DIGEST     16
#define NGX_HTTP_MCP_SSE_HASH_LEN   16
#define NGX_HTTP_MCP_SSE_KEY        32     /* of a key drawn by the server */


typedef struct {
    u_char       raw[NGX_HTTP_MCP_SSE_ID_RAW];
    u_char       key[NGX_HTTP_MCP_SSE_DIGEST];  /* digest of raw: the key under
                                                   which tables know it */
    u_char       hash[NGX_HTTP_MCP_SSE_HASH_LEN];  /* more of it, in
                                                      hexadecimal: its name in
                                                      logs */
    time_t       issued;
} ngx_http_mcp_sse_sid_t;


/*
 * Fills buf with n bytes of the system's CSPRNG; NGX_OK or NGX_ERROR.
 */

ngx_int_t ngx_http_mcp_sse_random(u_char *buf, size_t n);

/*
 * Makes a new id, signed with "secret" for "purpose" ("legacy"), site and
 * principal, issued now (unix seconds).  "text" receives
 * NGX_HTTP_MCP_SSE_ID_LEN characters.  NGX_OK or NGX_ERROR.
 */

ngx_int_t ngx_http_mcp_sse_sid_make(ngx_http_mcp_sse_sid_t *sid, u_char *text,
    ngx_str_t *secret, u_char *instance, time_t issued, const char *purpose,
    ngx_str_t *site, ngx_str_t *principal);

/*
 * Takes the text of an id apart and fills sid.  Checks its form only:
 * length, alphabet (RFC 4648, section 5, no padding), unused trailing bits
 * zero, version.  NGX_OK or NGX_DECLINED.
 */

ngx_int_t ngx_http_mcp_sse_sid_parse(ngx_http_mcp_sse_sid_t *sid,
    ngx_str_t *text);

/*
 * The NGX_HTTP_MCP_SSE_INSTANCE bytes of an id that tell who has made it.
 */

u_char *ngx_http_mcp_sse_sid_instance(ngx_http_mcp_sse_sid_t *sid);

/*
 * Checks the MAC of a parsed id against any of "secrets" (of ngx_str_t), in
 * constant time.  NGX_OK, NGX_DECLINED if it is not ours, NGX_ERROR.
 */

ngx_int_t ngx_http_mcp_sse_sid_verify(ngx_http_mcp_sse_sid_t *sid,
    ngx_array_t *secrets, const char *purpose, ngx_str_t *site,
    ngx_str_t *principal);

/*
 * HMAC-SHA-256 over n strings, each with its length (4 bytes, big-endian) in
 * front, cut to NGX_HTTP_MCP_SSE_DIGEST bytes.  NGX_OK or NGX_ERROR.
 */

ngx_int_t ngx_http_mcp_sse_hmac(u_char *digest, ngx_str_t *secret,
    ngx_str_t *parts, ngx_uint_t n);


#endif /* _NGX_MCP_SESSION_ID_H_INCLUDED_ */

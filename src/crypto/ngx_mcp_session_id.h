
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Session ids.
 *
 * A session id is
 *
 *     base64url(version | issued 4 | instance 4 | random 12 | claims | MAC 16)
 *
 * with sizes in bytes and without padding (RFC 4648, 5).  Version 1 has no
 * claims, version 2 has 1 to NGX_MCP_SESSION_ID_MAX_CLAIMS bytes of them.  The
 * MAC is the first half of HMAC-SHA-256 (RFC 2104, 5) with a secret, over a
 * purpose label, each of the fields, the site and the principal, each preceded
 * by its length.
 */

#ifndef _NGX_MCP_SESSION_ID_H_INCLUDED_
#define _NGX_MCP_SESSION_ID_H_INCLUDED_


#include "ngx_mcp_digest.h"


#define NGX_MCP_SESSION_ID_LEN         50   /* characters, of version 1 */
#define NGX_MCP_SESSION_ID_MAX_LEN     139
#define NGX_MCP_SESSION_ID_MAX_CLAIMS  67   /* bytes */

#define NGX_MCP_INSTANCE_LEN      4      /* bytes */
#define NGX_MCP_HASH_LEN          16     /* characters: 8 bytes in hex */
#define NGX_MCP_KEY_LEN           32     /* bytes of a key that nginx makes */


typedef struct {
    u_char       key[NGX_MCP_DIGEST_LEN];   /* first half of SHA-256 of the
                                               bytes: the key in tables and in
                                               Redis */
    u_char       hash[NGX_MCP_HASH_LEN];    /* the next 8 bytes, in hexadecimal:
                                               the name in logs */
    u_char       instance[NGX_MCP_INSTANCE_LEN];  /* that made it */
    time_t       issued;                    /* unix seconds */
} ngx_mcp_session_id_t;


/*
 * Makes a new id for a purpose (such as "legacy"), site and principal, signed
 * with "secret" and issued at "issued" (unix seconds), of version 2 with
 * "claims", of version 1 if that is NULL.  Fills sid, and *text, whose data has
 * room for NGX_MCP_SESSION_ID_MAX_LEN characters, or for NGX_MCP_SESSION_ID_LEN
 * without claims.  Returns NGX_OK or NGX_ERROR.
 */

ngx_int_t ngx_mcp_session_id_make(ngx_mcp_session_id_t *sid, ngx_str_t *text,
    ngx_str_t *secret, u_char *instance, time_t issued, const char *purpose,
    ngx_str_t *site, ngx_str_t *principal, ngx_str_t *claims);

/*
 * Parses the text of an id and fills sid and, if it is not NULL, *claims, whose
 * data has room for NGX_MCP_SESSION_ID_MAX_CLAIMS bytes.  Checks the form only:
 * length, alphabet (RFC 4648, 5, no padding), unused bits zero, version.
 * Returns NGX_OK or NGX_DECLINED.
 */

ngx_int_t ngx_mcp_session_id_parse(ngx_mcp_session_id_t *sid, ngx_str_t *text,
    ngx_str_t *claims);

/*
 * Verifies the MAC of an id, which was parsed from "text", with each of
 * "secrets" (of ngx_str_t); each comparison takes constant time.  Returns
 * NGX_OK, NGX_DECLINED if none fits, NGX_ERROR if OpenSSL fails.
 */

ngx_int_t ngx_mcp_session_id_verify(ngx_mcp_session_id_t *sid, ngx_str_t *text,
    ngx_array_t *secrets, const char *purpose, ngx_str_t *site,
    ngx_str_t *principal);


#endif /* _NGX_MCP_SESSION_ID_H_INCLUDED_ */

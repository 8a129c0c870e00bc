
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Ids of questions to clients, by which any instance with the same secrets
 * knows what a response answers, and that its session was asked.
 *
 * An id is the key K of the question, a dot, and base64url of a MAC, without
 * padding (RFC 4648, 5).  K has NGX_MCP_QUESTION_ID_MIN_KEY to _MAX_KEY
 * characters of base64url.  The MAC is the first half of HMAC-SHA-256 with a
 * secret, over "question", K and the key of the session, each preceded by its
 * length.  That key is the digest of a session id, which has a MAC over site
 * and principal.
 */

#ifndef _NGX_MCP_QUESTION_ID_H_INCLUDED_
#define _NGX_MCP_QUESTION_ID_H_INCLUDED_


#include "ngx_mcp_digest.h"


#define NGX_MCP_QUESTION_ID_MIN_KEY  22    /* characters */
#define NGX_MCP_QUESTION_ID_MAX_KEY  64
#define NGX_MCP_QUESTION_ID_MAC_LEN  22
#define NGX_MCP_QUESTION_ID_MAX_LEN                                           \
    (NGX_MCP_QUESTION_ID_MAX_KEY + 1 + NGX_MCP_QUESTION_ID_MAC_LEN)


/*
 * Makes the id of the question "k" to the session with "key", of
 * NGX_MCP_DIGEST_LEN bytes.  Sets *text, whose data has room for
 * NGX_MCP_QUESTION_ID_MAX_LEN characters.  Returns NGX_OK or NGX_ERROR.
 */

ngx_int_t ngx_mcp_question_id_make(ngx_str_t *text, ngx_str_t *secret,
    ngx_str_t *k, u_char *key);

/*
 * Verifies an id with each of "secrets" (of ngx_str_t), in constant time, and
 * sets *k, which points into it.  Returns NGX_OK; NGX_DECLINED: it is none, or
 * not of that session; NGX_ERROR if OpenSSL fails.
 */

ngx_int_t ngx_mcp_question_id_verify(ngx_str_t *text, ngx_array_t *secrets,
    u_char *key, ngx_str_t *k);


#endif /* _NGX_MCP_QUESTION_ID_H_INCLUDED_ */


/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * SipHash-2-4 with 128 bits: a fast hash of short strings, which is a pseudo-
 * random function for those who do not know its key.
 */

#ifndef _NGX_MCP_SIPHASH_H_INCLUDED_
#define _NGX_MCP_SIPHASH_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


#define NGX_MCP_SIPHASH_LEN  16    /* bytes, of a key and of a hash */


/*
 * Fills "hash" with the hash of a text, which may be empty.  Who knows the key
 * can make two texts with one hash: use it for what belongs to the holder of
 * the key.
 */

void ngx_mcp_siphash(u_char *hash, u_char *key, ngx_str_t *text);


#endif /* _NGX_MCP_SIPHASH_H_INCLUDED_ */


/*
 * The cache of look-ups in the zone: a bounded LRU of verdicts, by the digest
 * of the credential.
 */

#ifndef _NGX_MCP_AUTH_CACHE_H_INCLUDED_
#define _NGX_MCP_AUTH_CACHE_H_INCLUDED_


#include "ngx_mcp.h"


/*
 * The verdict on that credential if it is not older than "good" ms, or, if
 * it is a refusal, not older than NGX_MCP_AUTH_CACHE_BAD_AGE_MS.  Strings are
 * put into pool.  NGX_OK; NGX_DECLINED: none; NGX_ERROR: memory is short.
 */

#define NGX_MCP_AUTH_CACHE_BAD_AGE_MS  5000

ngx_int_t ngx_mcp_auth_cache_get(u_char *digest, ngx_msec_t good,
    ngx_pool_t *pool, ngx_mcp_auth_result_t *verdict);

/*
 * Remembers a verdict, good or bad.  If the zone is full nothing happens.
 */

void ngx_mcp_auth_cache_put(u_char *digest, ngx_mcp_auth_result_t *verdict);


#endif /* _NGX_MCP_AUTH_CACHE_H_INCLUDED_ */

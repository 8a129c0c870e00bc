
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * The cache of user look-ups in the zone: a bounded LRU of results, by the
 * digest of the credential.
 */

#ifndef _NGX_MCP_AUTH_CACHE_H_INCLUDED_
#define _NGX_MCP_AUTH_CACHE_H_INCLUDED_


#include "ngx_mcp.h"


/* how long a refusal is used (docs/PROTOCOL.md 2.8) */

#define NGX_MCP_AUTH_CACHE_BAD_AGE_MS  5000


/*
 * Fills *result for a credential from an entry that is younger than "max_age"
 * ms or, if it is a refusal, than NGX_MCP_AUTH_CACHE_BAD_AGE_MS.  Strings are
 * copied to pool.  Returns NGX_OK; NGX_DECLINED if there is none; NGX_ERROR if
 * memory is short.
 */

ngx_int_t ngx_mcp_auth_cache_get(u_char *digest, ngx_msec_t max_age,
    ngx_pool_t *pool, ngx_mcp_auth_result_t *result);

/*
 * Returns whether the last result for a credential, however old it is, was that
 * it is good.
 */

ngx_uint_t ngx_mcp_auth_cache_known(u_char *digest);

/*
 * Caches a result, accepted or refused, in place of an older one.  All bytes
 * are copied.  Does nothing if the zone is full or the text is too long.
 * Returns whether the credential is good though a call with it was answered
 * 401.
 */

ngx_uint_t ngx_mcp_auth_cache_put(u_char *digest,
    ngx_mcp_auth_result_t *result);

/*
 * A call that began at "started" (ngx_current_msec) was answered 401:
 * ngx_mcp_auth_cache_get() does not find the entry any more, whatever its age.
 * Does nothing if the entry is newer, or if it is the result of a look-up after
 * an earlier 401: Frappe knows the user, and its MCP endpoint does not.
 * Returns whether there was an entry that was not doubted before.
 */

ngx_uint_t ngx_mcp_auth_cache_doubt(u_char *digest, ngx_msec_t started);


#endif /* _NGX_MCP_AUTH_CACHE_H_INCLUDED_ */

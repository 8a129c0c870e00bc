
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * What this worker has computed of bytes that come with each message, and is
 * expensive to compute: digests of credentials, MACs of session ids.
 *
 * What a session was told beside its id is kept here, too.
 *
 * It is a cache of results, not of decisions: whether a credential is good or a
 * session has ended is asked elsewhere.  It begins empty in each worker, so
 * that what was computed with other keys is not in it.
 */

#ifndef _NGX_MCP_MEMO_H_INCLUDED_
#define _NGX_MCP_MEMO_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


#define NGX_MCP_MEMO_VALUE_LEN  108    /* bytes */


/*
 * Looks for n strings, which are compared in full and in constant time.
 * Returns whether they were put, and sets "value", of NGX_MCP_MEMO_VALUE_LEN
 * bytes, to what they were put with, if it is not NULL.
 */

ngx_uint_t ngx_mcp_memo_get(ngx_str_t *parts, ngx_uint_t n, u_char *value);

/*
 * Keeps "value" for n strings, in place of the oldest of two entries.  Does
 * nothing if they are too long.  Call it for what was found to be genuine only:
 * who sends something else does not evict it.
 */

void ngx_mcp_memo_put(ngx_str_t *parts, ngx_uint_t n, u_char *value);

/*
 * Overwrites the entry of n strings, if there is one.
 */

void ngx_mcp_memo_forget(ngx_str_t *parts, ngx_uint_t n);


#endif /* _NGX_MCP_MEMO_H_INCLUDED_ */


/*
 * The protocol versions that MCP's initialize negotiates.  A leaf.
 */

#ifndef _NGX_MCP_PROTOCOL_VERSION_H_INCLUDED_
#define _NGX_MCP_PROTOCOL_VERSION_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * Finds the version that the raw params of an initialize request offer: ten
 * characters, "2025-06-18", that stay the caller's.  NGX_OK; NGX_DECLINED:
 * there is none of that form; NGX_ERROR: memory is short.
 */

ngx_int_t ngx_mcp_protocol_version_offered(ngx_pool_t *pool, ngx_str_t *params,
    ngx_str_t *version);

/*
 * Replaces, in place, the version in the raw answer to an initialize request
 * if it is newer than "newest", which has that form.  Returns the same.
 */

ngx_int_t ngx_mcp_protocol_version_limit(ngx_pool_t *pool, ngx_str_t *answer,
    ngx_str_t *newest);


#endif /* _NGX_MCP_PROTOCOL_VERSION_H_INCLUDED_ */

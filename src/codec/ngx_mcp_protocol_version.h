
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * protocolVersion of MCP's initialize (MCP 2025-11-25, Lifecycle, Version
 * negotiation), and the era of a version.
 */

#ifndef _NGX_MCP_PROTOCOL_VERSION_H_INCLUDED_
#define _NGX_MCP_PROTOCOL_VERSION_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* the first version of the modern era, which has no initialize */

#define NGX_MCP_PROTOCOL_VERSION_MODERN  "2026-07-28"


/*
 * Returns whether the text is a version of the modern era: a date from that one
 * on (MCP 2026-07-28, Versioning).
 */

ngx_uint_t ngx_mcp_protocol_version_is_modern(ngx_str_t *text);

/*
 * Finds the version that an initialize request offers in its raw params: ten
 * characters such as "2025-06-18".  *version points into params.  Returns
 * NGX_OK; NGX_DECLINED if there is none of that form; NGX_ERROR if memory is
 * short.
 */

ngx_int_t ngx_mcp_protocol_version_offered(ngx_pool_t *pool, ngx_str_t *params,
    ngx_str_t *version);

/*
 * Replaces, in place, the version in the raw answer to an initialize request
 * by "newest", ten characters, if it is newer.  Returns NGX_OK if it was
 * replaced; NGX_DECLINED if there is none of that form or it is not newer;
 * NGX_ERROR if memory is short.
 */

ngx_int_t ngx_mcp_protocol_version_limit(ngx_pool_t *pool, ngx_str_t *answer,
    ngx_str_t *newest);

/*
 * Returns whether the text has the form of a version: YYYY-MM-DD.
 */

ngx_uint_t ngx_mcp_protocol_version_is_date(ngx_str_t *text);


#endif /* _NGX_MCP_PROTOCOL_VERSION_H_INCLUDED_ */

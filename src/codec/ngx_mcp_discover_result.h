
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * The result of server/discover (MCP 2026-07-28, server/discover), made from
 * an answer to initialize; and what a backend answers to server/discover.
 */

#ifndef _NGX_MCP_DISCOVER_RESULT_H_INCLUDED_
#define _NGX_MCP_DISCOVER_RESULT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* how long a client may use the result: its ttlMs */

#define NGX_MCP_DISCOVER_TTL_MS  600000


typedef struct {
    ngx_str_t    result;       /* of server/discover, one line */
    ngx_str_t    version;      /* protocolVersion, YYYY-MM-DD, or empty */
    ngx_str_t    server_info;  /* serverInfo, raw, or empty */
} ngx_mcp_discover_result_t;


/*
 * Makes the result of server/discover from "answer", a JSON-RPC response to
 * initialize, one line.  It has these members only: resultType,
 * supportedVersions (the raw array "versions"), capabilities (tools, prompts,
 * resources and completions, each empty, where the backend has them: its
 * subscriptions, list changes, logging and tasks are not served; with "events",
 * those of the module, see ngx_mcp_capabilities.h), instructions, ttlMs,
 * cacheScope and _meta with serverInfo, which is "server_info", raw, if the
 * backend has told none that has a name and a version.
 *
 * d->result is allocated from pool, the other members point into the answer.
 * Returns NGX_OK; NGX_DECLINED if the answer has no result that is an object;
 * NGX_ERROR if memory is short.
 */

ngx_int_t ngx_mcp_discover_result(ngx_pool_t *pool, ngx_str_t *answer,
    ngx_str_t *versions, ngx_str_t *server_info, ngx_uint_t events,
    ngx_mcp_discover_result_t *d);

/*
 * Returns NGX_OK if "answer", a JSON-RPC response to server/discover, has
 * "version" among its supportedVersions; NGX_DECLINED if it has not; NGX_ERROR
 * if memory is short.
 */

ngx_int_t ngx_mcp_discover_supports(ngx_pool_t *pool, ngx_str_t *answer,
    ngx_str_t *version);


#endif /* _NGX_MCP_DISCOVER_RESULT_H_INCLUDED_ */

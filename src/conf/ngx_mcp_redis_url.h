
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * The URL of mcp_sse_redis.
 */

#ifndef _NGX_MCP_REDIS_URL_H_INCLUDED_
#define _NGX_MCP_REDIS_URL_H_INCLUDED_


#include "ngx_mcp.h"


/*
 * Reads "redis[s]://[[USER]:PASSWORD@]HOST[:PORT][,HOST[:PORT]...][/DATABASE]"
 * or "unix:[[USER]:PASSWORD@]/PATH[?db=DATABASE]" into rcf, whose mode is set.
 * Returns NULL, or the text of an error, which has nothing of the URL.
 */

const char *ngx_mcp_redis_url(ngx_conf_t *cf, ngx_mcp_redis_conf_t *rcf,
    ngx_str_t *url);


#endif /* _NGX_MCP_REDIS_URL_H_INCLUDED_ */

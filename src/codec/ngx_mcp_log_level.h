
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Levels of notifications/message (MCP 2025-11-25, Logging; RFC 5424, 6.2.1).
 */

#ifndef _NGX_MCP_LOG_LEVEL_H_INCLUDED_
#define _NGX_MCP_LOG_LEVEL_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* the more urgent, the smaller */

typedef enum {
    NGX_MCP_LOG_EMERGENCY = 0,
    NGX_MCP_LOG_ALERT,
    NGX_MCP_LOG_CRITICAL,
    NGX_MCP_LOG_ERROR,
    NGX_MCP_LOG_WARNING,
    NGX_MCP_LOG_NOTICE,
    NGX_MCP_LOG_INFO,
    NGX_MCP_LOG_DEBUG,
    NGX_MCP_LOG_UNKNOWN                /* no such level */
} ngx_mcp_log_level_e;


/*
 * Returns the level of a decoded name, such as "warning".
 */

ngx_uint_t ngx_mcp_log_level(ngx_str_t *name);


#endif /* _NGX_MCP_LOG_LEVEL_H_INCLUDED_ */


/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Levels of notifications/message by their names.
 */

#include "ngx_mcp_log_level.h"


/* in the order of ngx_mcp_log_level_e */

static ngx_str_t  ngx_mcp_log_levels[] = {
    ngx_string("emergency"),
    ngx_string("alert"),
    ngx_string("critical"),
    ngx_string("error"),
    ngx_string("warning"),
    ngx_string("notice"),
    ngx_string("info"),
    ngx_string("debug")
};


ngx_uint_t
ngx_mcp_log_level(ngx_str_t *name)
{
    ngx_uint_t  level;

    for (level = 0; level < NGX_MCP_LOG_UNKNOWN; level++) {

        if (name->len == ngx_mcp_log_levels[level].len
            && ngx_memcmp(name->data, ngx_mcp_log_levels[level].data,
                          name->len)
               == 0)
        {
            return level;
        }
    }

    return NGX_MCP_LOG_UNKNOWN;
}

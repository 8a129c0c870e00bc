
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * The endpoint of Streamable HTTP: POST, GET, DELETE.
 */

#ifndef _NGX_MCP_STREAMABLE_H_INCLUDED_
#define _NGX_MCP_STREAMABLE_H_INCLUDED_


#include "ngx_mcp_ctx.h"


/*
 * The content handler of mcp_sse_http.
 */

ngx_int_t ngx_mcp_streamable_handler(ngx_http_request_t *r);


#endif /* _NGX_MCP_STREAMABLE_H_INCLUDED_ */

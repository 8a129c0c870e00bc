
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * What is known of the upstream of a call.
 */

#ifndef _NGX_MCP_CALL_UPSTREAM_H_INCLUDED_
#define _NGX_MCP_CALL_UPSTREAM_H_INCLUDED_


#include "ngx_mcp_call.h"


/*
 * Sets what the call tells of its upstream when it has ended.  A status that
 * the upstream has not sent is nginx's.
 */

void ngx_mcp_call_upstream(ngx_mcp_call_t *call, ngx_http_request_t *sr);


#endif /* _NGX_MCP_CALL_UPSTREAM_H_INCLUDED_ */

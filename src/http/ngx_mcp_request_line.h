
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Keeps session ids out of nginx's own lines in the error log.
 */

#ifndef _NGX_MCP_REQUEST_LINE_H_INCLUDED_
#define _NGX_MCP_REQUEST_LINE_H_INCLUDED_


#include "ngx_mcp_ctx.h"


/*
 * In postconfiguration: adds a handler that removes the query from the request
 * line, where an endpoint calls Frappe.  It is in the rewrite phase, the first
 * one after nginx has found the location: limit_req, deny and auth_basic
 * refuse a request in later ones.  Returns NGX_OK, or NGX_ERROR if memory is
 * short.
 */

ngx_int_t ngx_mcp_request_line_init(ngx_conf_t *cf);


#endif /* _NGX_MCP_REQUEST_LINE_H_INCLUDED_ */


/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Variables: $mcp_sse_*.
 */

#ifndef _NGX_MCP_VARIABLES_H_INCLUDED_
#define _NGX_MCP_VARIABLES_H_INCLUDED_


#include "ngx_mcp_ctx.h"


/*
 * In preconfiguration: adds the variables.  Returns NGX_OK or NGX_ERROR.
 */

ngx_int_t ngx_mcp_variables_add(ngx_conf_t *cf);

/*
 * Returns the value of $mcp_sse_result for one of ngx_mcp_result_e.
 */

ngx_str_t *ngx_mcp_variables_result_name(ngx_uint_t result);

/*
 * Sets method, id and tool in "vars" from a message, whose bytes they point
 * to.
 */

void ngx_mcp_vars_set(ngx_mcp_vars_t *vars,
    ngx_mcp_jsonrpc_message_t *message);


#endif /* _NGX_MCP_VARIABLES_H_INCLUDED_ */

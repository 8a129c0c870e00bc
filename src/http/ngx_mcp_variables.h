
/*
 * The module's variables.
 */

#ifndef _NGX_MCP_VARIABLES_H_INCLUDED_
#define _NGX_MCP_VARIABLES_H_INCLUDED_


#include "ngx_mcp.h"


/*
 * In preconfiguration.
 */

ngx_int_t ngx_mcp_variables_add(ngx_conf_t *cf);

/*
 * The value of $mcp_sse_result, of ngx_mcp_result_e.
 */

ngx_str_t *ngx_mcp_variables_result_name(ngx_uint_t result);

/*
 * Fills what a message says of itself into facts, which point to it then.
 */

void ngx_mcp_vars_set(ngx_mcp_vars_t *facts,
    ngx_mcp_jsonrpc_message_t *message);


#endif /* _NGX_MCP_VARIABLES_H_INCLUDED_ */

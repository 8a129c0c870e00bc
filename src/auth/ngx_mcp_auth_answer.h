
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * What Frappe has answered to a look-up: a user, a refusal, or nothing that
 * tells.
 */

#ifndef _NGX_MCP_AUTH_ANSWER_H_INCLUDED_
#define _NGX_MCP_AUTH_ANSWER_H_INCLUDED_


#include "ngx_mcp_call.h"


/*
 * Sets *result from the look-up that has ended as "call", and logs a failure.
 * The strings of *result are those of the call.
 */

void ngx_mcp_auth_answer(ngx_mcp_call_t *call, ngx_mcp_auth_result_t *result);


#endif /* _NGX_MCP_AUTH_ANSWER_H_INCLUDED_ */


/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * What an exchange answers with JSON.
 */

#ifndef _NGX_MCP_EXCHANGE_JSON_H_INCLUDED_
#define _NGX_MCP_EXCHANGE_JSON_H_INCLUDED_


#include "ngx_mcp_exchange.h"


/*
 * Answers the request with the answers of its tasks, of which there is one at
 * least.  Returns the result for the content handler.
 */

ngx_int_t ngx_mcp_exchange_json(ngx_mcp_exchange_t *x);

/*
 * Returns the HTTP status of the answers.
 */

ngx_uint_t ngx_mcp_exchange_status(ngx_mcp_exchange_t *x);

/*
 * Adds the header with a new session id, if there is one.  Returns NGX_OK or
 * NGX_ERROR.
 */

ngx_int_t ngx_mcp_exchange_headers(ngx_mcp_exchange_t *x);


#endif /* _NGX_MCP_EXCHANGE_JSON_H_INCLUDED_ */

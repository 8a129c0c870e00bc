
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Numbers of JSON (RFC 8259, 6), read one character at a time.
 */

#ifndef _NGX_MCP_JSON_NUMBER_H_INCLUDED_
#define _NGX_MCP_JSON_NUMBER_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* what was read of a number: its last character */

typedef enum {
    NGX_MCP_JSON_NUMBER_NONE = 0,
    NGX_MCP_JSON_NUMBER_MINUS,
    NGX_MCP_JSON_NUMBER_ZERO,
    NGX_MCP_JSON_NUMBER_INTEGER,
    NGX_MCP_JSON_NUMBER_POINT,
    NGX_MCP_JSON_NUMBER_FRACTION,
    NGX_MCP_JSON_NUMBER_E,
    NGX_MCP_JSON_NUMBER_E_SIGN,
    NGX_MCP_JSON_NUMBER_EXPONENT
} ngx_mcp_json_number_e;


/*
 * Returns what was read of a number with "ch" behind "number", or
 * NGX_MCP_JSON_NUMBER_NONE if "ch" is not part of it.
 */

ngx_uint_t ngx_mcp_json_number_next(ngx_uint_t number, u_char ch);

/*
 * Returns whether a number may end here.
 */

ngx_uint_t ngx_mcp_json_number_ended(ngx_uint_t number);


#endif /* _NGX_MCP_JSON_NUMBER_H_INCLUDED_ */

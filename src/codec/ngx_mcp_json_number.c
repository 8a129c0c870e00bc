
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Numbers of JSON (RFC 8259, 6), read one character at a time.
 */

#include "ngx_mcp_json_number.h"


ngx_uint_t
ngx_mcp_json_number_next(ngx_uint_t number, u_char ch)
{
    switch (number) {

    case NGX_MCP_JSON_NUMBER_NONE:

        if (ch == '-') {
            return NGX_MCP_JSON_NUMBER_MINUS;
        }

        /* fall through */

    case NGX_MCP_JSON_NUMBER_MINUS:

        if (ch == '0') {
            return NGX_MCP_JSON_NUMBER_ZERO;
        }

        return (ch >= '1' && ch <= '9') ? NGX_MCP_JSON_NUMBER_INTEGER
                                        : NGX_MCP_JSON_NUMBER_NONE;

    case NGX_MCP_JSON_NUMBER_INTEGER:

        if (ch >= '0' && ch <= '9') {
            return NGX_MCP_JSON_NUMBER_INTEGER;
        }

        /* fall through */

    case NGX_MCP_JSON_NUMBER_ZERO:

        if (ch == '.') {
            return NGX_MCP_JSON_NUMBER_POINT;
        }

        return ((ch | 0x20) == 'e') ? NGX_MCP_JSON_NUMBER_E
                                    : NGX_MCP_JSON_NUMBER_NONE;

    case NGX_MCP_JSON_NUMBER_POINT:
    case NGX_MCP_JSON_NUMBER_FRACTION:

        if (ch >= '0' && ch <= '9') {
            return NGX_MCP_JSON_NUMBER_FRACTION;
        }

        return (number == NGX_MCP_JSON_NUMBER_FRACTION && (ch | 0x20) == 'e')
               ? NGX_MCP_JSON_NUMBER_E : NGX_MCP_JSON_NUMBER_NONE;

    case NGX_MCP_JSON_NUMBER_E:

        if (ch == '+' || ch == '-') {
            return NGX_MCP_JSON_NUMBER_E_SIGN;
        }

        /* fall through */

    default: /* NGX_MCP_JSON_NUMBER_E_SIGN, NGX_MCP_JSON_NUMBER_EXPONENT */

        return (ch >= '0' && ch <= '9') ? NGX_MCP_JSON_NUMBER_EXPONENT
                                        : NGX_MCP_JSON_NUMBER_NONE;
    }
}


ngx_uint_t
ngx_mcp_json_number_ended(ngx_uint_t number)
{
    return number == NGX_MCP_JSON_NUMBER_ZERO
           || number == NGX_MCP_JSON_NUMBER_INTEGER
           || number == NGX_MCP_JSON_NUMBER_FRACTION
           || number == NGX_MCP_JSON_NUMBER_EXPONENT;
}

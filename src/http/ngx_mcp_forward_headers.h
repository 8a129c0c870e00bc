
/*
 * Packs a POST into an envelope: which of its headers travel.
 */

#ifndef _NGX_MCP_FORWARD_HEADERS_H_INCLUDED_
#define _NGX_MCP_FORWARD_HEADERS_H_INCLUDED_


#include "ngx_mcp.h"


/*
 * Makes an envelope of r's credential, address, allowed headers and
 * "messages" (of ngx_mcp_jsonrpc_message_t).  The caller owns it.  NGX_OK;
 * NGX_DECLINED: the headers are larger than NGX_MCP_MAX_HEADERS_SIZE;
 * NGX_ERROR: memory is short.
 */

ngx_int_t ngx_mcp_forward_headers(ngx_http_request_t *r, ngx_array_t *messages,
    ngx_mcp_envelope_t **env);

/*
 * Whether a header, named in lower case, may be passed by
 * mcp_sse_pass_header: not one that the module makes itself, that belongs to
 * the connection, or that would make Frappe act for another site or user.
 */

ngx_uint_t ngx_mcp_forward_headers_allowed_name(ngx_str_t *name);


#endif /* _NGX_MCP_FORWARD_HEADERS_H_INCLUDED_ */

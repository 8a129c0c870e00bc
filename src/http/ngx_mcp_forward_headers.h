
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Selects the headers that go to Frappe, and builds the envelope of a POST.
 */

#ifndef _NGX_MCP_FORWARD_HEADERS_H_INCLUDED_
#define _NGX_MCP_FORWARD_HEADERS_H_INCLUDED_


#include "ngx_mcp_ctx.h"


/*
 * Makes an envelope of r's credential, address, allowed headers and
 * "messages" (of ngx_mcp_jsonrpc_message_t).  The caller owns it.  Returns
 * NGX_OK; NGX_DECLINED if the headers are larger than
 * NGX_MCP_MAX_HEADERS_SIZE; NGX_ERROR if memory is short.
 */

ngx_int_t ngx_mcp_forward_headers(ngx_http_request_t *r, ngx_array_t *messages,
    ngx_mcp_envelope_t **env);

/*
 * The same, for a message of the module itself: with the headers "mcp" (of
 * ngx_keyval_t, names in lower case) in place of the client's own mcp-*; NULL:
 * with these.
 */

ngx_int_t ngx_mcp_forward_headers_mcp(ngx_http_request_t *r, ngx_array_t *mcp,
    ngx_array_t *messages, ngx_mcp_envelope_t **env);

/*
 * Returns whether mcp_sse_pass_header accepts a header, named in lower case.
 * It does not accept headers that the module sets, that belong to the
 * connection (RFC 9110, 7.6.1), by which Frappe selects site or user, or that
 * have the session id, which is a secret.
 */

ngx_uint_t ngx_mcp_forward_headers_allowed_name(ngx_str_t *name);


#endif /* _NGX_MCP_FORWARD_HEADERS_H_INCLUDED_ */

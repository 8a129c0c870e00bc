
/*
 * Short answers to client requests.
 */

#ifndef _NGX_MCP_RESPONSE_H_INCLUDED_
#define _NGX_MCP_RESPONSE_H_INCLUDED_


#include "ngx_mcp.h"


#define NGX_MCP_HTTP_NOT_ACCEPTABLE    406
#define NGX_MCP_HTTP_FIELDS_TOO_LARGE  431      /* RFC 6585 */


/*
 * All send an answer and return what the content handler is to return, or
 * ngx_http_finalize_request() to be given.
 *
 * The first sends JSON, which must live as long as the request, or only
 * headers if "body" is NULL; the second what is of another type.
 */

ngx_int_t ngx_mcp_respond(ngx_http_request_t *r, ngx_uint_t status,
    ngx_str_t *body);
ngx_int_t ngx_mcp_respond_as(ngx_http_request_t *r, ngx_uint_t status,
    ngx_str_t *type, ngx_str_t *body);

/*
 * The third refuses the request with a JSON-RPC error whose id is null, and
 * says so in the log.  It adds what goes with the status: Allow, Retry-After,
 * WWW-Authenticate.
 */

ngx_int_t ngx_mcp_refuse(ngx_http_request_t *r, ngx_uint_t status,
    ngx_int_t code, const char *message);

/*
 * The same with "data", a JSON value, in the error; NULL: none.
 */

ngx_int_t ngx_mcp_refuse_data(ngx_http_request_t *r, ngx_uint_t status,
    ngx_int_t code, const char *message, ngx_str_t *data);

/*
 * What a handler returns, or a request is finalized with, instead of "rc":
 * an internal fault is told as a JSON-RPC error as long as that is possible.
 */

ngx_int_t ngx_mcp_error_result(ngx_http_request_t *r, ngx_int_t rc);


#endif /* _NGX_MCP_RESPONSE_H_INCLUDED_ */

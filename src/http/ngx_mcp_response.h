
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Short answers and refusals to client requests.
 */

#ifndef _NGX_MCP_RESPONSE_H_INCLUDED_
#define _NGX_MCP_RESPONSE_H_INCLUDED_


#include "ngx_mcp_ctx.h"


/* status codes that nginx does not name */

#define NGX_MCP_HTTP_NOT_ACCEPTABLE    406      /* RFC 9110, 15.5.7 */
#define NGX_MCP_HTTP_FIELDS_TOO_LARGE  431      /* RFC 6585, 5 */


/*
 * All functions below send an answer.  They return the code that the content
 * handler returns, or that ngx_http_finalize_request() gets.
 *
 * The first sends JSON, the second a body of another type.  "body" must be
 * valid as long as the request; if it is NULL, only headers are sent.
 */

ngx_int_t ngx_mcp_respond(ngx_http_request_t *r, ngx_uint_t status,
    ngx_str_t *body);
ngx_int_t ngx_mcp_respond_as(ngx_http_request_t *r, ngx_uint_t status,
    ngx_str_t *type, ngx_str_t *body);

/*
 * Refuses the request with a JSON-RPC error, and logs it with ctx->reason.  Its
 * id is null, or that of the request if ctx->own_id is set; its form is that of
 * the request's era.  Adds the header that belongs to the status: Allow,
 * Retry-After or WWW-Authenticate.  "message" is a literal that needs no
 * escapes.
 */

ngx_int_t ngx_mcp_refuse(ngx_http_request_t *r, ngx_uint_t status,
    ngx_int_t code, const char *message);

/*
 * The same, with "data", raw JSON or NULL, in the error.
 */

ngx_int_t ngx_mcp_refuse_data(ngx_http_request_t *r, ngx_uint_t status,
    ngx_int_t code, const char *message, ngx_str_t *data);

/*
 * Returns whether the header of r says that it is server/discover at /mcp: such
 * a request is refused with 200 in the place of 5xx (docs/PROTOCOL.md 15.63).
 */

ngx_uint_t ngx_mcp_response_is_probe(ngx_http_request_t *r);

/*
 * Returns rc; for NGX_HTTP_INTERNAL_SERVER_ERROR, as long as no header was
 * sent, sends a JSON-RPC error first and returns its code.
 */

ngx_int_t ngx_mcp_error_result(ngx_http_request_t *r, ngx_int_t rc);


#endif /* _NGX_MCP_RESPONSE_H_INCLUDED_ */

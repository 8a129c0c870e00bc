
/*
 * Helpers for header lists.  The one place that depends on nginx's version.
 */

#ifndef _NGX_MCP_HEADER_H_INCLUDED_
#define _NGX_MCP_HEADER_H_INCLUDED_


#include "ngx_mcp.h"


/*
 * Adds a header to the response.  "name" must be a literal; the value of the
 * first function too, that of the second must live as long as the request.
 */

ngx_int_t ngx_mcp_header_add(ngx_http_request_t *r, const char *name,
    const char *value);
ngx_int_t ngx_mcp_header_set(ngx_http_request_t *r, const char *name,
    ngx_str_t *value);

/*
 * Adds a header to the request, and fills the slot of headers_in that
 * variables read.  "name" is in lower case; the bytes of both must live as long
 * as the request.
 */

ngx_int_t ngx_mcp_header_push(ngx_http_request_t *r, ngx_str_t *name,
    ngx_str_t *value);

/*
 * Finds a header of the request by its name in lower case, from *pos on:
 * zero it for the first one.  NULL if there is none.
 */

typedef struct {
    ngx_list_part_t   *part;
    ngx_uint_t         i;
} ngx_mcp_header_pos_t;

ngx_table_elt_t *ngx_mcp_header_find(ngx_list_t *headers, ngx_str_t *name,
    ngx_mcp_header_pos_t *pos);

/*
 * The value of the cookie "name" of the client's request; NGX_OK or
 * NGX_DECLINED.
 */

ngx_int_t ngx_mcp_header_cookie(ngx_http_request_t *r, ngx_str_t *name,
    ngx_str_t *value);


#endif /* _NGX_MCP_HEADER_H_INCLUDED_ */

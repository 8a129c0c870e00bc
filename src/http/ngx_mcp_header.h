
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Helpers for lists of headers, which differ between versions of nginx.
 */

#ifndef _NGX_MCP_HEADER_H_INCLUDED_
#define _NGX_MCP_HEADER_H_INCLUDED_


#include "ngx_mcp_ctx.h"


/*
 * Add a header to the response of r.  "name" is a literal.  The value of the
 * first is a literal; that of the second must be valid as long as r.  Return
 * NGX_OK, or NGX_ERROR if memory is short.
 */

ngx_int_t ngx_mcp_header_add(ngx_http_request_t *r, const char *name,
    const char *value);
ngx_int_t ngx_mcp_header_set(ngx_http_request_t *r, const char *name,
    ngx_str_t *value);

/*
 * Adds a header to the request r, and sets the member of headers_in that
 * variables read.  "name" is in lower case; the bytes of name and value must
 * be valid as long as r.  Returns NGX_OK, or an error of nginx's handler.
 */

ngx_int_t ngx_mcp_header_push(ngx_http_request_t *r, ngx_str_t *name,
    ngx_str_t *value);

/*
 * Return the first header with a name, or the next one from *pos on, which the
 * caller zeroes before the first call; NULL if there is none.  Names are
 * compared without case.
 */

typedef struct {
    ngx_list_part_t   *part;
    ngx_uint_t         i;
    ngx_str_t          rest;      /* of the line, for members */
} ngx_mcp_header_pos_t;

ngx_table_elt_t *ngx_mcp_header_first(ngx_list_t *headers, const char *name);
ngx_table_elt_t *ngx_mcp_header_find(ngx_list_t *headers, ngx_str_t *name,
    ngx_mcp_header_pos_t *pos);

/*
 * Sets *member to the next member of a list (RFC 9110, 5.6.1), over all lines
 * of the header; empty ones are skipped.  Commas in quoted strings do not
 * separate.  The caller zeroes *pos before the first call and uses it for this
 * header only.  Returns NGX_OK, or NGX_DECLINED at the end.
 */

ngx_int_t ngx_mcp_header_member(ngx_list_t *headers, ngx_str_t *name,
    ngx_mcp_header_pos_t *pos, ngx_str_t *member);

/*
 * Returns the next "ch" outside of quoted strings (RFC 9110, 5.6.4), or last.
 */

u_char *ngx_mcp_header_delimiter(u_char *p, u_char *last, u_char ch);

/*
 * Returns whether the len bytes at p are "word", in any case.
 */

ngx_uint_t ngx_mcp_header_word(u_char *p, size_t len, ngx_str_t *word);

/*
 * Sets *value to the value of a header that has one.  Clients and proxies send
 * such headers twice, in two lines or joined by a comma: if all are alike, it
 * is that value.  A single line whose members differ is the value itself.
 * Returns NGX_OK; NGX_DECLINED if the header is missing or empty; NGX_ABORT if
 * there are several lines that differ.
 */

ngx_int_t ngx_mcp_header_value(ngx_list_t *headers, const char *name,
    ngx_str_t *value);

/*
 * Sets *value to the cookie "name" of the client's request.  Returns NGX_OK,
 * or NGX_DECLINED if there is none.
 */

ngx_int_t ngx_mcp_header_cookie(ngx_http_request_t *r, ngx_str_t *name,
    ngx_str_t *value);


#endif /* _NGX_MCP_HEADER_H_INCLUDED_ */

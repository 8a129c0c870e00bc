
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Files with secrets that directives name.
 */

#ifndef _NGX_MCP_SECRET_FILE_H_INCLUDED_
#define _NGX_MCP_SECRET_FILE_H_INCLUDED_


#include "ngx_mcp.h"


/*
 * Reads the file "name", which is made absolute in place, and returns its
 * lines that are not empty and do not begin with "#" (of ngx_str_t, at least
 * one).  Returns NULL after a message if there is none or the file cannot be
 * read.  For a file that others may access logs an error and returns NULL if
 * "strict" is set, or logs a warning.
 */

ngx_array_t *ngx_mcp_secret_file_lines(ngx_conf_t *cf, ngx_str_t *name,
    ngx_uint_t strict);


#endif /* _NGX_MCP_SECRET_FILE_H_INCLUDED_ */

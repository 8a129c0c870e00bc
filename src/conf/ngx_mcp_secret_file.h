
/*
 * Files of secrets that directives name.
 */

#ifndef _NGX_MCP_SECRET_FILE_H_INCLUDED_
#define _NGX_MCP_SECRET_FILE_H_INCLUDED_


#include "ngx_mcp.h"


/*
 * Reads the file "name", which is made absolute, and returns its lines that
 * are neither empty nor begin with "#" (of ngx_str_t, at least one).  NULL
 * after a message if there is none.  A file that others may read is refused
 * if "strict" is set, else warned of.
 */

ngx_array_t *ngx_mcp_secret_file_lines(ngx_conf_t *cf, ngx_str_t *name,
    ngx_uint_t strict);


#endif /* _NGX_MCP_SECRET_FILE_H_INCLUDED_ */

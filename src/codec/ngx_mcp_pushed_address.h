
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Whom a message of Frappe is for: see ngx_mcp_pushed.h.
 */

#ifndef _NGX_MCP_PUSHED_ADDRESS_H_INCLUDED_
#define _NGX_MCP_PUSHED_ADDRESS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* an absent string has data == NULL; neither call nor user: all of the site */

typedef struct {
    ngx_str_t    site;
    ngx_str_t    call;
    ngx_str_t    user;
} ngx_mcp_pushed_address_t;


/*
 * Looks at the members before the first one that is no string, but skips
 * "params": fills "to" with raw strings.  Returns NGX_OK if it has seen whom
 * the message is for: "site" and one of "call" and "user", or "site" and the
 * end of the message; NGX_DECLINED if the message must be parsed to know it,
 * also for an escape outside "params".  What it has seen need not be valid.
 */

ngx_int_t ngx_mcp_pushed_address(ngx_str_t *bytes,
    ngx_mcp_pushed_address_t *to);


#endif /* _NGX_MCP_PUSHED_ADDRESS_H_INCLUDED_ */

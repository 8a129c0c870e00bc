
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Which notifications a request subscriptions/listen asks for (MCP 2026-07-28,
 * Subscriptions).
 */

#ifndef _NGX_MCP_LISTEN_FILTER_H_INCLUDED_
#define _NGX_MCP_LISTEN_FILTER_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


#define NGX_MCP_LISTEN_MAX_URIS   100

/* lists whose changes are asked for */

#define NGX_MCP_LISTEN_TOOLS      0x01
#define NGX_MCP_LISTEN_PROMPTS    0x02
#define NGX_MCP_LISTEN_RESOURCES  0x04


typedef struct {
    ngx_str_t      raw;            /* with its quotes */
    ngx_str_t      text;           /* decoded */
} ngx_mcp_listen_filter_uri_t;


typedef struct {
    ngx_uint_t     lists;          /* bits NGX_MCP_LISTEN_* */
    ngx_array_t    uris;           /* of ngx_mcp_listen_filter_uri_t: the first
                                      NGX_MCP_LISTEN_MAX_URIS */
} ngx_mcp_listen_filter_t;


/*
 * Reads "raw", the member "notifications" of the params; data == NULL: it is
 * absent.  Strings of *filter point into raw or are in the pool.
 *
 * Returns NGX_OK; NGX_DECLINED if it is no object, or one of its members that
 * are read is repeated or of another type; NGX_ERROR if memory is short.
 * *filter is complete with NGX_OK only.
 */

ngx_int_t ngx_mcp_listen_filter_parse(ngx_pool_t *pool, ngx_str_t *raw,
    ngx_mcp_listen_filter_t *filter);

/*
 * Return the size of what is read of a filter, as JSON; writes it at p and
 * returns its end.
 */

size_t ngx_mcp_listen_filter_size(ngx_mcp_listen_filter_t *filter);
u_char *ngx_mcp_listen_filter_write(u_char *p,
    ngx_mcp_listen_filter_t *filter);


#endif /* _NGX_MCP_LISTEN_FILTER_H_INCLUDED_ */


/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * What backends have told of themselves, for requests of the modern era: a
 * bounded LRU in the zone.  It has an entry for each site, and one for each
 * user of a site, whose text is the result of server/discover.
 */

#ifndef _NGX_MCP_DISCOVERED_H_INCLUDED_
#define _NGX_MCP_DISCOVERED_H_INCLUDED_


#include "ngx_mcp.h"


#define NGX_MCP_DISCOVERED_VERSION_LEN  10      /* YYYY-MM-DD */
#define NGX_MCP_DISCOVERED_MAX_TEXT     16384   /* bytes */


typedef struct {
    ngx_msec_t   left;         /* how long it is fresh from now on */
    ngx_str_t    version;      /* of MCP that the backend has answered to
                                  initialize, or empty */
    ngx_str_t    text;         /* may be empty */
    unsigned     modern:1;     /* the backend speaks the modern era itself */
    unsigned     fresh:1;      /* set by ngx_mcp_discovered_get() */
} ngx_mcp_discovered_t;


/*
 * Fills *d from the entry with that key, fresh or not; strings are copied to
 * pool.  Returns NGX_OK; NGX_DECLINED if there is none; NGX_ERROR if memory is
 * short.
 */

ngx_int_t ngx_mcp_discovered_get(u_char *key, ngx_pool_t *pool,
    ngx_mcp_discovered_t *d);

/*
 * Keeps *d, whose bytes are copied, in place of an older entry; a text longer
 * than NGX_MCP_DISCOVERED_MAX_TEXT is left out.  Does nothing if the zone is
 * full.
 */

void ngx_mcp_discovered_put(u_char *key, ngx_mcp_discovered_t *d);


#endif /* _NGX_MCP_DISCOVERED_H_INCLUDED_ */

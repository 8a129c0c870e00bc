
/*
 * Session ids that were ended before their time: a list in the zone.
 */

#ifndef _NGX_MCP_REVOCATION_H_INCLUDED_
#define _NGX_MCP_REVOCATION_H_INCLUDED_


#include "ngx_mcp_zone.h"


/*
 * Notes that the id with that key, which would end by itself at "end" (unix
 * seconds), is ended.  The list takes at most 1/8 of the zone: beyond, or
 * when the zone is full, the id nearest to its end is forgotten and works
 * again, which the log says.  NGX_OK; NGX_DECLINED: it was there;
 * NGX_ERROR: no room at all.
 */

ngx_int_t ngx_mcp_revocation_add(u_char *key, time_t end);

/*
 * Calls handler for each id of the list, without the mutex.
 */

void ngx_mcp_revocation_each(void (*handler)(u_char *key, time_t end));

/*
 * Whether the id with that key is on the list.
 */

ngx_uint_t ngx_mcp_revocation_check(u_char *key);

/*
 * Under the mutex: takes ids off that have ended by themselves.
 */

void ngx_mcp_revocation_expire_locked(ngx_mcp_zone_t *zone);


#endif /* _NGX_MCP_REVOCATION_H_INCLUDED_ */

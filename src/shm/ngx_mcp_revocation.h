
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Revocation list: ids of sessions that were ended before they expired, in
 * shared memory.
 */

#ifndef _NGX_MCP_REVOCATION_H_INCLUDED_
#define _NGX_MCP_REVOCATION_H_INCLUDED_


#include "ngx_mcp_zone.h"


/*
 * Adds the session id with that key (NGX_MCP_DIGEST_LEN bytes), which expires
 * at "end", in unix seconds.  The list takes at most 1/8 of the zone.  Beyond
 * that, or when the zone is full, the ids that expire first are removed and can
 * be used again; this is logged.  Returns
 *
 *     NGX_OK        added
 *     NGX_DECLINED  the id was in the list
 *     NGX_ERROR     no room at all
 */

ngx_int_t ngx_mcp_revocation_add(u_char *key, time_t end);

/*
 * Calls "handler" for each id in the list.  The mutex is not held then.
 */

void ngx_mcp_revocation_each(void (*handler)(u_char *key, time_t end));

/*
 * Returns whether the id with that key is in the list.
 */

ngx_uint_t ngx_mcp_revocation_check(u_char *key);

/*
 * Removes ids that have expired.
 */

void ngx_mcp_revocation_expire_locked(ngx_mcp_zone_t *zone);


#endif /* _NGX_MCP_REVOCATION_H_INCLUDED_ */


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
 * Handles one id of the list: the key of the session and that of its user,
 * NGX_MCP_DIGEST_LEN bytes each, and when it expires, in unix seconds.
 */

typedef void (*ngx_mcp_revocation_pt)(u_char *key, u_char *user, time_t end);

/*
 * Adds the session id with that key of the user with that key, which expires
 * at "end".  The list takes at most 1/8 of the zone.  Beyond that, or when the
 * zone is full, the oldest ids of the users who have the most are removed and
 * can be used again; this is logged.  Returns
 *
 *     NGX_OK        added
 *     NGX_DECLINED  the id was in the list
 *     NGX_ERROR     no room at all
 */

ngx_int_t ngx_mcp_revocation_add(u_char *key, u_char *user, time_t end);

/*
 * Calls "handler" for each id in the list.  The mutex is not held then.
 */

void ngx_mcp_revocation_each(ngx_mcp_revocation_pt handler);

/*
 * Returns whether the id with that key is in the list.
 */

ngx_uint_t ngx_mcp_revocation_check(u_char *key);

/*
 * Removes ids that have expired.
 */

void ngx_mcp_revocation_expire_locked(ngx_mcp_zone_t *zone);


#endif /* _NGX_MCP_REVOCATION_H_INCLUDED_ */

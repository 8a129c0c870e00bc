
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Tombstones: the records of sessions that have lost their stream.
 */

#ifndef _NGX_MCP_TOMBSTONES_H_INCLUDED_
#define _NGX_MCP_TOMBSTONES_H_INCLUDED_


#include "ngx_mcp_zone.h"


/*
 * Makes a tombstone of the record of a session whose owner leaves it, for the
 * time of "grace", in milliseconds.  Its inbox must be empty, and it must count
 * for its user.  The user keeps his "max" newest tombstones, at least one.
 */

void ngx_mcp_tombstones_add_locked(ngx_mcp_zone_t *zone,
    ngx_mcp_session_record_t *record, ngx_msec_t grace, ngx_uint_t max);

/*
 * Notes bits in the tombstone with that key and number (s->tombstone), if it is
 * still there: the session that takes it over gets them in s->changed.
 */

void ngx_mcp_tombstones_changed(u_char *key, ngx_uint_t number,
    ngx_uint_t changed);

/*
 * Frees the tombstones whose time is over.
 */

void ngx_mcp_tombstones_expire_locked(ngx_mcp_zone_t *zone);


#endif /* _NGX_MCP_TOMBSTONES_H_INCLUDED_ */

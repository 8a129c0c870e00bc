
/*
 * Where the sessions are, in Redis.
 *
 *     <prefix>s:<session>    the id of its worker, 60 seconds, touched every
 *                            20 seconds; "session" is the digest of its id
 *
 * A key of a session that has ended is left to its end: its worker knows
 * better, and is asked.
 */

#ifndef _NGX_MCP_PRESENCE_H_INCLUDED_
#define _NGX_MCP_PRESENCE_H_INCLUDED_


#include "ngx_mcp_worker_lease.h"


/*
 * In init_process.
 */

void ngx_mcp_presence_init(void);

/*
 * The session was opened here, and is not any more.
 */

void ngx_mcp_presence_enter(ngx_mcp_session_t *s);
void ngx_mcp_presence_leave(ngx_mcp_session_t *s);

/*
 * Puts all sessions into Redis again; one second has passed.
 */

void ngx_mcp_presence_all(void);
void ngx_mcp_presence_every_second(void);

/*
 * Another worker says that it has the session now: looks whether that is so.
 */

void ngx_mcp_presence_replaced(u_char *key);


#endif /* _NGX_MCP_PRESENCE_H_INCLUDED_ */

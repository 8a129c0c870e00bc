
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * The directory of sessions in Redis: which worker has a session.
 *
 *     <prefix>s:<session>    the id of the worker, expires after 60 seconds,
 *                            renewed every 20 seconds; "session" is the digest
 *                            of the session id
 *
 * The key of a session that has ended is not deleted but expires: a message
 * for that session goes to the worker, which acknowledges it as unknown.
 */

#ifndef _NGX_MCP_PRESENCE_H_INCLUDED_
#define _NGX_MCP_PRESENCE_H_INCLUDED_


#include "ngx_mcp_worker_lease.h"


/*
 * In init_process.
 */

void ngx_mcp_presence_init(void);

/*
 * Adds a session of this worker to the directory; stops renewing it.
 */

void ngx_mcp_presence_enter(ngx_mcp_session_t *s);
void ngx_mcp_presence_leave(ngx_mcp_session_t *s);

/*
 * Writes all sessions of this worker again; one second has passed.
 */

void ngx_mcp_presence_all(void);
void ngx_mcp_presence_every_second(void);

/*
 * Another worker has taken the session with that key, as it says: verifies
 * that in the directory, which may close the session.
 */

void ngx_mcp_presence_replaced(u_char *key);


#endif /* _NGX_MCP_PRESENCE_H_INCLUDED_ */

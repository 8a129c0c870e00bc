
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Wake-up between the workers of an nginx: abstract AF_UNIX datagram sockets.
 *
 * Each worker has a socket whose name contains the id of the worker.  The
 * content of a datagram has no meaning.  A datagram that is refused proves
 * that the worker is dead.
 */

#ifndef _NGX_MCP_WAKEUP_H_INCLUDED_
#define _NGX_MCP_WAKEUP_H_INCLUDED_


#include "ngx_mcp.h"


/*
 * Opens the socket of this worker.  "handler" runs from the event loop, once
 * for all datagrams that have arrived.  Returns NGX_OK, or NGX_DECLINED after
 * logging a warning: this worker has no socket and must poll its inboxes, but
 * can wake others.
 */

ngx_int_t ngx_mcp_wakeup_open(ngx_cycle_t *cycle, u_char *id,
    void (*handler)(void));

/*
 * Closes the sockets that are open.  From then on other workers take this
 * worker for dead.
 */

void ngx_mcp_wakeup_close(void);

/*
 * Wakes the worker with that id.  Returns NGX_OK if the worker is alive, also
 * if the queue of its socket is full, since another datagram is on its way
 * then; NGX_DECLINED if the worker is dead; NGX_ERROR if that is unknown, for
 * instance because there is no descriptor for a socket: then the worker looks
 * into its inboxes with its next sweep, within a second.
 */

ngx_int_t ngx_mcp_wakeup_send(u_char *id, ngx_log_t *log);


#endif /* _NGX_MCP_WAKEUP_H_INCLUDED_ */


/*
 * Wake-up between the workers of one nginx: an abstract AF_UNIX datagram
 * socket per worker, named by the worker's id.  A datagram carries nothing;
 * one that is refused means that its owner is dead.
 */

#ifndef _NGX_MCP_WAKEUP_H_INCLUDED_
#define _NGX_MCP_WAKEUP_H_INCLUDED_


#include "ngx_mcp.h"


/*
 * Opens the socket of this worker; "handler" runs for every batch of
 * datagrams.  NGX_OK, or NGX_DECLINED, with one warning in the log, where
 * abstract sockets are refused: then others cannot wake this worker and it
 * must look into its inboxes by itself.
 */

ngx_int_t ngx_mcp_wakeup_open(ngx_cycle_t *cycle, u_char *id,
    void (*handler)(void));

/*
 * Closes it, if it is open: from now on nobody can wake this worker.
 */

void ngx_mcp_wakeup_close(void);

/*
 * NGX_OK: woken, or its socket is full, which is the same; NGX_DECLINED: no
 * such worker lives; NGX_ERROR: cannot tell.
 */

ngx_int_t ngx_mcp_wakeup_send(u_char *id, ngx_log_t *log);


#endif /* _NGX_MCP_WAKEUP_H_INCLUDED_ */

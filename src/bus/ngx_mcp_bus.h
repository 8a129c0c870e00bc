
/*
 * Brings a message to the worker that owns its session: own worker's table,
 * else the zone, else Redis.
 */

#ifndef _NGX_MCP_BUS_H_INCLUDED_
#define _NGX_MCP_BUS_H_INCLUDED_


#include "ngx_mcp_remote_send.h"
#include "ngx_mcp_announce.h"
#include "ngx_mcp_registry.h"
#include "ngx_mcp_revocation.h"
#include "ngx_mcp_sessions.h"
#include "ngx_mcp_workers.h"


/*
 * In init_process and exit_process.  "handlers" must live as long as the
 * process.
 */

ngx_int_t ngx_mcp_bus_init(ngx_cycle_t *cycle,
    ngx_mcp_session_handlers_t *handlers);
void ngx_mcp_bus_exit(void);

/*
 * Makes the session known: from now on handlers->receive() may be called for
 * it.  Another session of the same id is replaced; if this worker owns it,
 * handlers->close() has run for it when the function returns.  NGX_OK;
 * NGX_BUSY: the user has too many; NGX_DECLINED: zone full.
 */

ngx_int_t ngx_mcp_bus_register(ngx_mcp_session_t *s, u_char *user,
    ngx_uint_t max);

/*
 * The session is closed: see ngx_mcp_registry_leave().
 */

void ngx_mcp_bus_unregister(ngx_mcp_session_t *s, ngx_msec_t grace);

/*
 * Delivers an envelope and takes over the caller's reference if NGX_OK is
 * returned, see ngx_mcp_inbox_deliver().  Never runs a message before
 * it has returned.
 */

ngx_int_t ngx_mcp_bus_deliver(u_char *key, ngx_mcp_envelope_t *env,
    ngx_log_t *log);

/*
 * The same for an envelope that another instance has sent: it is counted
 * there.
 */

ngx_int_t ngx_mcp_bus_forward(u_char *key, ngx_mcp_envelope_t *env,
    ngx_log_t *log);

/*
 * Puts everything that Redis has to know of this worker there, for the first
 * time or after Redis has lost its data.
 */

void ngx_mcp_bus_restore(void);

/*
 * Delivers it to another instance, when this one does not have the session:
 * see ngx_mcp_remote_send_start(); NGX_DECLINED, if there is no Redis.
 */

ngx_int_t ngx_mcp_bus_deliver_far(ngx_mcp_remote_send_t *d);

/*
 * Whether a session that nobody knows may be alive nevertheless: Redis is
 * lost, or was a moment ago, or the zone is being repaired.
 */

ngx_uint_t ngx_mcp_bus_maybe_lost(void);

/*
 * Tells every worker of every instance, see ngx_mcp_announce():
 * this one from an event of its own.
 */

void ngx_mcp_bus_announce(ngx_uint_t kind, u_char *key, u_char *data,
    size_t len);

/*
 * Ends a session id before its time, everywhere: see
 * ngx_mcp_revocation_add() for what it takes and returns.
 */

ngx_int_t ngx_mcp_bus_revoke(u_char *key, time_t end);


#endif /* _NGX_MCP_BUS_H_INCLUDED_ */

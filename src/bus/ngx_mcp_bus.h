
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Delivers messages to the worker that owns their session, and announcements
 * to all workers.
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
 * process.  Returns NGX_OK or NGX_ERROR.
 */

ngx_int_t ngx_mcp_bus_init(ngx_cycle_t *cycle,
    ngx_mcp_session_handlers_t *handlers);
void ngx_mcp_bus_exit(void);

/*
 * Registers a session of "user" (a digest), which may have at most "max".
 * From now on handlers->receive() may be called for it.  A legacy session with
 * the same id is replaced; if this worker owns it, handlers->close() has run
 * for it when the function returns.  Returns NGX_OK; NGX_BUSY: the user has too
 * many; NGX_DECLINED: the zone is full.
 */

ngx_int_t ngx_mcp_bus_register(ngx_mcp_session_t *s, u_char *user,
    ngx_uint_t max);

/*
 * Unregisters a session that is closed, see ngx_mcp_unregister().
 */

void ngx_mcp_bus_unregister(ngx_mcp_session_t *s, ngx_msec_t grace,
    ngx_str_t *ids, ngx_uint_t n);

/*
 * Delivers an envelope to a session of this instance.  "forwarded" is set if
 * another instance has received the message and counts it.  If ACCEPTED is
 * returned, the caller's reference to the envelope is taken over.  Otherwise
 * returns NO_SESSION, STREAM_LOST, INBOX_FULL or ZONE_FULL.  The messages are
 * executed after the function has returned.
 */

ngx_mcp_delivery_e ngx_mcp_bus_deliver(u_char *key, ngx_mcp_envelope_t *env,
    ngx_uint_t forwarded, ngx_log_t *log);

/*
 * Whether a session that is not found may be alive: Redis is lost or has been
 * a moment ago, or the zone is being recovered.
 */

ngx_uint_t ngx_mcp_bus_maybe_lost(void);

/*
 * Writes all that other instances look up in Redis: the sessions of this
 * worker and the ended ids.  Called when Redis has come up or has lost its
 * data.
 */

void ngx_mcp_bus_restore(void);

/*
 * Tells all workers of all instances, see ngx_mcp_announce(); this worker is
 * told from an event.
 */

void ngx_mcp_bus_announce(ngx_uint_t kind, u_char *key, u_char *data,
    size_t len);

/*
 * Ends a session id in all instances.  See ngx_mcp_revocation_add() for the
 * parameters and the result.
 */

ngx_int_t ngx_mcp_bus_revoke(u_char *key, u_char *user, time_t end);


#endif /* _NGX_MCP_BUS_H_INCLUDED_ */

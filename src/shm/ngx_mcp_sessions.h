
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * The registered sessions of this worker, by the digest of their ids.
 */

#ifndef _NGX_MCP_SESSIONS_H_INCLUDED_
#define _NGX_MCP_SESSIONS_H_INCLUDED_


#include "ngx_mcp.h"


/*
 * What the session room does for the rooms below, which must not include it.
 */

typedef struct {

    /*
     * A message has come for an open session.  Takes over one reference to
     * the envelope.  The message is dispatched from an event of its own.
     */

    void      (*receive)(ngx_mcp_session_t *s, ngx_mcp_envelope_t *env);

    /*
     * The session must end; "reason" is of ngx_mcp_close_reason_e.  It is
     * unregistered when the function returns.
     */

    void      (*close)(ngx_mcp_session_t *s, ngx_uint_t reason);

} ngx_mcp_session_handlers_t;


/*
 * In init_process.  "handlers" must live as long as the process.
 */

void ngx_mcp_sessions_init(ngx_mcp_session_handlers_t *handlers);

/*
 * Links the session, whose id is not in the table; unlinks it, if it is
 * linked.  The table does not own sessions.
 */

void ngx_mcp_sessions_add(ngx_mcp_session_t *s);
void ngx_mcp_sessions_remove(ngx_mcp_session_t *s);

/*
 * The session with that key (NGX_MCP_DIGEST_LEN bytes), or NULL.
 */

ngx_mcp_session_t *ngx_mcp_sessions_find(u_char *key);

/*
 * Calls handler for each session; it may remove that one.
 */

void ngx_mcp_sessions_each(void (*handler)(ngx_mcp_session_t *s));

/*
 * Call the handlers.
 */

void ngx_mcp_sessions_receive(ngx_mcp_session_t *s, ngx_mcp_envelope_t *env);
void ngx_mcp_sessions_close(ngx_mcp_session_t *s, ngx_uint_t reason);


#endif /* _NGX_MCP_SESSIONS_H_INCLUDED_ */


/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * The registered sessions of this worker, by the digest of their ids.
 */

#ifndef _NGX_MCP_SESSIONS_H_INCLUDED_
#define _NGX_MCP_SESSIONS_H_INCLUDED_


#include "ngx_mcp.h"


/*
 * Handlers of the session room for the rooms below it, which must not include
 * its headers.
 */

typedef struct {

    /*
     * Receives a message for an open session.  Takes over one reference to
     * the envelope.  The message is dispatched from an event of its own.
     */

    void      (*receive)(ngx_mcp_session_t *s, ngx_mcp_envelope_t *env);

    /*
     * Closes the session; "reason" is of ngx_mcp_close_reason_e.  The
     * session is unregistered when the function returns.
     */

    void      (*close)(ngx_mcp_session_t *s, ngx_uint_t reason);

} ngx_mcp_session_handlers_t;


/*
 * Initializes the table and sets the handlers, in init_process.  "handlers"
 * must live as long as the process.
 */

void ngx_mcp_sessions_init(ngx_mcp_session_handlers_t *handlers);

/*
 * Link a session; unlink it, if it is linked.  An id is in the table once, or
 * once for each stream of a session of Streamable HTTP.  The table does not own
 * sessions.
 */

void ngx_mcp_sessions_add(ngx_mcp_session_t *s);
void ngx_mcp_sessions_remove(ngx_mcp_session_t *s);

/*
 * Return the session with that key (NGX_MCP_DIGEST_LEN bytes), of several the
 * one that was linked first; the next one with the key of a linked session;
 * the one with that key and that record; or NULL.
 */

ngx_mcp_session_t *ngx_mcp_sessions_find(u_char *key);
ngx_mcp_session_t *ngx_mcp_sessions_next(ngx_mcp_session_t *s);
ngx_mcp_session_t *ngx_mcp_sessions_find_record(u_char *key, void *record);

/*
 * Calls "handler" for each session.  It may remove the session that it gets.
 */

void ngx_mcp_sessions_each(void (*handler)(ngx_mcp_session_t *s));

/*
 * Call the handlers of the session room.
 */

void ngx_mcp_sessions_receive(ngx_mcp_session_t *s, ngx_mcp_envelope_t *env);
void ngx_mcp_sessions_close(ngx_mcp_session_t *s, ngx_uint_t reason);


#endif /* _NGX_MCP_SESSIONS_H_INCLUDED_ */


/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Credentials of sessions: the recheck, newer ones that messages bring, those
 * that Frappe refuses to a call.
 */

#ifndef _NGX_MCP_SESSION_CREDENTIAL_H_INCLUDED_
#define _NGX_MCP_SESSION_CREDENTIAL_H_INCLUDED_


#include "ngx_mcp_task.h"


/*
 * Functions of the auth room.  "cred" has no digest, and is valid until they
 * return.
 */

typedef struct {

    /*
     * Looks up the credential of a session again.  When the look-up has ended,
     * ngx_mcp_session_credential_rechecked() is called, never before this has
     * returned.  The session may be freed in between: its key is passed.
     */

    void   (*recheck)(ngx_mcp_session_t *s);

    /* a message for the session has come with another credential */

    void   (*renewed)(ngx_mcp_session_t *s, ngx_mcp_credential_t *cred);

    /*
     * Frappe has answered a call of the session with 401, which had begun at
     * "started" (ngx_current_msec); another instance has announced that for
     * the credential with this digest
     */

    void   (*refused)(ngx_mcp_session_t *s, ngx_mcp_credential_t *cred,
                 ngx_msec_t started);
    void   (*announced)(u_char *digest);

} ngx_mcp_session_credential_handlers_t;


/*
 * In init_process.  "handlers" must live as long as the process.
 */

void ngx_mcp_session_credential_init(
    ngx_mcp_session_credential_handlers_t *handlers);

/*
 * Takes over the newest credential of the session, and looks it up.
 */

void ngx_mcp_session_credential_recheck(ngx_mcp_session_t *s);

/*
 * The look-up has ended: closes the sessions with that key whose credential,
 * whose digest is passed, is refused or belongs to another user.  "status" is
 * 0 if the credential is good; 401 or 403: refused; 5xx: Frappe is
 * unreachable, the sessions stay.
 */

void ngx_mcp_session_credential_rechecked(u_char *key, u_char *credential,
    ngx_uint_t status, ngx_str_t *principal);

/*
 * A session has received an envelope, whose credential was found good for its
 * user where it came in.
 */

void ngx_mcp_session_credential_received(ngx_mcp_session_t *s,
    ngx_mcp_envelope_t *env);

/*
 * The call of a task has ended with 401; see NGX_MCP_ANNOUNCE_REFUSED.
 */

void ngx_mcp_session_credential_refused(ngx_mcp_task_t *task);
void ngx_mcp_session_credential_announced(u_char *digest);


#endif /* _NGX_MCP_SESSION_CREDENTIAL_H_INCLUDED_ */

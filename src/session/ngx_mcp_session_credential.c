
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Credentials of sessions: the recheck, newer ones that messages bring, those
 * that Frappe refuses to a call.
 *
 * A newer credential is kept in the record of the session in the zone, since
 * any worker may get it (ngx_mcp_registry_renew()).  The owner copies it before
 * it looks the credential of the session up again.  The session owns the copy
 * (s->renewed) and frees it.
 */

#include "ngx_mcp_session_credential.h"
#include "ngx_mcp_bus.h"
#include "ngx_mcp_json_text.h"
#include "ngx_mcp_session.h"


static ngx_uint_t ngx_mcp_session_credential_take(ngx_mcp_session_t *s);
static void ngx_mcp_session_credential_verdict(ngx_mcp_session_t *s,
    ngx_uint_t status, ngx_str_t *principal);
static ngx_int_t ngx_mcp_session_credential_of(ngx_mcp_envelope_t *env,
    ngx_mcp_credential_t *cred);


static ngx_mcp_session_credential_handlers_t
                                      *ngx_mcp_session_credential_handlers;


void
ngx_mcp_session_credential_init(
    ngx_mcp_session_credential_handlers_t *handlers)
{
    ngx_mcp_session_credential_handlers = handlers;
}


void
ngx_mcp_session_credential_recheck(ngx_mcp_session_t *s)
{
    (void) ngx_mcp_session_credential_take(s);

    ngx_mcp_session_credential_handlers->recheck(s);
}


/*
 * Takes over the newest credential that messages have brought.  Returns whether
 * there is one.
 */

static ngx_uint_t
ngx_mcp_session_credential_take(ngx_mcp_session_t *s)
{
    ngx_mcp_credential_t  cred;

    if (ngx_mcp_registry_renewed(s, &cred) != NGX_OK) {
        return 0;
    }

    if (s->renewed) {
        ngx_free(s->renewed);
    }

    s->credential = cred;
    s->renewed = cred.value.data;

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, ngx_cycle->log, 0,
                   "mcp session %*s takes a newer credential over",
                   (size_t) NGX_MCP_HASH_LEN, s->sid.hash);

    return 1;
}


void
ngx_mcp_session_credential_rechecked(u_char *key, u_char *credential,
    ngx_uint_t status, ngx_str_t *principal)
{
    ngx_mcp_session_t  *s, *next;

    for (s = ngx_mcp_sessions_find(key); s; s = next) {
        next = ngx_mcp_sessions_next(s);

        /* the session may have been replaced by one with another credential */

        if (ngx_memcmp(s->credential.digest, credential, NGX_MCP_DIGEST_LEN)
            == 0)
        {
            ngx_mcp_session_credential_verdict(s, status, principal);
        }
    }
}


static void
ngx_mcp_session_credential_verdict(ngx_mcp_session_t *s, ngx_uint_t status,
    ngx_str_t *principal)
{
    ngx_log_debug3(NGX_LOG_DEBUG_HTTP, ngx_cycle->log, 0,
                   "mcp session %*s credential rechecked: %ui",
                   (size_t) NGX_MCP_HASH_LEN, s->sid.hash, status);

    if (status >= NGX_HTTP_INTERNAL_SERVER_ERROR) {
        return;
    }

    /* a credential of another user is refused, too */

    if (status == 0
        && principal->len == s->user.len
        && ngx_strncmp(principal->data, s->user.data, s->user.len) == 0)
    {
        return;
    }

    /* a message may have brought another one while this one was looked up */

    if (ngx_mcp_session_credential_take(s)) {
        ngx_mcp_session_credential_handlers->recheck(s);
        return;
    }

    ngx_mcp_session_close(s, NGX_MCP_CLOSE_UNAUTHORIZED);
}


void
ngx_mcp_session_credential_received(ngx_mcp_session_t *s,
    ngx_mcp_envelope_t *env)
{
    ngx_mcp_credential_t  cred;

    if (ngx_mcp_session_credential_of(env, &cred) != NGX_OK
        || (cred.cookie == s->credential.cookie
            && cred.value.len == s->credential.value.len
            && ngx_memcmp(cred.value.data, s->credential.value.data,
                          cred.value.len)
               == 0))
    {
        return;
    }

    ngx_mcp_session_credential_handlers->renewed(s, &cred);
}


void
ngx_mcp_session_credential_refused(ngx_mcp_task_t *task)
{
    ngx_mcp_credential_t  cred;

    /* it need not be that of the session */

    if (ngx_mcp_session_credential_of(task->envelope, &cred) == NGX_OK) {
        ngx_mcp_session_credential_handlers->refused(task->session, &cred,
                                                     task->call->started);
    }
}


void
ngx_mcp_session_credential_announced(u_char *digest)
{
    ngx_mcp_session_credential_handlers->announced(digest);
}


/*
 * Finds the credential of an envelope.  Returns NGX_OK, or NGX_DECLINED if it
 * has none.
 */

static ngx_int_t
ngx_mcp_session_credential_of(ngx_mcp_envelope_t *env,
    ngx_mcp_credential_t *cred)
{
    u_char     *pos;
    ngx_str_t   name, value;

    pos = NULL;

    while (ngx_mcp_envelope_header(env, &pos, &name, &value) == NGX_OK) {

        ngx_memzero(cred, sizeof(ngx_mcp_credential_t));

        cred->value = value;
        cred->cookie = ngx_mcp_str_is(&name, "cookie");

        if (cred->cookie || ngx_mcp_str_is(&name, "authorization")) {
            return NGX_OK;
        }
    }

    return NGX_DECLINED;
}

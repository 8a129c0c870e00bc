
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * What sessions need of the auth room: the recheck of the credential of an open
 * stream, digests of newer ones, the end of cached results that Frappe refutes.
 *
 * A recheck is owned by its look-up, and knows the session by its key.
 */

#include "ngx_mcp_auth_session.h"
#include "ngx_mcp_auth_cache.h"
#include "ngx_mcp_auth_lookup.h"
#include "ngx_mcp_credential.h"
#include "ngx_mcp_registry.h"
#include "ngx_mcp_remote_announce.h"
#include "ngx_mcp_session_credential.h"
#include "ngx_mcp_zone.h"


/* a look-up for an open stream; freed when it is answered */

typedef struct {
    ngx_mcp_auth_waiter_t       waiter;
    u_char                      key[NGX_MCP_DIGEST_LEN];    /* of session */
    u_char                      credential[NGX_MCP_DIGEST_LEN];
} ngx_mcp_auth_session_recheck_t;


static void ngx_mcp_auth_session_recheck(ngx_mcp_session_t *s);
static void ngx_mcp_auth_session_rechecked(void *data,
    ngx_mcp_auth_result_t *result);
static void ngx_mcp_auth_session_refused(ngx_mcp_session_t *s,
    ngx_mcp_credential_t *cred, ngx_msec_t started);
static void ngx_mcp_auth_session_announced(u_char *digest);
static void ngx_mcp_auth_session_renewed(ngx_mcp_session_t *s,
    ngx_mcp_credential_t *cred);
static ngx_int_t ngx_mcp_auth_session_digest(ngx_mcp_session_t *s,
    ngx_mcp_credential_t *cred);


static ngx_mcp_session_credential_handlers_t  ngx_mcp_auth_session_handlers = {
    ngx_mcp_auth_session_recheck,
    ngx_mcp_auth_session_renewed,
    ngx_mcp_auth_session_refused,
    ngx_mcp_auth_session_announced
};


void
ngx_mcp_auth_session_init(void)
{
    ngx_mcp_session_credential_init(&ngx_mcp_auth_session_handlers);
}


/*
 * Looks up the credential of an open session again.  No result comes if memory
 * is short or too many look-ups wait.
 */

static void
ngx_mcp_auth_session_recheck(ngx_mcp_session_t *s)
{
    ngx_mcp_auth_lookup_args_t       args;
    ngx_mcp_auth_session_recheck_t  *recheck;

    if (s->conf->principal) {
        return;
    }

    recheck = ngx_calloc(sizeof(ngx_mcp_auth_session_recheck_t),
                         ngx_cycle->log);
    if (recheck == NULL) {
        return;
    }

    ngx_memcpy(recheck->key, s->sid.key, NGX_MCP_DIGEST_LEN);
    ngx_memcpy(recheck->credential, s->credential.digest, NGX_MCP_DIGEST_LEN);

    recheck->waiter.handler = ngx_mcp_auth_session_rechecked;
    recheck->waiter.data = recheck;

    args.cscf = s->cscf;
    args.conf = s->conf;
    args.credential = &s->credential;
    args.site = s->site;
    ngx_str_null(&args.address);
    args.sockaddr = NULL;

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, ngx_cycle->log, 0,
                   "mcp auth: recheck session %*s",
                   (size_t) NGX_MCP_HASH_LEN, s->sid.hash);

    if (ngx_mcp_auth_lookup(&args, &recheck->waiter) != NGX_OK) {
        ngx_free(recheck);
    }
}


static void
ngx_mcp_auth_session_rechecked(void *data, ngx_mcp_auth_result_t *result)
{
    ngx_mcp_auth_session_recheck_t  *recheck = data;

    ngx_mcp_session_credential_rechecked(recheck->key, recheck->credential,
                                         result->status, &result->principal);
    ngx_free(recheck);
}


/*
 * The cached result is not used any more, unless it is younger than the call,
 * or was confirmed by a look-up after an earlier 401.
 */

static void
ngx_mcp_auth_session_refused(ngx_mcp_session_t *s, ngx_mcp_credential_t *cred,
    ngx_msec_t started)
{
    if (ngx_mcp_auth_session_digest(s, cred) != NGX_OK) {
        return;
    }

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, ngx_cycle->log, 0,
                   "mcp auth: a call of session %*s was answered 401",
                   (size_t) NGX_MCP_HASH_LEN, s->sid.hash);

    if (ngx_mcp_auth_cache_doubt(cred->digest, started)) {
        ngx_mcp_remote_announce(NGX_MCP_ANNOUNCE_REFUSED, cred->digest, 0,
                                NULL, 0);
    }
}


static void
ngx_mcp_auth_session_announced(u_char *digest)
{
    (void) ngx_mcp_auth_cache_doubt(digest, ngx_current_msec);
}


static void
ngx_mcp_auth_session_renewed(ngx_mcp_session_t *s, ngx_mcp_credential_t *cred)
{
    if (ngx_mcp_auth_session_digest(s, cred) == NGX_OK) {
        ngx_mcp_registry_renew(s->sid.key, cred);
    }
}


/*
 * Sets the digest of a credential of the session's user.  Returns NGX_OK;
 * NGX_DECLINED if credentials are not looked up here; or NGX_ERROR.
 */

static ngx_int_t
ngx_mcp_auth_session_digest(ngx_mcp_session_t *s, ngx_mcp_credential_t *cred)
{
    if (s->conf->principal) {
        return NGX_DECLINED;
    }

    return ngx_mcp_credential_digest(cred, ngx_mcp_zone()->secrets->elts,
                                     &s->site, s->conf);
}

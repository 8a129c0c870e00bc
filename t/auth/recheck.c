
/*
 * The look-up of the credential of an open session, for t/auth/recheck.t
 * (MCPTest::Unit).
 *
 *     recheck ok|busy [principal]    what ngx_mcp_auth_lookup() is given;
 *                                    whether it takes the waiter
 *     answer STATUS PRINCIPAL        the look-up ends
 *     memory                         bytes that are allocated
 *
 * The stack below each recheck is overwritten: what an argument has from there
 * is no address.
 */

#include <malloc.h>
#include "ngx_mcp_auth_cache.h"
#include "ngx_mcp_auth_lookup.h"
#include "ngx_mcp_auth_session.h"
#include "ngx_mcp_credential.h"
#include "ngx_mcp_registry.h"
#include "ngx_mcp_remote_announce.h"
#include "ngx_mcp_session_credential.h"
#include "ngx_mcp_zone.h"


static ngx_mcp_session_credential_handlers_t  *handlers;
static ngx_mcp_auth_waiter_t                  *waiter;
static ngx_mcp_session_t                       session;
static ngx_mcp_loc_conf_t                      conf;
static ngx_http_core_srv_conf_t                cscf;
static ngx_uint_t                              busy;


void
ngx_mcp_session_credential_init(ngx_mcp_session_credential_handlers_t *h)
{
    handlers = h;
}


ngx_int_t
ngx_mcp_auth_lookup(ngx_mcp_auth_lookup_args_t *args, ngx_mcp_auth_waiter_t *w)
{
    printf("looked-up %.*s %.*s %s %s", (int) args->site.len, args->site.data,
           (int) args->credential->value.len, args->credential->value.data,
           args->cscf == &cscf && args->conf == &conf ? "conf" : "other",
           args->sockaddr == NULL && args->address.len == 0
               ? "no-address" : "address");

    if (busy) {
        return NGX_BUSY;
    }

    waiter = w;

    return NGX_OK;
}


void
ngx_mcp_session_credential_rechecked(u_char *key, u_char *credential,
    ngx_uint_t status, ngx_str_t *principal)
{
    printf("rechecked %c%c %c%c %d %.*s", key[0], key[NGX_MCP_DIGEST_LEN - 1],
           credential[0], credential[NGX_MCP_DIGEST_LEN - 1], (int) status,
           (int) principal->len, principal->data);
}


/* not called here */

ngx_uint_t
ngx_mcp_auth_cache_doubt(u_char *digest, ngx_msec_t started)
{
    abort();
}


void
ngx_mcp_remote_announce(ngx_uint_t kind, u_char *key, time_t end, u_char *data,
    size_t len)
{
    abort();
}


void
ngx_mcp_registry_renew(u_char *key, ngx_mcp_credential_t *cred)
{
    abort();
}


ngx_int_t
ngx_mcp_credential_digest(ngx_mcp_credential_t *cred, ngx_str_t *secret,
    ngx_str_t *site, ngx_mcp_loc_conf_t *c)
{
    abort();
}


ngx_mcp_zone_t *
ngx_mcp_zone(void)
{
    abort();
}


static void __attribute__((noinline))
overwrite_stack(void)
{
    size_t           i;
    volatile u_char  bytes[8192];

    for (i = 0; i < sizeof(bytes); i++) {
        bytes[i] = 0xa5;
    }
}


static void
recheck(const char *outcome, const char *principal)
{
    static ngx_http_complex_value_t  cv;

    busy = strcmp(outcome, "busy") == 0;
    conf.principal = strcmp(principal, "principal") == 0 ? &cv : NULL;

    session.cscf = &cscf;
    session.conf = &conf;
    ngx_str_set(&session.site, "site");
    ngx_str_set(&session.credential.value, "token");

    ngx_memset(session.sid.key, 'k', NGX_MCP_DIGEST_LEN);
    ngx_memset(session.sid.hash, 'h', NGX_MCP_HASH_LEN);
    ngx_memset(session.credential.digest, 'c', NGX_MCP_DIGEST_LEN);

    overwrite_stack();
    handlers->recheck(&session);
}


/* the session has been freed in between */

static void
answer(ngx_uint_t status, char *principal)
{
    ngx_mcp_auth_result_t  result;

    ngx_memset(&session, 'x', sizeof(session));

    ngx_memzero(&result, sizeof(ngx_mcp_auth_result_t));
    result.status = status;
    result.principal.data = (u_char *) principal;
    result.principal.len = strlen(principal);

    waiter->handler(waiter->data, &result);
    waiter = NULL;
}


__attribute__((constructor)) static void
commands(void)
{
    char                line[256], word[3][64];
    static ngx_log_t    quiet;
    static ngx_cycle_t  cycle;

    /* nginx has none yet */

    cycle.log = &quiet;
    ngx_cycle = &cycle;

    ngx_mcp_auth_session_init();

    while (fgets(line, sizeof(line), stdin)) {
        word[1][0] = '\0';
        word[2][0] = '\0';
        (void) sscanf(line, "%63s %63s %63s", word[0], word[1], word[2]);

        if (strcmp(word[0], "recheck") == 0) {
            recheck(word[1], word[2]);

        } else if (strcmp(word[0], "answer") == 0) {
            answer(atoi(word[1]), word[2]);

        } else if (strcmp(word[0], "memory") == 0) {
            printf("%zu", mallinfo2().uordblks);
        }

        printf("\n");
        fflush(stdout);
    }

    exit(0);
}

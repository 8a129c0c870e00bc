
/*
 * Asking Frappe whose a credential is: one look-up per credential and worker
 * in flight, whoever waits for it.
 */

#ifndef _NGX_MCP_AUTH_LOOKUP_H_INCLUDED_
#define _NGX_MCP_AUTH_LOOKUP_H_INCLUDED_


#include "ngx_mcp.h"


/* what a look-up needs; strings are copied */

typedef struct {
    ngx_http_core_srv_conf_t       *cscf;
    ngx_mcp_loc_conf_t             *conf;
    ngx_mcp_credential_t           *credential;
    ngx_str_t                       site;
    ngx_str_t                       address;
} ngx_mcp_auth_question_t;


/*
 * Joins, or starts, the look-up of a credential.  waiter->handler() runs
 * once, when there is a verdict, never before this has returned.  NGX_OK;
 * NGX_BUSY: too many wait already, or the worker stops; NGX_ERROR: memory is
 * short.
 */

ngx_int_t ngx_mcp_auth_lookup(ngx_mcp_auth_question_t *question,
    ngx_mcp_auth_waiter_t *waiter);

/*
 * The waiter does not wait any more; the look-up goes on for the cache.
 */

void ngx_mcp_auth_lookup_leave(ngx_mcp_auth_waiter_t *waiter);

/*
 * The worker stops: look-ups in flight are cut, no more begin.
 */

void ngx_mcp_auth_lookup_stop(void);


#endif /* _NGX_MCP_AUTH_LOOKUP_H_INCLUDED_ */

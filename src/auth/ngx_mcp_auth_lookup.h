
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * User look-up at Frappe: one runs for a credential and worker, for all that
 * wait for it.
 */

#ifndef _NGX_MCP_AUTH_LOOKUP_H_INCLUDED_
#define _NGX_MCP_AUTH_LOOKUP_H_INCLUDED_


#include "ngx_mcp.h"


/* the arguments of a look-up; strings are copied */

typedef struct {
    ngx_http_core_srv_conf_t       *cscf;
    ngx_mcp_loc_conf_t             *conf;
    ngx_mcp_credential_t           *credential;
    ngx_str_t                       site;
    ngx_str_t                       address;    /* of the client */
    struct sockaddr                *sockaddr;   /* the same, or NULL */
} ngx_mcp_auth_lookup_args_t;


/*
 * Joins or starts the look-up of a credential.  The caller owns the waiter,
 * and sets handler and data.  waiter->handler() runs once with the result,
 * never before this returns, and not after ngx_mcp_auth_lookup_leave().  The
 * result is valid while the handler runs.
 *
 * Returns NGX_OK; NGX_BUSY if too many look-ups wait or the worker stops;
 * NGX_ERROR if memory is short.
 */

ngx_int_t ngx_mcp_auth_lookup(ngx_mcp_auth_lookup_args_t *args,
    ngx_mcp_auth_waiter_t *waiter);

/*
 * Removes a waiter; does nothing if it does not wait.  A running look-up
 * completes for the cache.
 */

void ngx_mcp_auth_lookup_leave(ngx_mcp_auth_waiter_t *waiter);

/*
 * The worker stops: cancels running look-ups; no others start.
 */

void ngx_mcp_auth_lookup_stop(void);


#endif /* _NGX_MCP_AUTH_LOOKUP_H_INCLUDED_ */

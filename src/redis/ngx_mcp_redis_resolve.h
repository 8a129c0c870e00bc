
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * The address of a server: known, or by nginx's resolver.
 */

#ifndef _NGX_MCP_REDIS_RESOLVE_H_INCLUDED_
#define _NGX_MCP_REDIS_RESOLVE_H_INCLUDED_


#include "ngx_mcp_redis_io.h"


typedef struct ngx_mcp_redis_resolve_s  ngx_mcp_redis_resolve_t;


struct ngx_mcp_redis_resolve_s {

    /* set by the user, who zeroes the rest */

    ngx_mcp_redis_conf_t        *conf;       /* its resolver */

    /* NGX_OK: "address" is set; NGX_ERROR: "reason" is */

    void                       (*handler)(ngx_mcp_redis_resolve_t *resolve,
                                     ngx_int_t rc);

    void                        *data;       /* of the user */

    /* set before the handler runs */

    ngx_mcp_redis_address_t      address;
    u_char                       reason[NGX_MCP_REDIS_MAX_REASON_LEN];

    /* private */

    ngx_resolver_ctx_t          *ctx;
    ngx_event_t                  posted;     /* runs the handler */
    ngx_uint_t                   choice;
    ngx_int_t                    rc;
};


/*
 * Finds the address of a server of the configuration, or of a host and port
 * that a server has told: a name, or an address without brackets.  Of several
 * addresses "choice" takes one, modulo their number.  The handler runs once, in
 * a later step of the event loop.  A resolve that runs is cancelled before.
 */

void ngx_mcp_redis_resolve_server(ngx_mcp_redis_resolve_t *resolve,
    ngx_mcp_redis_server_t *server, ngx_uint_t choice);
void ngx_mcp_redis_resolve_host(ngx_mcp_redis_resolve_t *resolve,
    ngx_str_t *host, in_port_t port, ngx_uint_t choice);

/*
 * The handler does not run any more.
 */

void ngx_mcp_redis_resolve_cancel(ngx_mcp_redis_resolve_t *resolve);


#endif /* _NGX_MCP_REDIS_RESOLVE_H_INCLUDED_ */

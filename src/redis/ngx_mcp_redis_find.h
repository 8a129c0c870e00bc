
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Where the master is: the server of the configuration, or one that sentinels
 * or nodes of a cluster tell.
 */

#ifndef _NGX_MCP_REDIS_FIND_H_INCLUDED_
#define _NGX_MCP_REDIS_FIND_H_INCLUDED_


#include "ngx_mcp_redis_cluster.h"
#include "ngx_mcp_redis_resolve.h"
#include "ngx_mcp_redis_sentinel.h"


typedef struct ngx_mcp_redis_find_s  ngx_mcp_redis_find_t;


struct ngx_mcp_redis_find_s {

    /* set by the user, who zeroes the rest */

    ngx_mcp_redis_conf_t        *conf;

    /* NGX_OK: "address" is set; NGX_ERROR: "reason" is */

    void                       (*handler)(ngx_mcp_redis_find_t *find,
                                     ngx_int_t rc);

    /* later: there is another master; the user finds it and goes there */

    void                       (*moved)(ngx_mcp_redis_find_t *find);

    void                        *data;       /* of the user */

    ngx_uint_t                   attempt;    /* since all was well: which of
                                                several addresses */

    /* set before the handler runs */

    ngx_mcp_redis_address_t      address;
    u_char                       reason[NGX_MCP_REDIS_MAX_REASON_LEN];

    /* private */

    ngx_mcp_redis_resolve_t      resolve;
    u_char                       told[256];  /* the host of the next answer,
                                                with a NUL; empty: none */
    in_port_t                    told_port;
    unsigned                     busy:1;     /* the handler is to run */
    ngx_mcp_redis_cluster_t      cluster;
    ngx_mcp_redis_sentinel_t     sentinel;
};


/*
 * Begins to find the master.  The handler runs once, never before this
 * returns.
 */

void ngx_mcp_redis_find(ngx_mcp_redis_find_t *find);

/*
 * A server has told where the master is: the next ngx_mcp_redis_find() answers
 * with this host, a name or an address without brackets, and asks nobody.  The
 * host is copied; it is ignored if it is empty or longer than 255 bytes, or if
 * the configuration names one server only.
 */

void ngx_mcp_redis_find_at(ngx_mcp_redis_find_t *find, ngx_str_t *host,
    in_port_t port);

/*
 * No handler runs afterwards; closes what it has open.
 */

void ngx_mcp_redis_find_cancel(ngx_mcp_redis_find_t *find);


#endif /* _NGX_MCP_REDIS_FIND_H_INCLUDED_ */

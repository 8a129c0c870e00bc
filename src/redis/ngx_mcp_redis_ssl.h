
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * TLS of a connection to a Redis: handshake, certificate of the server.
 */

#ifndef _NGX_MCP_REDIS_SSL_H_INCLUDED_
#define _NGX_MCP_REDIS_SSL_H_INCLUDED_


#include "ngx_mcp_redis_io.h"


#if (NGX_SSL)

/*
 * Begins the handshake on a connection that is connected.  "done" runs with
 * NGX_OK when the certificate is verified, or with NGX_ERROR and io->reason;
 * never before this returns NGX_AGAIN.  Returns NGX_OK and NGX_ERROR with the
 * same meaning: then "done" does not run.
 */

ngx_int_t ngx_mcp_redis_ssl_open(ngx_mcp_redis_io_t *io,
    void (*done)(ngx_mcp_redis_io_t *io, ngx_int_t rc));

/*
 * Says goodbye without waiting, before the connection is closed.
 */

void ngx_mcp_redis_ssl_close(ngx_connection_t *c);

#endif


#endif /* _NGX_MCP_REDIS_SSL_H_INCLUDED_ */

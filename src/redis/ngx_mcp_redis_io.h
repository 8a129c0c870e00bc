
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * A connection of nginx's to a Redis: TCP, TLS or a unix socket.  Bytes only.
 */

#ifndef _NGX_MCP_REDIS_IO_H_INCLUDED_
#define _NGX_MCP_REDIS_IO_H_INCLUDED_


#include "ngx_mcp.h"

#include <ngx_event_connect.h>


#define NGX_MCP_REDIS_MAX_REASON_LEN  128    /* with a NUL */


/* where a server is; a copy, of whoever declares it */

typedef struct {
    ngx_sockaddr_t               sockaddr;
    socklen_t                    socklen;
    u_char                       host[256];  /* as it was named, with a NUL: a
                                                name, an address without
                                                brackets, the path of a unix
                                                socket */
    in_port_t                    port;
} ngx_mcp_redis_address_t;


typedef struct ngx_mcp_redis_io_s  ngx_mcp_redis_io_t;

typedef void (*ngx_mcp_redis_io_pt)(ngx_mcp_redis_io_t *io);


struct ngx_mcp_redis_io_s {

    /* set by the user */

    ngx_mcp_redis_conf_t        *conf;

    /* it takes bytes; with TLS, the certificate of the server is verified */

    ngx_mcp_redis_io_pt          connected;

    /* bytes that are valid until it returns, and that the user may copy */

    void                       (*received)(ngx_mcp_redis_io_t *io,
                                     u_char *bytes, size_t len);

    /* it has ended and is closed; io->reason says why */

    ngx_mcp_redis_io_pt          failed;

    void                        *data;       /* of the user */

    /* set by the connection */

    u_char                       reason[NGX_MCP_REDIS_MAX_REASON_LEN];

    /* private */

    ngx_connection_t            *connection;
    ngx_peer_connection_t        peer;
    ngx_str_t                    name;
    ngx_log_t                    log;        /* its last line is the reason */
    ngx_mcp_redis_address_t     *address;    /* the user's */
    void                       (*secured)(ngx_mcp_redis_io_t *io,
                                     ngx_int_t rc);
    u_char                      *out;        /* from ngx_alloc() */
    size_t                       out_size;
    size_t                       out_pos;    /* the first byte not written */
    size_t                       out_last;
    unsigned                     is_connected:1;
};


/*
 * Connects.  The user zeroes "io" before its first use and keeps it, and
 * "address", until the connection is closed.  Returns NGX_OK, or NGX_ERROR with
 * io->reason: then failed() does not run.  Handlers run from events only, never
 * before this returns.  The user limits the time.
 */

ngx_int_t ngx_mcp_redis_io_open(ngx_mcp_redis_io_t *io,
    ngx_mcp_redis_address_t *address);

/*
 * Closes it, if it is open, and drops what is queued.  No handler runs, and
 * none runs afterwards.  Any handler may call it.
 */

void ngx_mcp_redis_io_close(ngx_mcp_redis_io_t *io);

/*
 * Returns room for "len" bytes to be written, or NULL if there is no memory or
 * it is not connected.  The caller fills it at once and calls
 * ngx_mcp_redis_io_queue() with its end.  Bytes queued by one turn of the event
 * loop are written together at the end of it.
 */

u_char *ngx_mcp_redis_io_room(ngx_mcp_redis_io_t *io, size_t len);
void ngx_mcp_redis_io_queue(ngx_mcp_redis_io_t *io, u_char *last);

/*
 * Returns whether it is in the handshake of TLS.
 */

ngx_uint_t ngx_mcp_redis_io_shakes_hands(ngx_mcp_redis_io_t *io);

/*
 * Returns the number of bytes that are not written yet.
 */

size_t ngx_mcp_redis_io_queued(ngx_mcp_redis_io_t *io);

/*
 * Writes once what can be written without waiting: before a worker exits.
 */

void ngx_mcp_redis_io_flush(ngx_mcp_redis_io_t *io);


#endif /* _NGX_MCP_REDIS_IO_H_INCLUDED_ */

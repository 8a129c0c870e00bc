
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * TLS of a connection to a Redis: handshake, certificate of the server.
 *
 * conf->ssl is made in the master, while the configuration is read; the TLS
 * connection is in the pool of the nginx connection.
 */

#include "ngx_mcp_redis_ssl.h"


#if (NGX_SSL)

static ngx_int_t ngx_mcp_redis_ssl_set_name(ngx_mcp_redis_io_t *io);
static void ngx_mcp_redis_ssl_handshake_handler(ngx_connection_t *c);
static ngx_int_t ngx_mcp_redis_ssl_verify(ngx_mcp_redis_io_t *io);
static ngx_int_t ngx_mcp_redis_ssl_check_name(ngx_mcp_redis_io_t *io,
    X509 *cert);
static void ngx_mcp_redis_ssl_name(ngx_mcp_redis_io_t *io, ngx_str_t *name);
static ngx_uint_t ngx_mcp_redis_ssl_is_address(ngx_str_t *name);
static ngx_int_t ngx_mcp_redis_ssl_fail(ngx_mcp_redis_io_t *io,
    const char *text, const char *value);


ngx_int_t
ngx_mcp_redis_ssl_open(ngx_mcp_redis_io_t *io,
    void (*done)(ngx_mcp_redis_io_t *io, ngx_int_t rc))
{
    ngx_int_t          rc;
    ngx_connection_t  *c;

    c = io->connection;

    if (ngx_ssl_create_connection(io->conf->ssl, c, NGX_SSL_CLIENT) != NGX_OK
        || ngx_mcp_redis_ssl_set_name(io) != NGX_OK)
    {
        return NGX_ERROR;
    }

    /* nobody waits for the other side to say goodbye */

    c->ssl->no_wait_shutdown = 1;

    /* the output grows while it is written, and may move */

    SSL_set_mode(c->ssl->connection, SSL_MODE_ENABLE_PARTIAL_WRITE
                                     |SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);

    io->secured = done;

    rc = ngx_ssl_handshake(c);

    if (rc == NGX_AGAIN) {
        c->ssl->handler = ngx_mcp_redis_ssl_handshake_handler;
        return NGX_AGAIN;
    }

    return rc == NGX_OK ? ngx_mcp_redis_ssl_verify(io) : NGX_ERROR;
}


/*
 * SNI has names only, no addresses (RFC 6066, 3).
 */

static ngx_int_t
ngx_mcp_redis_ssl_set_name(ngx_mcp_redis_io_t *io)
{
    ngx_str_t  name;

    ngx_mcp_redis_ssl_name(io, &name);

    if (name.len == 0 || ngx_mcp_redis_ssl_is_address(&name)) {
        return NGX_OK;
    }

    if (SSL_set_tlsext_host_name(io->connection->ssl->connection,
                                 (char *) name.data)
        == 0)
    {
        return ngx_mcp_redis_ssl_fail(io, "invalid name \"%s\"",
                                      (char *) name.data);
    }

    return NGX_OK;
}


static void
ngx_mcp_redis_ssl_handshake_handler(ngx_connection_t *c)
{
    ngx_mcp_redis_io_t  *io = c->data;

    io->secured(io, c->ssl->handshaked ? ngx_mcp_redis_ssl_verify(io)
                                       : NGX_ERROR);
}


/*
 * Whether the certificate is one of that server.
 */

static ngx_int_t
ngx_mcp_redis_ssl_verify(ngx_mcp_redis_io_t *io)
{
    long        result;
    X509       *cert;
    SSL        *ssl;
    ngx_int_t   rc;

    if (!io->conf->ssl_verify) {
        return NGX_OK;
    }

    ssl = io->connection->ssl->connection;

    result = SSL_get_verify_result(ssl);

    if (result != X509_V_OK) {
        return ngx_mcp_redis_ssl_fail(io, "its certificate is not valid: %s",
                                      X509_verify_cert_error_string(result));
    }

    cert = SSL_get_peer_certificate(ssl);

    if (cert == NULL) {
        return ngx_mcp_redis_ssl_fail(io, "it has no certificate%s", "");
    }

    rc = ngx_mcp_redis_ssl_check_name(io, cert);

    X509_free(cert);

    return rc;
}


static ngx_int_t
ngx_mcp_redis_ssl_check_name(ngx_mcp_redis_io_t *io, X509 *cert)
{
    int        rc;
    ngx_str_t  name;

    ngx_mcp_redis_ssl_name(io, &name);

    rc = ngx_mcp_redis_ssl_is_address(&name)
         ? X509_check_ip_asc(cert, (char *) name.data, 0)
         : X509_check_host(cert, (char *) name.data, name.len, 0, NULL);

    if (rc != 1) {
        return ngx_mcp_redis_ssl_fail(io, "its certificate is for another name "
                                      "than \"%s\"", (char *) name.data);
    }

    return NGX_OK;
}


/*
 * The name that the certificate must have, with a NUL.
 */

static void
ngx_mcp_redis_ssl_name(ngx_mcp_redis_io_t *io, ngx_str_t *name)
{
    if (io->conf->ssl_name.len) {
        *name = io->conf->ssl_name;
        return;
    }

    name->data = io->address->host;
    name->len = ngx_strlen(name->data);
}


static ngx_uint_t
ngx_mcp_redis_ssl_is_address(ngx_str_t *name)
{
#if (NGX_HAVE_INET6)
    u_char  addr[16];

    if (ngx_inet6_addr(name->data, name->len, addr) == NGX_OK) {
        return 1;
    }
#endif

    return ngx_inet_addr(name->data, name->len) != INADDR_NONE;
}


/*
 * "text" has one "%s" for "value".
 */

static ngx_int_t
ngx_mcp_redis_ssl_fail(ngx_mcp_redis_io_t *io, const char *text,
    const char *value)
{
    u_char  *p;

    p = ngx_snprintf(io->reason, sizeof(io->reason) - 1, text, value);
    *p = '\0';

    return NGX_ERROR;
}


void
ngx_mcp_redis_ssl_close(ngx_connection_t *c)
{
    if (ngx_ssl_shutdown(c) != NGX_AGAIN) {
        return;
    }

    /* it cannot be written */

    c->ssl->no_send_shutdown = 1;

    (void) ngx_ssl_shutdown(c);
}

#endif

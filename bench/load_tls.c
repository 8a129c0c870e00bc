
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * TLS of client connections, by OpenSSL.
 *
 * One context serves all connections and is never freed.
 */

#include "load_tls.h"

#include <limits.h>
#include <openssl/err.h>
#include <openssl/ssl.h>


static int load_tls_result(SSL *ssl, int n, int *out);


static SSL_CTX  *load_tls_ctx;


void *
load_tls_open(int fd)
{
    SSL  *ssl;

    if (load_tls_ctx == NULL) {
        load_tls_ctx = SSL_CTX_new(TLS_client_method());

        if (load_tls_ctx == NULL) {
            load_fatal("cannot create the TLS context");
        }

        /* what is left of a write is passed again with its new address */

        (void) SSL_CTX_set_mode(load_tls_ctx,
                                SSL_MODE_ENABLE_PARTIAL_WRITE
                                |SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER
                                |SSL_MODE_RELEASE_BUFFERS);
    }

    ssl = SSL_new(load_tls_ctx);

    if (ssl == NULL || SSL_set_fd(ssl, fd) != 1) {
        load_fatal("cannot create a TLS connection");
    }

    SSL_set_connect_state(ssl);

    return ssl;
}


int
load_tls_handshake(void *tls, int *out)
{
    int  n;

    ERR_clear_error();

    n = SSL_do_handshake(tls);

    return (n == 1) ? LOAD_OK : load_tls_result(tls, n, out);
}


ssize_t
load_tls_send(void *tls, const char *p, size_t len)
{
    int  n, out;

    ERR_clear_error();

    n = SSL_write(tls, p, len > INT_MAX ? INT_MAX : (int) len);

    return (n > 0) ? n : load_tls_result(tls, n, &out);
}


ssize_t
load_tls_recv(void *tls, char *p, size_t len)
{
    int  n, out;

    ERR_clear_error();

    n = SSL_read(tls, p, len > INT_MAX ? INT_MAX : (int) len);

    if (n <= 0 && SSL_get_error(tls, n) == SSL_ERROR_ZERO_RETURN) {
        return 0;
    }

    return (n > 0) ? n : load_tls_result(tls, n, &out);
}


/* sets errno and returns LOAD_ERROR */

static int
load_tls_result(SSL *ssl, int n, int *out)
{
    int  error;

    error = SSL_get_error(ssl, n);

    *out = (error == SSL_ERROR_WANT_WRITE);

    errno = (*out || error == SSL_ERROR_WANT_READ) ? EAGAIN : ECONNRESET;

    return LOAD_ERROR;
}


void
load_tls_close(void *tls)
{
    SSL_free(tls);
}

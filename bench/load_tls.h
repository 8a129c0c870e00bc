
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * TLS of client connections, by OpenSSL.  Certificates are not verified.
 */

#ifndef _LOAD_TLS_H_INCLUDED_
#define _LOAD_TLS_H_INCLUDED_


#include "load.h"


/* returns the TLS connection on a connected socket; exits if it cannot */

void *load_tls_open(int fd);

/*
 * Goes on with the handshake.  Returns LOAD_OK when it is done; LOAD_ERROR
 * with errno EAGAIN if it goes on when the socket is readable, or, with *out
 * set, writable; else LOAD_ERROR with another errno.
 */

int load_tls_handshake(void *tls, int *out);

/* as send() and recv(); errno is EAGAIN or ECONNRESET */

ssize_t load_tls_send(void *tls, const char *p, size_t len);
ssize_t load_tls_recv(void *tls, char *p, size_t len);

/* frees it; the socket stays open */

void load_tls_close(void *tls);


#endif /* _LOAD_TLS_H_INCLUDED_ */

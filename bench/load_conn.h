
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Non-blocking client connections.
 */

#ifndef _LOAD_CONN_H_INCLUDED_
#define _LOAD_CONN_H_INCLUDED_


#include "load.h"
#include "load_loop.h"

#include <sys/socket.h>


/* whether all connections use TLS; set before the first is opened */

extern int  load_conn_tls;


typedef struct {
    char                     text[128];
    struct sockaddr_storage  addr;
    socklen_t                len;
} load_target_t;


typedef struct load_conn_s  load_conn_t;

struct load_conn_s {
    load_event_t   event;

    /*
     * Handlers: ready() when it is connected; data() when "n" bytes were read
     * at the time "at"; end() when it was closed by the server or by an
     * error.  Functions that return LOAD_ERROR do not call end().
     */
    void         (*ready)(load_conn_t *c);
    void         (*data)(load_conn_t *c, const char *p, size_t n,
                         load_nsec_t at);
    void         (*end)(load_conn_t *c);

    const char    *out;
    size_t         left;
    void          *tls;           /* NULL: none */

    unsigned       connecting:1;
    unsigned       writing:1;     /* EPOLLOUT is waited for */
};


/*
 * Parses "HOST:PORT,..." and resolves the hosts.  Returns "n" targets, which
 * are never freed; exits on error.
 */

load_target_t *load_conn_targets(const char *list, unsigned *n);

/* starts to connect; c->ready() runs later */

int load_conn_open(load_conn_t *c, const load_target_t *target);

/*
 * Sends "len" bytes.  The caller owns them and must not change them until all
 * are sent.  On LOAD_ERROR the connection is closed.
 */

int load_conn_send(load_conn_t *c, const char *p, size_t len);

/* closes the connection if it is open */

void load_conn_close(load_conn_t *c);


#endif /* _LOAD_CONN_H_INCLUDED_ */

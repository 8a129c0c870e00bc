
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Non-blocking client connections.
 *
 * A connection is embedded in the object of its owner.  All connections read
 * into one buffer, which is valid until the data handler returns.
 */

#include "load_conn.h"
#include "load_tls.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>


#define LOAD_CONN_BUFFER  65536


static void load_conn_target(load_target_t *target, const char *text);
static void load_conn_handler(load_event_t *ev, uint32_t events);
static void load_conn_connected(load_conn_t *c);
static int load_conn_handshake(load_conn_t *c);
static int load_conn_flush(load_conn_t *c);
static int load_conn_watch(load_conn_t *c, int out);
static void load_conn_read(load_conn_t *c);
static void load_conn_ended(load_conn_t *c);


int  load_conn_tls;


load_target_t *
load_conn_targets(const char *list, unsigned *n)
{
    char           *copy, *p;
    load_target_t  *targets;

    copy = strdup(list);
    targets = load_alloc((strlen(list) / 2 + 1) * sizeof(load_target_t));

    *n = 0;

    for (p = copy ? strtok(copy, ",") : NULL; p; p = strtok(NULL, ",")) {
        load_conn_target(&targets[(*n)++], p);
    }

    free(copy);

    if (*n == 0) {
        load_fatal("no address in \"%s\"", list);
    }

    return targets;
}


static void
load_conn_target(load_target_t *target, const char *text)
{
    int               rc;
    char             *colon, host[sizeof(target->text)];
    struct addrinfo   hints, *res;

    (void) snprintf(target->text, sizeof(target->text), "%s", text);
    (void) snprintf(host, sizeof(host), "%s", text);

    colon = strrchr(host, ':');
    if (colon == NULL) {
        load_fatal("no port in \"%s\"", text);
    }

    *colon = '\0';

    memset(&hints, 0, sizeof(struct addrinfo));
    hints.ai_socktype = SOCK_STREAM;

    rc = getaddrinfo(host, colon + 1, &hints, &res);
    if (rc) {
        load_fatal("\"%s\": %s", text, gai_strerror(rc));
    }

    memcpy(&target->addr, res->ai_addr, res->ai_addrlen);
    target->len = res->ai_addrlen;

    freeaddrinfo(res);
}


int
load_conn_open(load_conn_t *c, const load_target_t *target)
{
    int  on, rc;

    on = 1;

    c->out = NULL;
    c->left = 0;
    c->connecting = 1;
    c->writing = 1;

    c->event.handler = load_conn_handler;
    c->event.fd = socket(target->addr.ss_family,
                         SOCK_STREAM|SOCK_NONBLOCK|SOCK_CLOEXEC, 0);

    if (c->event.fd == -1) {
        return LOAD_ERROR;
    }

    (void) setsockopt(c->event.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));

    rc = connect(c->event.fd, (const struct sockaddr *) &target->addr,
                 target->len);

    if ((rc == -1 && errno != EINPROGRESS)
        || load_loop_watch(&c->event, 1, 0) != LOAD_OK)
    {
        load_conn_close(c);
        return LOAD_ERROR;
    }

    return LOAD_OK;
}


int
load_conn_send(load_conn_t *c, const char *p, size_t len)
{
    c->out = p;
    c->left = len;

    if (load_conn_flush(c) != LOAD_OK) {
        load_conn_close(c);
        return LOAD_ERROR;
    }

    return LOAD_OK;
}


void
load_conn_close(load_conn_t *c)
{
    if (c->tls) {
        load_tls_close(c->tls);
        c->tls = NULL;
    }

    if (c->event.fd != -1) {
        (void) close(c->event.fd);
        c->event.fd = -1;
    }
}


static void
load_conn_handler(load_event_t *ev, uint32_t events)
{
    load_conn_t  *c;

    c = (load_conn_t *) ev;

    if (c->connecting) {
        load_conn_connected(c);
        return;
    }

    if ((events & EPOLLOUT) && load_conn_flush(c) != LOAD_OK) {
        load_conn_ended(c);
        return;
    }

    if (events & ~(uint32_t) EPOLLOUT) {
        load_conn_read(c);
    }
}


static void
load_conn_connected(load_conn_t *c)
{
    int        err;
    socklen_t  len;

    err = 0;
    len = sizeof(int);

    if (getsockopt(c->event.fd, SOL_SOCKET, SO_ERROR, &err, &len) == -1
        || err)
    {
        load_conn_ended(c);
        return;
    }

    if (load_conn_tls && load_conn_handshake(c) != LOAD_OK) {

        if (errno != EAGAIN) {
            load_conn_ended(c);
        }

        return;
    }

    c->connecting = 0;

    if (load_conn_flush(c) != LOAD_OK) {
        load_conn_ended(c);
        return;
    }

    c->ready(c);
}


/* LOAD_ERROR with errno EAGAIN: it goes on with the next event */

static int
load_conn_handshake(load_conn_t *c)
{
    int  out;

    if (c->tls == NULL) {
        c->tls = load_tls_open(c->event.fd);
    }

    if (load_tls_handshake(c->tls, &out) == LOAD_OK) {
        return LOAD_OK;
    }

    if (errno == EAGAIN && load_conn_watch(c, out) == LOAD_OK) {
        errno = EAGAIN;
    }

    return LOAD_ERROR;
}


/* writes as much as possible; waits for EPOLLOUT if data is left */

static int
load_conn_flush(load_conn_t *c)
{
    ssize_t  n;

    while (c->left) {
        n = c->tls ? load_tls_send(c->tls, c->out, c->left)
                   : send(c->event.fd, c->out, c->left, MSG_NOSIGNAL);

        if (n == -1) {
            if (errno == EINTR) {
                continue;
            }

            if (errno == EAGAIN) {
                break;
            }

            return LOAD_ERROR;
        }

        c->out += n;
        c->left -= (size_t) n;
    }

    return load_conn_watch(c, c->left != 0);
}


/* waits for EPOLLIN and, if "out" is set, for EPOLLOUT */

static int
load_conn_watch(load_conn_t *c, int out)
{
    if (out == c->writing) {
        return LOAD_OK;
    }

    c->writing = (out != 0);

    return load_loop_watch(&c->event, out, 1);
}


static void
load_conn_read(load_conn_t *c)
{
    ssize_t      n;
    static char  buf[LOAD_CONN_BUFFER];

    n = c->tls ? load_tls_recv(c->tls, buf, sizeof(buf))
               : recv(c->event.fd, buf, sizeof(buf), 0);

    if (n > 0) {
        c->data(c, buf, (size_t) n, load_now());
        return;
    }

    if (n == -1 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }

    load_conn_ended(c);
}


static void
load_conn_ended(load_conn_t *c)
{
    load_conn_close(c);

    c->end(c);
}

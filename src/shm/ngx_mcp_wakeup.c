
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Wake-up between workers: abstract AF_UNIX datagram sockets.
 *
 * The socket and its connection are owned by the worker, and closed by
 * ngx_mcp_wakeup_close() in exit_process.  A worker that could not open it
 * sends from a socket without a name, which it opens when it needs it.
 *
 * An abstract socket has no file, and
 * disappears with its process (unix(7), "Abstract sockets"): sendto() to the
 * name of a dead worker fails with ECONNREFUSED.  The channel of nginx cannot
 * be used instead: it belongs to the master.
 */

#include "ngx_mcp_wakeup.h"

#include <sys/un.h>


static socklen_t ngx_mcp_wakeup_address(struct sockaddr_un *sun, u_char *id);
static ngx_int_t ngx_mcp_wakeup_add_event(ngx_cycle_t *cycle, int s);
static int ngx_mcp_wakeup_socket(void);
static void ngx_mcp_wakeup_read_handler(ngx_event_t *rev);
static void ngx_mcp_wakeup_write_handler(ngx_event_t *wev);


static ngx_connection_t  *ngx_mcp_wakeup_connection;
static int                ngx_mcp_wakeup_unnamed = -1;
static void             (*ngx_mcp_wakeup_handler)(void);


ngx_int_t
ngx_mcp_wakeup_open(ngx_cycle_t *cycle, u_char *id, void (*handler)(void))
{
    int                 s;
    socklen_t           len;
    struct sockaddr_un  sun;

    ngx_mcp_wakeup_handler = handler;

    s = socket(AF_UNIX, SOCK_DGRAM|SOCK_NONBLOCK|SOCK_CLOEXEC, 0);

    if (s == -1) {
        goto failed;
    }

    len = ngx_mcp_wakeup_address(&sun, id);

    if (bind(s, (struct sockaddr *) &sun, len) == 0
        && ngx_mcp_wakeup_add_event(cycle, s) == NGX_OK)
    {
        return NGX_OK;
    }

    (void) ngx_close_socket(s);

failed:

    ngx_log_error(NGX_LOG_WARN, cycle->log, ngx_socket_errno,
                  "mcp sse: cannot open an abstract unix socket, this worker "
                  "looks for messages every 20 ms instead");

    return NGX_DECLINED;
}


static ngx_int_t
ngx_mcp_wakeup_add_event(ngx_cycle_t *cycle, int s)
{
    ngx_connection_t  *c;

    c = ngx_get_connection(s, cycle->log);
    if (c == NULL) {
        return NGX_ERROR;
    }

    c->read->handler = ngx_mcp_wakeup_read_handler;
    c->read->log = cycle->log;
    c->write->handler = ngx_mcp_wakeup_write_handler;
    c->write->log = cycle->log;

    /*
     * nginx leaves connections of channels alone when a worker exits, and
     * does not log them as "open socket"
     */

    c->read->channel = 1;
    c->write->channel = 1;

    if (ngx_add_event(c->read, NGX_READ_EVENT, NGX_CLEAR_EVENT) != NGX_OK) {
        ngx_free_connection(c);
        return NGX_ERROR;
    }

    ngx_mcp_wakeup_connection = c;

    return NGX_OK;
}


void
ngx_mcp_wakeup_close(void)
{
    if (ngx_mcp_wakeup_connection) {
        ngx_close_connection(ngx_mcp_wakeup_connection);
        ngx_mcp_wakeup_connection = NULL;
    }

    if (ngx_mcp_wakeup_unnamed != -1) {
        (void) ngx_close_socket(ngx_mcp_wakeup_unnamed);
        ngx_mcp_wakeup_unnamed = -1;
    }
}


ngx_int_t
ngx_mcp_wakeup_send(u_char *id, ngx_log_t *log)
{
    int                 s;
    ngx_err_t           err;
    socklen_t           len;
    struct sockaddr_un  sun;

    s = ngx_mcp_wakeup_socket();

    if (s == -1) {
        return NGX_ERROR;
    }

    len = ngx_mcp_wakeup_address(&sun, id);

    /* one byte: for an empty datagram recv() would return 0 */

    if (sendto(s, "", 1, MSG_DONTWAIT, (struct sockaddr *) &sun, len) == 1) {

        ngx_log_debug2(NGX_LOG_DEBUG_CORE, log, 0,
                       "mcp wake-up of worker %02xd%02xd... sent",
                       (int) id[0], (int) id[1]);

        return NGX_OK;
    }

    err = ngx_socket_errno;

    ngx_log_debug2(NGX_LOG_DEBUG_CORE, log, err,
                   "mcp wake-up of worker %02xd%02xd... not sent",
                   (int) id[0], (int) id[1]);

    /* the queue of the receiver has net.unix.max_dgram_qlen datagrams */

    if (err == NGX_EAGAIN || err == ENOBUFS) {
        return NGX_OK;
    }

    if (err == NGX_ECONNREFUSED || err == NGX_ENOENT) {
        return NGX_DECLINED;
    }

    ngx_log_error(NGX_LOG_ALERT, log, err,
                  "mcp sse: sendto() to a worker failed");

    return NGX_ERROR;
}


/*
 * Returns the socket to send from, or -1.
 */

static int
ngx_mcp_wakeup_socket(void)
{
    if (ngx_mcp_wakeup_connection) {
        return ngx_mcp_wakeup_connection->fd;
    }

    if (ngx_mcp_wakeup_unnamed == -1) {
        ngx_mcp_wakeup_unnamed = socket(AF_UNIX,
                                        SOCK_DGRAM|SOCK_NONBLOCK|SOCK_CLOEXEC,
                                        0);
    }

    return ngx_mcp_wakeup_unnamed;
}


static socklen_t
ngx_mcp_wakeup_address(struct sockaddr_un *sun, u_char *id)
{
    u_char  *p;

    ngx_memzero(sun, sizeof(struct sockaddr_un));

    sun->sun_family = AF_UNIX;

    p = (u_char *) sun->sun_path + 1;

    p = ngx_cpymem(p, "mcp_sse.", sizeof("mcp_sse.") - 1);
    p = ngx_hex_dump(p, id, NGX_MCP_WORKER_ID_LEN);

    return p - (u_char *) sun;
}


static void
ngx_mcp_wakeup_read_handler(ngx_event_t *rev)
{
    char               buf[16];
    ssize_t            n;
    ngx_err_t          err;
    ngx_connection_t  *c;

    c = rev->data;

    if (c->close) {
        return;
    }

    for ( ;; ) {
        n = recv(c->fd, buf, sizeof(buf), 0);

        if (n >= 0) {
            continue;
        }

        err = ngx_socket_errno;

        if (err == NGX_EINTR) {
            continue;
        }

        if (err != NGX_EAGAIN) {
            ngx_log_error(NGX_LOG_ALERT, rev->log, err,
                          "mcp sse: recv() on the wake-up socket failed");
        }

        break;
    }

    rev->ready = 0;

    ngx_log_debug0(NGX_LOG_DEBUG_CORE, rev->log, 0, "mcp wake-up received");

    ngx_mcp_wakeup_handler();
}


static void
ngx_mcp_wakeup_write_handler(ngx_event_t *wev)
{
    ngx_log_debug0(NGX_LOG_DEBUG_CORE, wev->log, 0,
                   "mcp wake-up write event");
}

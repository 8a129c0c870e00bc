
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * hiredis adapter for nginx events.
 *
 * The descriptor is owned by hiredis, which closes it after cleanup().  The
 * nginx connection, in ev.data of the context, is freed by cleanup() and not
 * closed: the number of the descriptor may belong to another connection by
 * then.
 */

#include "ngx_mcp_redis_event.h"

#include <hiredis/sds.h>


static void ngx_mcp_redis_event_read(ngx_event_t *rev);
static void ngx_mcp_redis_event_write(ngx_event_t *wev);
static ngx_int_t ngx_mcp_redis_event_send(redisAsyncContext *ac);
static void ngx_mcp_redis_event_add_read(void *data);
static void ngx_mcp_redis_event_del_read(void *data);
static void ngx_mcp_redis_event_add_write(void *data);
static void ngx_mcp_redis_event_del_write(void *data);
static void ngx_mcp_redis_event_cleanup(void *data);
static void ngx_mcp_redis_event_add(ngx_event_t *ev, ngx_int_t type);
static void ngx_mcp_redis_event_del(ngx_event_t *ev, ngx_int_t type);


ngx_int_t
ngx_mcp_redis_event_attach(redisAsyncContext *ac, ngx_log_t *log)
{
    ngx_connection_t  *c;

    c = ngx_get_connection(ac->c.fd, log);
    if (c == NULL) {
        return NGX_ERROR;
    }

    c->data = ac;

    c->read->handler = ngx_mcp_redis_event_read;
    c->read->log = log;
    c->write->handler = ngx_mcp_redis_event_write;
    c->write->log = log;

    /*
     * nginx leaves connections of channels alone: worker_shutdown_timeout does
     * not close it before exit_process, and no "open socket" is logged
     */

    c->read->channel = 1;
    c->write->channel = 1;

    ac->ev.addRead = ngx_mcp_redis_event_add_read;
    ac->ev.delRead = ngx_mcp_redis_event_del_read;
    ac->ev.addWrite = ngx_mcp_redis_event_add_write;
    ac->ev.delWrite = ngx_mcp_redis_event_del_write;
    ac->ev.cleanup = ngx_mcp_redis_event_cleanup;
    ac->ev.data = c;

    return NGX_OK;
}


static void
ngx_mcp_redis_event_read(ngx_event_t *rev)
{
    ngx_connection_t  *c;

    c = rev->data;

    /* may free the context, and the connection with it */

    redisAsyncHandleRead(c->data);
}


static void
ngx_mcp_redis_event_write(ngx_event_t *wev)
{
    ngx_connection_t   *c;
    redisAsyncContext  *ac;

    c = wev->data;
    ac = c->data;

    if ((ac->c.flags & REDIS_CONNECTED)
        && ngx_mcp_redis_event_send(ac) == NGX_AGAIN)
    {
        return;
    }

    redisAsyncHandleWrite(ac);
}


/*
 * Writes what hiredis has queued, so that hiredis has nothing to write:
 * afterwards hiredis allocates an empty buffer, and does not check that in
 * 0.14.  Returns NGX_OK, NGX_AGAIN, or NGX_ERROR: then the context has the
 * error, and hiredis gives it up at its next event.
 */

static ngx_int_t
ngx_mcp_redis_event_send(redisAsyncContext *ac)
{
    size_t      len;
    u_char     *p;
    ssize_t     n;
    ngx_err_t   err;

    len = ngx_mcp_redis_event_queued(ac);

    if (ac->c.err) {
        return NGX_ERROR;
    }

    if (len == 0) {
        return NGX_OK;
    }

    n = write(ac->c.fd, ac->c.obuf, len);

    if (n == -1) {
        err = ngx_errno;

        if (err == NGX_EAGAIN || err == NGX_EINTR) {
            return NGX_AGAIN;
        }

        ac->c.err = REDIS_ERR_IO;

        p = ngx_strerror(err, (u_char *) ac->c.errstr,
                         sizeof(ac->c.errstr) - 1);
        *p = '\0';

        return NGX_ERROR;
    }

#ifdef NGX_HAVE_HI_SDSLEN
    (void) hi_sdsrange(ac->c.obuf, n, -1);
#else
    sdsrange(ac->c.obuf, (int) n, -1);
#endif

    return (size_t) n == len ? NGX_OK : NGX_AGAIN;
}


/*
 * The events are level-triggered: hiredis reads at most 16k for an event, and
 * does not read again before the next one.  In epoll both directions of a
 * descriptor have the same mode.
 */

static void
ngx_mcp_redis_event_add(ngx_event_t *ev, ngx_int_t type)
{
    ngx_connection_t   *c;
    redisAsyncContext  *ac;

    if (ev->active) {
        return;
    }

    if (ngx_add_event(ev, type, NGX_LEVEL_EVENT) != NGX_OK) {

        /* the connection times out */

        c = ev->data;
        ac = c->data;

        ngx_log_error(NGX_LOG_ALERT, ev->log, 0,
                      "mcp sse: cannot add an event for descriptor %d of redis",
                      ac->c.fd);
    }
}


static void
ngx_mcp_redis_event_del(ngx_event_t *ev, ngx_int_t type)
{
    if (ev->active) {
        (void) ngx_del_event(ev, type, 0);
    }
}


static void
ngx_mcp_redis_event_add_read(void *data)
{
    ngx_connection_t  *c = data;

    ngx_mcp_redis_event_add(c->read, NGX_READ_EVENT);
}


static void
ngx_mcp_redis_event_del_read(void *data)
{
    ngx_connection_t  *c = data;

    ngx_mcp_redis_event_del(c->read, NGX_READ_EVENT);
}


static void
ngx_mcp_redis_event_add_write(void *data)
{
    ngx_connection_t  *c = data;

    ngx_mcp_redis_event_add(c->write, NGX_WRITE_EVENT);
}


static void
ngx_mcp_redis_event_del_write(void *data)
{
    ngx_connection_t  *c = data;

    ngx_mcp_redis_event_del(c->write, NGX_WRITE_EVENT);
}


static void
ngx_mcp_redis_event_cleanup(void *data)
{
    ngx_connection_t  *c = data;

    redisAsyncContext  *ac;

    ac = c->data;
    ac->ev.addRead = NULL;
    ac->ev.delRead = NULL;
    ac->ev.addWrite = NULL;
    ac->ev.delWrite = NULL;

    ngx_mcp_redis_event_del(c->read, NGX_READ_EVENT);
    ngx_mcp_redis_event_del(c->write, NGX_WRITE_EVENT);

    if (c->read->posted) {
        ngx_delete_posted_event(c->read);
    }

    if (c->write->posted) {
        ngx_delete_posted_event(c->write);
    }

    ngx_free_connection(c);
    c->fd = (ngx_socket_t) -1;
}


size_t
ngx_mcp_redis_event_queued(redisAsyncContext *ac)
{
#ifdef NGX_HAVE_HI_SDSLEN
    return hi_sdslen(ac->c.obuf);
#else
    return sdslen(ac->c.obuf);
#endif
}


void
ngx_mcp_redis_event_flush(redisAsyncContext *ac)
{
    (void) ngx_mcp_redis_event_send(ac);
}


void
ngx_mcp_redis_event_no_memory(redisAsyncContext *ac)
{
    ac->c.err = REDIS_ERR_OOM;

    (void) ngx_cpystrn((u_char *) ac->c.errstr, (u_char *) "Out of memory",
                       sizeof(ac->c.errstr));
}

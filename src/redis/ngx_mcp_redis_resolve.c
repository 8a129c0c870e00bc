
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * The address of a server: known, or by nginx's resolver.
 *
 * A resolve is owned by its user and never freed; the question to the resolver
 * is its own until ngx_resolve_name_done().
 */

#include "ngx_mcp_redis_resolve.h"


static void ngx_mcp_redis_resolve_begin(ngx_mcp_redis_resolve_t *resolve,
    ngx_str_t *host, in_port_t port, ngx_uint_t choice);
static ngx_int_t ngx_mcp_redis_resolve_literal(
    ngx_mcp_redis_resolve_t *resolve, ngx_str_t *host);
static ngx_int_t ngx_mcp_redis_resolve_known(ngx_mcp_redis_resolve_t *resolve,
    ngx_str_t *host);
static const char *ngx_mcp_redis_resolve_ask(ngx_mcp_redis_resolve_t *resolve);
static void ngx_mcp_redis_resolve_answer(ngx_resolver_ctx_t *ctx);
static void ngx_mcp_redis_resolve_set(ngx_mcp_redis_resolve_t *resolve,
    struct sockaddr *sockaddr, socklen_t socklen);
static void ngx_mcp_redis_resolve_failed(ngx_mcp_redis_resolve_t *resolve,
    const char *reason);
static void ngx_mcp_redis_resolve_posted(ngx_event_t *ev);


void
ngx_mcp_redis_resolve_server(ngx_mcp_redis_resolve_t *resolve,
    ngx_mcp_redis_server_t *server, ngx_uint_t choice)
{
    const char  *reason;
    ngx_addr_t  *addr;

    ngx_mcp_redis_resolve_begin(resolve,
                                server->host.len ? &server->host
                                                 : &server->name,
                                server->port, choice);

    if (server->addrs) {
        addr = &server->addrs[choice % server->naddrs];
        ngx_mcp_redis_resolve_set(resolve, addr->sockaddr, addr->socklen);
        return;
    }

    reason = ngx_mcp_redis_resolve_ask(resolve);

    if (reason) {
        ngx_mcp_redis_resolve_failed(resolve, reason);
    }
}


void
ngx_mcp_redis_resolve_host(ngx_mcp_redis_resolve_t *resolve, ngx_str_t *host,
    in_port_t port, ngx_uint_t choice)
{
    const char  *reason;

    ngx_mcp_redis_resolve_begin(resolve, host, port, choice);

    if (ngx_mcp_redis_resolve_literal(resolve, host) == NGX_OK
        || ngx_mcp_redis_resolve_known(resolve, host) == NGX_OK)
    {
        return;
    }

    reason = ngx_mcp_redis_resolve_ask(resolve);

    if (reason) {
        ngx_mcp_redis_resolve_failed(resolve, reason);
    }
}


static void
ngx_mcp_redis_resolve_begin(ngx_mcp_redis_resolve_t *resolve, ngx_str_t *host,
    in_port_t port, ngx_uint_t choice)
{
    ngx_event_t              *ev;
    ngx_mcp_redis_address_t  *address;

    ngx_mcp_redis_resolve_cancel(resolve);

    resolve->choice = choice;

    address = &resolve->address;

    (void) ngx_cpystrn(address->host, host->data,
                       ngx_min(host->len + 1, sizeof(address->host)));
    address->port = port;

    ev = &resolve->posted;
    ev->data = resolve;
    ev->handler = ngx_mcp_redis_resolve_posted;
    ev->log = ngx_cycle->log;
}


/*
 * An address in place of a name.
 */

static ngx_int_t
ngx_mcp_redis_resolve_literal(ngx_mcp_redis_resolve_t *resolve,
    ngx_str_t *host)
{
    struct sockaddr_in    sin;
#if (NGX_HAVE_INET6)
    struct sockaddr_in6   sin6;
#endif

    ngx_memzero(&sin, sizeof(struct sockaddr_in));

    sin.sin_family = AF_INET;
    sin.sin_addr.s_addr = ngx_inet_addr(host->data, host->len);

    if (sin.sin_addr.s_addr != INADDR_NONE) {
        ngx_mcp_redis_resolve_set(resolve, (struct sockaddr *) &sin,
                                  sizeof(struct sockaddr_in));
        return NGX_OK;
    }

#if (NGX_HAVE_INET6)

    ngx_memzero(&sin6, sizeof(struct sockaddr_in6));

    sin6.sin6_family = AF_INET6;

    if (ngx_inet6_addr(host->data, host->len, sin6.sin6_addr.s6_addr)
        == NGX_OK)
    {
        ngx_mcp_redis_resolve_set(resolve, (struct sockaddr *) &sin6,
                                  sizeof(struct sockaddr_in6));
        return NGX_OK;
    }

#endif

    return NGX_DECLINED;
}


/*
 * A name whose address is known, since the configuration has it.
 */

static ngx_int_t
ngx_mcp_redis_resolve_known(ngx_mcp_redis_resolve_t *resolve, ngx_str_t *host)
{
    ngx_addr_t              *addr;
    ngx_uint_t               i;
    ngx_mcp_redis_server_t  *server;

    server = resolve->conf->servers->elts;

    for (i = 0; i < resolve->conf->servers->nelts; i++) {

        if (server[i].addrs
            && server[i].host.len == host->len
            && ngx_strncasecmp(server[i].host.data, host->data, host->len)
               == 0)
        {
            addr = &server[i].addrs[resolve->choice % server[i].naddrs];
            ngx_mcp_redis_resolve_set(resolve, addr->sockaddr, addr->socklen);
            return NGX_OK;
        }
    }

    return NGX_DECLINED;
}


/*
 * Resolves the name each time: in containers the address changes with a restart
 * of Redis.  Returns NULL, or what is wrong.
 */

static const char *
ngx_mcp_redis_resolve_ask(ngx_mcp_redis_resolve_t *resolve)
{
    ngx_resolver_ctx_t  *ctx;

    if (resolve->conf->resolver == NULL) {
        return "no resolver";
    }

    ctx = ngx_resolve_start(resolve->conf->resolver, NULL);

    if (ctx == NULL || ctx == NGX_NO_RESOLVER) {
        return "no resolver";
    }

    ctx->name.data = resolve->address.host;
    ctx->name.len = ngx_strlen(resolve->address.host);
    ctx->handler = ngx_mcp_redis_resolve_answer;
    ctx->data = resolve;
    ctx->timeout = resolve->conf->resolver_timeout;

    /* the timer of the resolver must not keep an exiting worker alive */

    ctx->cancelable = 1;

    resolve->ctx = ctx;

    if (ngx_resolve_name(ctx) != NGX_OK) {
        resolve->ctx = NULL;
        return "no resolver";
    }

    return NULL;
}


static void
ngx_mcp_redis_resolve_answer(ngx_resolver_ctx_t *ctx)
{
    ngx_uint_t                i;
    ngx_mcp_redis_resolve_t  *resolve = ctx->data;

    resolve->ctx = NULL;

    if (ctx->state == NGX_OK) {
        i = resolve->choice % ctx->naddrs;

        ngx_mcp_redis_resolve_set(resolve, ctx->addrs[i].sockaddr,
                                  ctx->addrs[i].socklen);

    } else {
        ngx_mcp_redis_resolve_failed(resolve,
                                     ngx_resolver_strerror(ctx->state));
    }

    ngx_resolve_name_done(ctx);
}


static void
ngx_mcp_redis_resolve_set(ngx_mcp_redis_resolve_t *resolve,
    struct sockaddr *sockaddr, socklen_t socklen)
{
    ngx_mcp_redis_address_t  *address;

    address = &resolve->address;

    ngx_memcpy(&address->sockaddr, sockaddr, socklen);
    address->socklen = socklen;

    if (sockaddr->sa_family != AF_UNIX) {
        ngx_inet_set_port(&address->sockaddr.sockaddr, address->port);
    }

    resolve->rc = NGX_OK;

    ngx_post_event(&resolve->posted, &ngx_posted_events);
}


static void
ngx_mcp_redis_resolve_failed(ngx_mcp_redis_resolve_t *resolve,
    const char *reason)
{
    (void) ngx_cpystrn(resolve->reason, (u_char *) reason,
                       sizeof(resolve->reason));

    resolve->rc = NGX_ERROR;

    ngx_post_event(&resolve->posted, &ngx_posted_events);
}


static void
ngx_mcp_redis_resolve_posted(ngx_event_t *ev)
{
    ngx_mcp_redis_resolve_t  *resolve = ev->data;

    resolve->handler(resolve, resolve->rc);
}


void
ngx_mcp_redis_resolve_cancel(ngx_mcp_redis_resolve_t *resolve)
{
    if (resolve->ctx) {
        ngx_resolve_name_done(resolve->ctx);
        resolve->ctx = NULL;
    }

    if (resolve->posted.posted) {
        ngx_delete_posted_event(&resolve->posted);
    }
}

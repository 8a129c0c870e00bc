
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * The servers that the URL of mcp_sse_redis names, and their addresses.
 *
 * All values are in the pool of their cycle.
 */

#include "ngx_mcp_redis_server.h"


#define NGX_MCP_REDIS_MAX_HOST_LEN  255


static const char *ngx_mcp_redis_server_host(ngx_str_t *text);
static ngx_mcp_redis_server_t *ngx_mcp_redis_server_push(ngx_conf_t *cf,
    ngx_mcp_redis_conf_t *rcf);
static ngx_int_t ngx_mcp_redis_server_set(ngx_conf_t *cf,
    ngx_mcp_redis_server_t *server, ngx_url_t *u);
static ngx_uint_t ngx_mcp_redis_server_resolver(ngx_resolver_t *resolver);


const char *
ngx_mcp_redis_server_add(ngx_conf_t *cf, ngx_mcp_redis_conf_t *rcf,
    ngx_str_t *text, in_port_t default_port)
{
    ngx_url_t                u;
    const char              *error;
    ngx_mcp_redis_server_t  *server;

    error = ngx_mcp_redis_server_host(text);

    if (error) {
        return error;
    }

    ngx_memzero(&u, sizeof(ngx_url_t));

    u.url = *text;
    u.default_port = default_port;
    u.no_resolve = 1;

    if (ngx_parse_url(cf->pool, &u) != NGX_OK) {
        return u.err ? u.err : "no memory";
    }

    if (u.family == AF_UNIX) {
        return "a unix socket must be given as \"unix:/PATH\"";
    }

    if (u.host.len > NGX_MCP_REDIS_MAX_HOST_LEN) {
        return "a host is longer than 255 bytes";
    }

    server = ngx_mcp_redis_server_push(cf, rcf);

    return server && ngx_mcp_redis_server_set(cf, server, &u) == NGX_OK
           ? NULL : "no memory";
}


/*
 * To nginx, all bytes other than ":" and "/" may be of a name that it leaves
 * to the resolver.
 */

static const char *
ngx_mcp_redis_server_host(ngx_str_t *text)
{
    u_char      c;
    size_t      i;
    ngx_uint_t  ipv6;

    if (text->len == 0 || text->data[0] == ':') {
        return "it must have a host, \"redis://HOST[:PORT]\"";
    }

    ipv6 = (text->data[0] == '[');

    for (i = 0; i < text->len; i++) {
        c = text->data[i];

        if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z')
            || (c >= 'A' && c <= 'Z') || c == '.' || c == '-' || c == '_'
            || c == ':' || (ipv6 && (c == '[' || c == ']')))
        {
            continue;
        }

        return "invalid host";
    }

    return NULL;
}


const char *
ngx_mcp_redis_server_add_unix(ngx_conf_t *cf, ngx_mcp_redis_conf_t *rcf,
    ngx_str_t *path)
{
    ngx_addr_t              *addr;
    struct sockaddr_un      *saun;
    ngx_mcp_redis_server_t  *server;

    if (path->len == 0 || path->data[0] != '/') {
        return "the path of a unix socket must begin with \"/\"";
    }

    if (path->len >= sizeof(saun->sun_path)) {
        return "the path of a unix socket is too long";
    }

    server = ngx_mcp_redis_server_push(cf, rcf);
    addr = ngx_palloc(cf->pool, sizeof(ngx_addr_t));
    saun = ngx_pcalloc(cf->pool, sizeof(struct sockaddr_un));

    if (server == NULL || addr == NULL || saun == NULL) {
        return "no memory";
    }

    saun->sun_family = AF_UNIX;
    ngx_memcpy(saun->sun_path, path->data, path->len);

    addr->sockaddr = (struct sockaddr *) saun;
    addr->socklen = sizeof(struct sockaddr_un);
    addr->name = *path;

    server->name = *path;
    server->addrs = addr;
    server->naddrs = 1;

    return NULL;
}


static ngx_mcp_redis_server_t *
ngx_mcp_redis_server_push(ngx_conf_t *cf, ngx_mcp_redis_conf_t *rcf)
{
    ngx_mcp_redis_server_t  *server;

    if (rcf->servers == NULL) {
        rcf->servers = ngx_array_create(cf->pool, 1,
                                        sizeof(ngx_mcp_redis_server_t));
        if (rcf->servers == NULL) {
            return NULL;
        }
    }

    server = ngx_array_push(rcf->servers);

    if (server) {
        ngx_memzero(server, sizeof(ngx_mcp_redis_server_t));
    }

    return server;
}


static ngx_int_t
ngx_mcp_redis_server_set(ngx_conf_t *cf, ngx_mcp_redis_server_t *server,
    ngx_url_t *u)
{
    u_char  *p;

    p = ngx_pnalloc(cf->pool, u->host.len + sizeof(":65535") - 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    server->name.data = p;
    server->name.len = ngx_sprintf(p, "%V:%ui", &u->host, (ngx_uint_t) u->port)
                       - p;

    server->host = u->host;
    server->port = u->port;

    if (server->host.data[0] == '[') {
        server->host.data++;
        server->host.len -= 2;
    }

    if (u->naddrs) {
        server->addrs = u->addrs;
        server->naddrs = u->naddrs;
    }

    return NGX_OK;
}


ngx_int_t
ngx_mcp_redis_server_resolve(ngx_conf_t *cf, ngx_mcp_redis_conf_t *rcf,
    const char *directive)
{
    ngx_url_t                  u;
    ngx_uint_t                 i;
    ngx_mcp_redis_server_t    *server;
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (clcf->resolver && ngx_mcp_redis_server_resolver(clcf->resolver)) {
        rcf->resolver = clcf->resolver;
        rcf->resolver_timeout = (clcf->resolver_timeout == NGX_CONF_UNSET_MSEC)
                                ? 30000 : clcf->resolver_timeout;

        return NGX_OK;
    }

    server = rcf->servers->elts;

    for (i = 0; i < rcf->servers->nelts; i++) {

        if (server[i].addrs) {
            continue;
        }

        ngx_memzero(&u, sizeof(ngx_url_t));

        u.url = server[i].host;
        u.default_port = server[i].port;

        if (ngx_parse_url(cf->pool, &u) != NGX_OK) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "%s in \"%s\" \"%V\", a \"resolver\" at the http "
                          "level would look it up at run time",
                          u.err ? u.err : "no memory", directive,
                          &server[i].name);
            return NGX_ERROR;
        }

        server[i].addrs = u.addrs;
        server[i].naddrs = u.naddrs;
    }

    return NGX_OK;
}


/*
 * Returns whether the directive "resolver" names servers: without it there is
 * a resolver that has none, and in Angie one that asks those of
 * /etc/resolv.conf, but does not know the names of /etc/hosts.
 */

static ngx_uint_t
ngx_mcp_redis_server_resolver(ngx_resolver_t *resolver)
{
#if (defined angie_version && angie_version >= 1012000)
    return resolver->connections != NULL && resolver->resolv_conf.len == 0;
#else
    return resolver->connections.nelts != 0;
#endif
}

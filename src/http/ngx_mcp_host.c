
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * The names of hosts by which a server knows itself.  With DNS rebinding a
 * foreign page has a name of its own lead to this server, and its Origin
 * equals the Host of its requests; a name that the operator has chosen cannot
 * be used so, and neither can an address.
 *
 * The names are owned by the configuration of a location.
 */

#include "ngx_mcp_host.h"
#include "ngx_mcp_json_text.h"
#include "ngx_mcp_origin.h"


static ngx_int_t ngx_mcp_host_public(ngx_conf_t *cf, ngx_mcp_loc_conf_t *conf);
static ngx_uint_t ngx_mcp_host_is_address(ngx_str_t *host);
static ngx_uint_t ngx_mcp_host_is_name(ngx_http_server_name_t *name,
    ngx_str_t *host);
static ngx_uint_t ngx_mcp_host_begins(ngx_str_t *host, u_char *p, size_t len);
static ngx_uint_t ngx_mcp_host_ends(ngx_str_t *host, u_char *p, size_t len);


ngx_int_t
ngx_mcp_host_names(ngx_conf_t *cf, ngx_mcp_loc_conf_t *conf)
{
    ngx_http_server_name_t    *name;
    ngx_http_core_srv_conf_t  *cscf;

    cscf = ngx_http_conf_get_module_srv_conf(cf, ngx_http_core_module);

    conf->hosts = ngx_array_create(cf->pool, cscf->server_names.nelts + 1,
                                   sizeof(ngx_http_server_name_t));
    if (conf->hosts == NULL) {
        return NGX_ERROR;
    }

    name = ngx_array_push_n(conf->hosts, cscf->server_names.nelts);
    if (name == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(name, cscf->server_names.elts,
               cscf->server_names.nelts * sizeof(ngx_http_server_name_t));

    return ngx_mcp_host_public(cf, conf);
}


/*
 * A URL with variables may have the host that the client has sent, so it does
 * not count.
 */

static ngx_int_t
ngx_mcp_host_public(ngx_conf_t *cf, ngx_mcp_loc_conf_t *conf)
{
    u_char                    *p;
    ngx_str_t                  url;
    ngx_http_server_name_t    *name;
    ngx_http_complex_value_t  *cv;

    cv = conf->public_url;

    if (cv == NULL || cv->lengths || cv->value.len == 0) {
        return NGX_OK;
    }

    /* a normal form of http[s] has a port */

    if (ngx_mcp_origin_normalize(cf->pool, &cv->value, &url) != NGX_OK) {
        return NGX_ERROR;
    }

    name = ngx_array_push(conf->hosts);
    if (name == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(name, sizeof(ngx_http_server_name_t));

    p = ngx_strlchr(url.data, url.data + url.len, ':') + sizeof("://") - 1;

    name->name.data = p;

    for (p = url.data + url.len - 1; *p != ':'; p--) { /* void */ }

    name->name.len = p - name->name.data;

    return NGX_OK;
}


ngx_int_t
ngx_mcp_host_known(ngx_http_request_t *r, ngx_str_t *host)
{
    ngx_str_t                lower;
    ngx_uint_t               i;
    ngx_mcp_ctx_t           *ctx;
    ngx_mcp_loc_conf_t      *conf;
    ngx_http_server_name_t  *name;

    conf = ngx_http_get_module_loc_conf(r, ngx_http_mcp_sse_module);
    ctx = ngx_http_get_module_ctx(r, ngx_http_mcp_sse_module);

    lower.len = host->len;
    lower.data = ngx_pnalloc(r->pool, host->len);
    if (lower.data == NULL) {
        return NGX_ERROR;
    }

    ngx_strlow(lower.data, host->data, host->len);

    /* nginx removes the dot of the root, too */

    if (lower.data[lower.len - 1] == '.') {
        lower.len--;
    }

    if (ngx_mcp_str_is(&lower, "localhost")
        || ngx_mcp_host_is_address(&lower))
    {
        return NGX_OK;
    }

    name = conf->hosts->elts;

    for (i = 0; i < conf->hosts->nelts; i++) {
        if (ngx_mcp_host_is_name(&name[i], &lower)) {
            return NGX_OK;
        }
    }

    ctx->reason = "the host is no name of this server: add it to "
                  "server_name, or the origin to mcp_sse_origin";

    return NGX_DECLINED;
}


/* the text of an IPv6 address was validated, ngx_mcp_origin.c */

static ngx_uint_t
ngx_mcp_host_is_address(ngx_str_t *host)
{
    return host->len
           && (host->data[0] == '['
               || ngx_inet_addr(host->data, host->len) != INADDR_NONE);
}


/*
 * The forms of server_name: a name, "*.example.com", ".example.com" (with and
 * without a name in front), "www.example.*", and regular expressions.
 */

static ngx_uint_t
ngx_mcp_host_is_name(ngx_http_server_name_t *name, ngx_str_t *host)
{
    u_char  *p;
    size_t   len;

    p = name->name.data;
    len = name->name.len;

#if (NGX_PCRE)
    if (name->regex) {

        /* ngx_http_regex_exec() would set the captures of the request */

        return ngx_regex_exec(name->regex->regex, host, NULL, 0) >= 0;
    }
#endif

    if (len > 2 && p[0] == '*') {
        return ngx_mcp_host_ends(host, p + 1, len - 1);
    }

    if (len > 1 && p[0] == '.') {
        return ngx_mcp_host_ends(host, p, len)
               || (host->len == len - 1
                   && ngx_memcmp(host->data, p + 1, len - 1) == 0);
    }

    if (len > 2 && p[len - 1] == '*') {
        return ngx_mcp_host_begins(host, p, len - 1);
    }

    return len && host->len == len && ngx_memcmp(host->data, p, len) == 0;
}


static ngx_uint_t
ngx_mcp_host_begins(ngx_str_t *host, u_char *p, size_t len)
{
    return host->len > len && ngx_memcmp(host->data, p, len) == 0;
}


static ngx_uint_t
ngx_mcp_host_ends(ngx_str_t *host, u_char *p, size_t len)
{
    return host->len > len
           && ngx_memcmp(host->data + host->len - len, p, len) == 0;
}

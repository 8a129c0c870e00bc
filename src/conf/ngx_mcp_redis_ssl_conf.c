
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * The directives mcp_sse_redis_ssl_*: the context for connections to Redis is
 * made in the master, which may read the key, as proxy_ssl_* does it.
 */

#include "ngx_mcp_redis_ssl_conf.h"


/* certificates between that of Redis and a trusted one: OpenSSL's own limit */

#define NGX_MCP_REDIS_SSL_DEPTH         100

#define NGX_MCP_REDIS_SSL_MAX_NAME_LEN  255


#if (NGX_SSL)

static ngx_int_t ngx_mcp_redis_ssl_conf_create(ngx_conf_t *cf,
    ngx_mcp_redis_ssl_conf_t *sscf);
static ngx_int_t ngx_mcp_redis_ssl_conf_certificate(ngx_conf_t *cf,
    ngx_mcp_redis_ssl_conf_t *sscf, ngx_ssl_t *ssl);
static ngx_int_t ngx_mcp_redis_ssl_conf_trusted(ngx_conf_t *cf,
    ngx_mcp_redis_ssl_conf_t *sscf, ngx_ssl_t *ssl);


ngx_int_t
ngx_mcp_redis_ssl_conf_set(ngx_conf_t *cf, ngx_mcp_redis_ssl_conf_t *sscf,
    ngx_mcp_redis_conf_t *rcf)
{
    if (!rcf->tls) {
        return NGX_OK;
    }

    if (sscf->name.len > NGX_MCP_REDIS_SSL_MAX_NAME_LEN) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"mcp_sse_redis_ssl_name\" is longer than %d bytes",
                      NGX_MCP_REDIS_SSL_MAX_NAME_LEN);
        return NGX_ERROR;
    }

    if (sscf->ssl == NULL && ngx_mcp_redis_ssl_conf_create(cf, sscf) != NGX_OK)
    {
        return NGX_ERROR;
    }

    rcf->ssl = sscf->ssl;
    rcf->ssl_verify = sscf->verify;
    rcf->ssl_name = sscf->name;

    return NGX_OK;
}


static ngx_int_t
ngx_mcp_redis_ssl_conf_create(ngx_conf_t *cf, ngx_mcp_redis_ssl_conf_t *sscf)
{
    ngx_ssl_t           *ssl;
    ngx_pool_cleanup_t  *cln;

    ssl = ngx_pcalloc(cf->pool, sizeof(ngx_ssl_t));
    if (ssl == NULL) {
        return NGX_ERROR;
    }

    ssl->log = cf->log;

    cln = ngx_pool_cleanup_add(cf->pool, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    if (ngx_ssl_create(ssl, NGX_SSL_TLSv1_2|NGX_SSL_TLSv1_3, NULL) != NGX_OK) {
        return NGX_ERROR;
    }

    cln->handler = ngx_ssl_cleanup_ctx;
    cln->data = ssl;

    if (ngx_mcp_redis_ssl_conf_certificate(cf, sscf, ssl) != NGX_OK
        || ngx_mcp_redis_ssl_conf_trusted(cf, sscf, ssl) != NGX_OK)
    {
        return NGX_ERROR;
    }

    sscf->ssl = ssl;

    return NGX_OK;
}


static ngx_int_t
ngx_mcp_redis_ssl_conf_certificate(ngx_conf_t *cf,
    ngx_mcp_redis_ssl_conf_t *sscf, ngx_ssl_t *ssl)
{
    if (sscf->certificate.len == 0 && sscf->certificate_key.len == 0) {
        return NGX_OK;
    }

    if (sscf->certificate_key.len == 0) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "no \"mcp_sse_redis_ssl_certificate_key\" is defined "
                      "for certificate \"%V\"", &sscf->certificate);
        return NGX_ERROR;
    }

    if (sscf->certificate.len == 0) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "no \"mcp_sse_redis_ssl_certificate\" is defined for "
                      "key \"%V\"", &sscf->certificate_key);
        return NGX_ERROR;
    }

    return ngx_ssl_certificate(cf, ssl, &sscf->certificate,
                               &sscf->certificate_key, NULL);
}


static ngx_int_t
ngx_mcp_redis_ssl_conf_trusted(ngx_conf_t *cf, ngx_mcp_redis_ssl_conf_t *sscf,
    ngx_ssl_t *ssl)
{
    if (ngx_ssl_trusted_certificate(cf, ssl, &sscf->trusted_certificate,
                                    NGX_MCP_REDIS_SSL_DEPTH)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (sscf->trusted_certificate.len == 0
        && SSL_CTX_set_default_verify_paths(ssl->ctx) == 0)
    {
        ngx_ssl_error(NGX_LOG_EMERG, cf->log, 0,
                      "SSL_CTX_set_default_verify_paths() failed");
        return NGX_ERROR;
    }

    /* a file that is not there is no failure, but leaves an error */

    ERR_clear_error();

    return NGX_OK;
}


void
ngx_mcp_redis_ssl_conf_unused(ngx_conf_t *cf, ngx_mcp_redis_ssl_conf_t *sscf)
{
    if (sscf->verify != NGX_CONF_UNSET || sscf->name.len
        || sscf->trusted_certificate.len || sscf->certificate.len
        || sscf->certificate_key.len)
    {
        ngx_log_error(NGX_LOG_WARN, cf->log, 0,
                      "\"mcp_sse_redis_ssl_...\" is ignored without "
                      "\"mcp_sse_redis rediss://...\" or "
                      "\"mcp_sse_events rediss://...\"");
    }
}


#else /* !NGX_SSL */


ngx_int_t
ngx_mcp_redis_ssl_conf_set(ngx_conf_t *cf, ngx_mcp_redis_ssl_conf_t *sscf,
    ngx_mcp_redis_conf_t *rcf)
{
    return NGX_OK;
}


void
ngx_mcp_redis_ssl_conf_unused(ngx_conf_t *cf, ngx_mcp_redis_ssl_conf_t *sscf)
{
    /* void */
}


char *
ngx_mcp_redis_ssl_unsupported(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    return "is not supported, nginx has been built without SSL";
}


#endif /* NGX_SSL */

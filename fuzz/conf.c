
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * A configuration that is being read, for setters of directives.
 *
 * Everything is in the pool of the input.
 */

#include "conf.h"


#define FUZZ_CONF_FORMAT_SIZE  32768


void
fuzz_conf(fuzz_input_t *in, ngx_conf_t *cf, const char *name)
{
    ngx_str_t             arg;
    ngx_http_conf_ctx_t  *ctx;

    ngx_memzero(cf, sizeof(ngx_conf_t));

    cf->pool = in->pool;
    cf->temp_pool = in->pool;
    cf->log = in->log;
    cf->cycle = fuzz_request_alloc(cf->pool, sizeof(ngx_cycle_t));
    cf->cycle->log = in->log;

    ngx_http_core_module.ctx_index = 0;

    /* variables that a value names are added here */

    ctx = fuzz_request_alloc(cf->pool, sizeof(ngx_http_conf_ctx_t));
    ctx->main_conf = fuzz_request_alloc(cf->pool, sizeof(void *));
    ctx->main_conf[0] = fuzz_request_alloc(cf->pool,
                                           sizeof(ngx_http_core_main_conf_t));
    cf->ctx = ctx;

    cf->args = ngx_array_create(in->pool, 4, sizeof(ngx_str_t));
    fuzz_check(cf->args != NULL, "there is memory");

    arg.data = (u_char *) name;
    arg.len = ngx_strlen(name);

    fuzz_conf_arg(cf, &arg);
}


void
fuzz_conf_arg(ngx_conf_t *cf, ngx_str_t *arg)
{
    ngx_str_t  *added;

    added = ngx_array_push(cf->args);
    fuzz_check(added != NULL, "there is memory");

    added->len = arg->len;
    added->data = fuzz_request_alloc(cf->pool, arg->len + 1);

    if (arg->len) {
        ngx_memcpy(added->data, arg->data, arg->len);
    }
}


void
fuzz_conf_lines(ngx_conf_t *cf, ngx_str_t *text)
{
    ngx_str_t  line;

    while (fuzz_request_line(text, &line)) {
        fuzz_conf_arg(cf, &line);
    }
}


void
fuzz_conf_format(ngx_conf_t *cf, const char *fmt, ...)
{
    u_char     *p;
    va_list     args;
    ngx_str_t   arg;

    p = fuzz_request_alloc(cf->pool, FUZZ_CONF_FORMAT_SIZE);

    va_start(args, fmt);
    arg.len = ngx_vslprintf(p, p + FUZZ_CONF_FORMAT_SIZE, fmt, args) - p;
    va_end(args);

    arg.data = p;

    fuzz_conf_arg(cf, &arg);
}

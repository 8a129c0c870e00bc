
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Reads files with secrets: mcp_sse_key, mcp_sse_api_secret.
 *
 * The secrets are in the pool of the cycle.
 */

#include "ngx_mcp_secret_file.h"


#define NGX_MCP_SECRET_FILE_MAX_SIZE  65536    /* bytes; the rest is ignored */


static u_char *ngx_mcp_secret_file_read(ngx_conf_t *cf, ngx_str_t *name,
    size_t *size, ngx_uint_t strict);


ngx_array_t *
ngx_mcp_secret_file_lines(ngx_conf_t *cf, ngx_str_t *name, ngx_uint_t strict)
{
    u_char       *p, *last, *end;
    size_t        size;
    ngx_str_t    *line;
    ngx_array_t  *lines;

    p = ngx_mcp_secret_file_read(cf, name, &size, strict);
    if (p == NULL) {
        return NULL;
    }

    lines = ngx_array_create(cf->pool, 2, sizeof(ngx_str_t));
    if (lines == NULL) {
        return NULL;
    }

    for (last = p + size; p < last; p = end + 1) {

        end = ngx_strlchr(p, last, LF);
        end = end ? end : last;

        if (p == end || *p == '#' || *p == CR) {
            continue;
        }

        line = ngx_array_push(lines);
        if (line == NULL) {
            return NULL;
        }

        line->data = p;
        line->len = end - p;

        if (p[line->len - 1] == CR) {
            line->len--;
        }
    }

    if (lines->nelts == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "no secret in \"%V\", it must have a line that does "
                           "not begin with \"#\"", name);
        return NULL;
    }

    return lines;
}


static u_char *
ngx_mcp_secret_file_read(ngx_conf_t *cf, ngx_str_t *name, size_t *size,
    ngx_uint_t strict)
{
    u_char      *buf;
    ssize_t      n;
    ngx_file_t   file;

    if (ngx_conf_full_name(cf->cycle, name, 1) != NGX_OK) {
        return NULL;
    }

    ngx_memzero(&file, sizeof(ngx_file_t));

    file.name = *name;
    file.log = cf->log;

    file.fd = ngx_open_file(name->data, NGX_FILE_RDONLY, NGX_FILE_OPEN, 0);

    if (file.fd == NGX_INVALID_FILE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           ngx_open_file_n " \"%V\" failed", name);
        return NULL;
    }

    buf = NULL;

    if (ngx_fd_info(file.fd, &file.info) == NGX_FILE_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           ngx_fd_info_n " \"%V\" failed", name);
        goto failed;
    }

    if (file.info.st_mode & S_IRWXO) {
        ngx_conf_log_error(strict ? NGX_LOG_EMERG : NGX_LOG_WARN, cf, 0,
                           "\"%V\" must not be accessible by others, use "
                           "\"chmod o= %V\"", name, name);

        if (strict) {
            goto failed;
        }
    }

    buf = ngx_pnalloc(cf->pool, NGX_MCP_SECRET_FILE_MAX_SIZE);
    if (buf == NULL) {
        goto failed;
    }

    n = ngx_read_file(&file, buf, NGX_MCP_SECRET_FILE_MAX_SIZE, 0);

    if (n == NGX_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           ngx_read_file_n " \"%V\" failed", name);
        buf = NULL;

    } else {
        *size = n;
    }

failed:

    if (ngx_close_file(file.fd) == NGX_FILE_ERROR) {
        ngx_log_error(NGX_LOG_ALERT, cf->log, ngx_errno,
                      ngx_close_file_n " \"%V\" failed", name);
    }

    return buf;
}

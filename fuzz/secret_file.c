
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Files with secrets: the lines are those of a second reading, a file that
 * others may read is no key, and mcp_sse_key and mcp_sse_api_secret take only
 * secrets that can be used.
 *
 * Input: flags, and the bytes of the file.
 */

#include "conf.h"
#include "ngx_mcp_conf.h"
#include "ngx_mcp_secret_file.h"
#include <sys/mman.h>


#define SECRET_FILE_MAX  65536


static ngx_array_t *secret_file_read(ngx_str_t *name, ngx_uint_t strict);
static ngx_array_t *secret_file_expected(ngx_str_t *bytes);
static void secret_file_same(ngx_array_t *a, ngx_array_t *b);
static void secret_file_key(ngx_str_t *name, ngx_array_t *expected,
    ngx_uint_t open);
static void secret_file_api(ngx_str_t *name, ngx_array_t *expected);

static fuzz_input_t  secret_file_in;


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    u_char         path[64];
    ngx_str_t      bytes, name;
    ngx_uint_t     open;
    ngx_array_t   *lines, *expected;
    static int     fd;

    fuzz_begin(&secret_file_in, data, size);

    if (fd == 0) {
        fd = memfd_create("secret", 0);
        fuzz_check(fd > 0, "there is a file");
    }

    open = fuzz_number(&secret_file_in, 255) & 1;
    bytes = fuzz_rest(&secret_file_in);

    fuzz_check(ftruncate(fd, 0) == 0
               && pwrite(fd, bytes.data, bytes.len, 0) == (ssize_t) bytes.len
               && fchmod(fd, open ? 0604 : 0640) == 0, "there is a file");

    name.data = path;
    name.len = ngx_sprintf(path, "/proc/self/fd/%d%Z", fd) - path - 1;

    expected = secret_file_expected(&bytes);

    lines = secret_file_read(&name, 0);
    secret_file_same(lines, expected);

    lines = secret_file_read(&name, 1);

    if (open) {
        fuzz_check(lines == NULL, "a key that others may read is refused");

    } else {
        secret_file_same(lines, expected);
    }

    secret_file_key(&name, expected, open);
    secret_file_api(&name, expected);

    fuzz_end(&secret_file_in);

    return 0;
}


static ngx_array_t *
secret_file_read(ngx_str_t *name, ngx_uint_t strict)
{
    ngx_conf_t  cf;

    fuzz_conf(&secret_file_in, &cf, "mcp_sse_key");

    return ngx_mcp_secret_file_lines(&cf, name, strict);
}


/*
 * Lines end with LF or CR LF; those that are empty or comments do not count.
 */

static ngx_array_t *
secret_file_expected(ngx_str_t *bytes)
{
    size_t        i, len;
    u_char       *start;
    ngx_str_t    *line;
    ngx_array_t  *lines;

    lines = ngx_array_create(secret_file_in.pool, 4, sizeof(ngx_str_t));
    start = bytes->data;
    len = ngx_min(bytes->len, SECRET_FILE_MAX);

    for (i = 0; i <= len; i++) {

        if (i < len && bytes->data[i] != LF) {
            continue;
        }

        if (bytes->data + i > start && *start != '#' && *start != CR) {
            line = ngx_array_push(lines);
            line->data = start;
            line->len = bytes->data + i - start;
            line->len -= (start[line->len - 1] == CR);
        }

        start = bytes->data + i + 1;
    }

    return lines->nelts ? lines : NULL;
}


static void
secret_file_same(ngx_array_t *a, ngx_array_t *b)
{
    ngx_str_t   *la, *lb;
    ngx_uint_t   i;

    fuzz_check((a == NULL) == (b == NULL), "a file has secrets, or not");

    if (a == NULL) {
        return;
    }

    fuzz_check(a->nelts == b->nelts, "each line is a secret");

    la = a->elts;
    lb = b->elts;

    for (i = 0; i < a->nelts; i++) {
        fuzz_check(la[i].len && fuzz_same(&la[i], &lb[i]),
                   "a secret is a line");
    }
}


static void
secret_file_key(ngx_str_t *name, ngx_array_t *expected, ngx_uint_t open)
{
    char                 *rv;
    ngx_str_t            *line;
    ngx_uint_t            i, ok;
    ngx_conf_t            cf;
    ngx_command_t         cmd;
    ngx_mcp_main_conf_t   mcf;

    ngx_memzero(&cmd, sizeof(ngx_command_t));
    ngx_memzero(&mcf, sizeof(ngx_mcp_main_conf_t));

    fuzz_conf(&secret_file_in, &cf, "mcp_sse_key");
    fuzz_conf_arg(&cf, name);

    rv = ngx_mcp_conf_key(&cf, &cmd, &mcf);

    ok = (expected != NULL && !open);
    line = ok ? expected->elts : NULL;

    for (i = 0; ok && i < expected->nelts; i++) {
        ok = (line[i].len >= 32);
    }

    fuzz_check((rv == NGX_CONF_OK) == ok, "a key has 32 bytes or more");
}


static void
secret_file_api(ngx_str_t *name, ngx_array_t *expected)
{
    char                *rv;
    ngx_str_t           *line;
    ngx_uint_t           ok;
    ngx_conf_t           cf;
    ngx_command_t        cmd;
    ngx_mcp_loc_conf_t   conf;

    ngx_memzero(&cmd, sizeof(ngx_command_t));
    ngx_memzero(&conf, sizeof(ngx_mcp_loc_conf_t));

    fuzz_conf(&secret_file_in, &cf, "mcp_sse_api_secret");
    fuzz_conf_arg(&cf, name);

    rv = ngx_mcp_conf_api_secret(&cf, &cmd, &conf);

    line = expected ? expected->elts : NULL;
    ok = line && fuzz_request_visible(line)
         && ngx_strlchr(line->data, line->data + line->len, ':') == NULL;

    fuzz_check((rv == NGX_CONF_OK) == ok,
               "an API secret fits into a credential");
    fuzz_check(!ok || fuzz_same(&conf.api_secret, line),
               "an API secret is the first line");
}


/*
 * What Frappe publishes, by commands, for t/codec/pushed.t (MCPTest::Unit).
 * Each line is a command and one string in hexadecimal digits.
 *
 *     glance MESSAGE    whom it is for
 *     parse MESSAGE     the same, and the rest
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_mcp_pushed.h"


static ngx_str_t
from_hex(const char *text)
{
    size_t     i;
    ngx_str_t  s;

    s.len = strlen(text) / 2;
    s.data = malloc(s.len + 1);

    for (i = 0; i < s.len; i++) {
        s.data[i] = (u_char) ngx_hextoi((u_char *) text + 2 * i, 2);
    }

    return s;
}


static void
print(const char *name, ngx_str_t *s)
{
    if (s->data) {
        printf(" %s=%.*s", name, (int) s->len, s->data);
    }
}


static void
print_address(ngx_mcp_pushed_address_t *to)
{
    print("site", &to->site);
    print("call", &to->call);
    print("user", &to->user);
}


static void
command_glance(ngx_str_t *s)
{
    ngx_mcp_pushed_address_t  to;

    if (ngx_mcp_pushed_address(s, &to) != NGX_OK) {
        printf("parse it");
        return;
    }

    printf("ok");
    print_address(&to);
}


static void
command_parse(ngx_pool_t *pool, ngx_str_t *s)
{
    ngx_int_t         rc;
    ngx_mcp_pushed_t  pushed;

    rc = ngx_mcp_pushed_parse(pool, s, &pushed);

    if (rc != NGX_OK) {
        printf("%s", rc == NGX_DECLINED ? "malformed"
                                        : rc == NGX_ABORT ? "method" : "error");
        return;
    }

    printf("ok");
    print_address(&pushed.to);
    printf(" method=%lu", (unsigned long) pushed.method);
    print("raw", &pushed.raw_method);
    print("reply", &pushed.reply);
    print("progress", &pushed.progress);
    print("total", &pushed.total);
    print("message", &pushed.message);
    print("level", &pushed.level);
    print("uri", &pushed.uri);
    print("raw_uri", &pushed.raw_uri);
    printf("%s%s%s", pushed.url ? " url" : "", pushed.tools ? " tools" : "",
           pushed.context ? " context" : "");
    print("params", &pushed.params);
}


/* runs when nginx is loaded, before its own main() */

__attribute__((constructor)) static void
commands(void)
{
    char        *command, *word;
    ngx_log_t    quiet;
    ngx_str_t    s;
    ngx_pool_t  *pool;
    static char  line[65536];
    static char  out[65536];

    ngx_memzero(&quiet, sizeof(ngx_log_t));
    ngx_pagesize = 4096;
    setvbuf(stdout, out, _IOLBF, sizeof(out));

    while (fgets(line, sizeof(line), stdin)) {
        command = strtok(line, " \n");
        word = strtok(NULL, " \n");
        s = from_hex(word ? word : "");

        if (strcmp(command, "glance") == 0) {
            command_glance(&s);

        } else {
            pool = ngx_create_pool(4096, &quiet);
            command_parse(pool, &s);
            ngx_destroy_pool(pool);
        }

        printf("\n");
        free(s.data);
    }

    exit(0);
}


/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * The directive mcp_sse_redis: what was read, printed as a URL again, is read
 * as the same; the name for logs has no password.
 *
 * Input: the arguments of the directive as lines.
 */

#include "conf.h"
#include "ngx_mcp_redis_url.h"


static ngx_mcp_redis_conf_t *redis_url_read(ngx_conf_t *cf);
static void redis_url_values(ngx_mcp_redis_conf_t *rcf, ngx_str_t *url);
static void redis_url_print(ngx_conf_t *cf, ngx_mcp_redis_conf_t *rcf);
static ngx_str_t redis_url_encode(ngx_str_t *s);
static void redis_url_same(ngx_mcp_redis_conf_t *a,
    ngx_mcp_redis_conf_t *b);

static fuzz_input_t  redis_url_in;


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ngx_str_t              text, *value;
    ngx_conf_t             cf;
    ngx_mcp_redis_conf_t  *rcf, *again;

    fuzz_begin(&redis_url_in, data, size);

    text = fuzz_rest(&redis_url_in);

    fuzz_conf(&redis_url_in, &cf, "mcp_sse_redis");
    fuzz_conf_lines(&cf, &text);

    if (cf.args->nelts > 1) {
        rcf = redis_url_read(&cf);

        if (rcf) {
            value = cf.args->elts;
            redis_url_values(rcf, &value[1]);
        }

        /* to nginx, "unix:" with a port is a socket */

        if (rcf && ngx_strncasecmp(rcf->name.data, (u_char *) "unix", 4) != 0) {

            fuzz_conf(&redis_url_in, &cf, "mcp_sse_redis");
            redis_url_print(&cf, rcf);

            again = redis_url_read(&cf);

            fuzz_check(again != NULL, "a URL that is printed can be read");
            redis_url_same(rcf, again);
        }
    }

    fuzz_end(&redis_url_in);

    return 0;
}


static ngx_mcp_redis_conf_t *
redis_url_read(ngx_conf_t *cf)
{
    ngx_command_t        cmd;
    ngx_mcp_main_conf_t  mcf;

    ngx_memzero(&cmd, sizeof(ngx_command_t));
    ngx_memzero(&mcf, sizeof(ngx_mcp_main_conf_t));
    ngx_str_set(&cmd.name, "mcp_sse_redis");

    return ngx_mcp_redis_url(cf, &cmd, &mcf) == NGX_CONF_OK ? mcf.redis : NULL;
}


static void
redis_url_values(ngx_mcp_redis_conf_t *rcf, ngx_str_t *url)
{
    u_char                  *p;
    ngx_mcp_redis_server_t  *server;

    server = rcf->servers->elts;

    fuzz_check(rcf->servers->nelts == 1 && server->name.len
               && (server->host.len ? server->port != 0
                                    : server->naddrs == 1),
               "there is a server");
    fuzz_check(rcf->database >= 0 && rcf->timeout && rcf->connect_timeout
               && rcf->timeout <= NGX_MAX_INT_T_VALUE
               && rcf->prefix.len <= NGX_MCP_REDIS_MAX_PREFIX_LEN,
               "values are in their ranges");
    fuzz_check(server->host.len
               ? ngx_strncasecmp(url->data, (u_char *) "redis://", 8) == 0
               : ngx_strncasecmp(url->data, (u_char *) "unix:", 5) == 0
                 && server->name.data[0] == '/',
               "the scheme tells which");

    /* what follows the last "@", if there is a password */

    if (rcf->password.len) {
        p = url->data + url->len;

        while (p > url->data && p[-1] != '@') {
            p--;
        }

        fuzz_check(rcf->name.data >= p || server->host.len == 0,
                   "the name for logs has no password");
        fuzz_check(server->host.len
                   || ngx_strncmp(p, rcf->name.data, rcf->name.len) == 0,
                   "the name for logs has no password");
    }
}


static void
redis_url_print(ngx_conf_t *cf, ngx_mcp_redis_conf_t *rcf)
{
    ngx_str_t                user, password;
    ngx_mcp_redis_server_t  *server;

    server = rcf->servers->elts;

    user = redis_url_encode(&rcf->user);
    password = redis_url_encode(&rcf->password);

    if (server->host.len) {
        fuzz_conf_format(cf, "redis://%V%s%V%s%V/%i", &user,
                         password.len ? ":" : "", &password,
                         password.len ? "@" : "", &server->name,
                         rcf->database);

    } else {
        fuzz_conf_format(cf, "unix://%V%s%V%s%V?db=%i",
                         &user, password.len ? ":" : "", &password,
                         password.len ? "@" : "", &rcf->name, rcf->database);
    }

    fuzz_conf_format(cf, "prefix=%V", &rcf->prefix);
    fuzz_conf_format(cf, "timeout=%Mms", rcf->timeout);
    fuzz_conf_format(cf, "connect_timeout=%Mms", rcf->connect_timeout);
}


static ngx_str_t
redis_url_encode(ngx_str_t *s)
{
    size_t      i;
    u_char     *p;
    ngx_str_t   encoded;

    p = fuzz_alloc(&redis_url_in, 3 * s->len);
    encoded.data = p;

    for (i = 0; i < s->len; i++) {
        p = ngx_sprintf(p, "%%%02xd", (ngx_int_t) s->data[i]);
    }

    encoded.len = p - encoded.data;

    return encoded;
}


static void
redis_url_same(ngx_mcp_redis_conf_t *a, ngx_mcp_redis_conf_t *b)
{
    ngx_mcp_redis_server_t  *x, *y;

    x = a->servers->elts;
    y = b->servers->elts;

    fuzz_check(fuzz_same(&x->name, &y->name)
               && fuzz_same(&x->host, &y->host)
               && x->port == y->port
               && fuzz_same(&a->user, &b->user)
               && fuzz_same(&a->password, &b->password)
               && fuzz_same(&a->prefix, &b->prefix)
               && a->database == b->database
               && a->timeout == b->timeout
               && a->connect_timeout == b->connect_timeout,
               "values that are printed are read as they were");
}


/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * The directive mcp_sse_redis: a second, strict reader accepts what the first
 * one does, and with the same values; the name for logs has no password.
 *
 * Input: the arguments of the directive as lines.
 */

#include "conf.h"
#include "ngx_mcp_redis_conf.h"
#include "ngx_mcp_redis_slot.h"


typedef struct {
    ngx_str_t                host;
    ngx_uint_t               port;
} model_server_t;


typedef struct {
    ngx_uint_t               tls;
    ngx_uint_t               unix_socket;
    ngx_mcp_redis_mode_e     mode;
    ngx_str_t                name;
    ngx_str_t                user;
    ngx_str_t                password;
    ngx_str_t                master;
    ngx_str_t                prefix;
    ngx_uint_t               has_prefix;
    ngx_int_t                database;
    ngx_int_t                timeout;
    ngx_int_t                connect_timeout;
    ngx_uint_t               nservers;
    model_server_t          *servers;
} model_t;


static ngx_uint_t redis_url_reads_file(ngx_conf_t *cf);
static void redis_url_same(ngx_mcp_redis_conf_t *rcf, model_t *m);
static void redis_url_secret(ngx_mcp_redis_conf_t *rcf, ngx_str_t *url);

static ngx_uint_t model_read(ngx_conf_t *cf, model_t *m);
static ngx_uint_t model_parameter(ngx_str_t *arg, model_t *m);
static ngx_uint_t model_time(ngx_str_t value, ngx_int_t *time);
static ngx_uint_t model_url(ngx_str_t url, model_t *m);
static ngx_uint_t model_user(ngx_str_t *rest, model_t *m);
static ngx_uint_t model_decode(ngx_str_t text, ngx_str_t *to);
static ngx_uint_t model_path(ngx_str_t rest, model_t *m);
static ngx_uint_t model_hosts(ngx_str_t rest, model_t *m);
static ngx_uint_t model_host(ngx_str_t text, model_t *m);
static ngx_uint_t model_number(ngx_str_t text, ngx_int_t *number);
static ngx_uint_t model_tagged(ngx_str_t *prefix);

static ngx_uint_t model_skip(ngx_str_t *s, const char *text);
static ngx_uint_t model_split(ngx_str_t s, u_char ch, ngx_str_t *before,
    ngx_str_t *after);

static fuzz_input_t  redis_url_in;


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    model_t               *m;
    ngx_int_t              rc;
    ngx_str_t              text, *value;
    ngx_conf_t             cf;
    ngx_mcp_redis_conf_t   rcf;

    fuzz_begin(&redis_url_in, data, size);

    text = fuzz_rest(&redis_url_in);

    fuzz_conf(&redis_url_in, &cf, "mcp_sse_redis");
    fuzz_conf_lines(&cf, &text);

    if (cf.args->nelts > 1 && !redis_url_reads_file(&cf)) {
        ngx_memzero(&rcf, sizeof(ngx_mcp_redis_conf_t));
        m = fuzz_alloc(&redis_url_in, sizeof(model_t));
        ngx_memzero(m, sizeof(model_t));

        value = cf.args->elts;

        m->servers = fuzz_alloc(&redis_url_in,
                                (value[1].len + 1) * sizeof(model_server_t));
        ngx_memzero(m->servers, (value[1].len + 1) * sizeof(model_server_t));

        rc = ngx_mcp_redis_conf_read(&cf, &rcf, 0);

        if (model_read(&cf, m)) {
            fuzz_check(rc == NGX_OK, "what the model accepts is accepted");
            redis_url_same(&rcf, m);
            redis_url_secret(&rcf, &value[1]);

        } else {
            fuzz_check(rc == NGX_ERROR, "what the model refuses is refused");
        }
    }

    fuzz_end(&redis_url_in);

    return 0;
}


/*
 * Files are read by fuzz/secret_file.c.
 */

static ngx_uint_t
redis_url_reads_file(ngx_conf_t *cf)
{
    ngx_str_t   *value, rest;
    ngx_uint_t   i;

    value = cf->args->elts;

    for (i = 2; i < cf->args->nelts; i++) {
        rest = value[i];

        if (model_skip(&rest, "sentinel_auth=") && rest.len) {
            return 1;
        }
    }

    return 0;
}


static void
redis_url_same(ngx_mcp_redis_conf_t *rcf, model_t *m)
{
    size_t                   len;
    ngx_uint_t               i;
    ngx_mcp_redis_server_t  *server;

    fuzz_check(rcf->tls == m->tls && rcf->mode == m->mode
               && fuzz_same(&rcf->name, &m->name)
               && fuzz_same(&rcf->user, &m->user)
               && fuzz_same(&rcf->password, &m->password)
               && fuzz_same(&rcf->master, &m->master)
               && fuzz_same(&rcf->prefix, &m->prefix)
               && rcf->database == m->database
               && rcf->timeout == (ngx_msec_t) m->timeout
               && rcf->connect_timeout == (ngx_msec_t) m->connect_timeout,
               "the values are those of the model");
    fuzz_check(rcf->slot < NGX_MCP_REDIS_SLOTS
               && (rcf->mode == NGX_MCP_REDIS_CLUSTER || rcf->slot == 0),
               "the slot is in its range");
    fuzz_check(rcf->servers->nelts == m->nservers, "all servers are read");

    server = rcf->servers->elts;

    for (i = 0; i < m->nservers; i++) {
        len = m->servers[i].host.len;

        fuzz_check(fuzz_same(&server[i].host, &m->servers[i].host)
                   && server[i].port == m->servers[i].port,
                   "the servers are those of the model");
        fuzz_check(len ? server[i].name.len > len
                       : server[i].naddrs == 1
                         && fuzz_same(&server[i].name, &rcf->name),
                   "servers have a name");
        fuzz_check((server[i].addrs == NULL) == (server[i].naddrs == 0),
                   "a server has addresses or a name to look up");
    }
}


/*
 * The name for logs is behind the last "@", if there is a password.
 */

static void
redis_url_secret(ngx_mcp_redis_conf_t *rcf, ngx_str_t *url)
{
    u_char  *p;

    if (rcf->password.len == 0) {
        return;
    }

    for (p = url->data + url->len; p > url->data && p[-1] != '@'; p--) {
        /* void */
    }

    fuzz_check(rcf->name.data >= p, "the name for logs has no password");
}


/*
 * These return whether the text is valid.
 */

static ngx_uint_t
model_read(ngx_conf_t *cf, model_t *m)
{
    ngx_str_t   *value;
    ngx_uint_t   i;

    value = cf->args->elts;

    for (i = 2; i < cf->args->nelts; i++) {

        if (!model_parameter(&value[i], m)) {
            return 0;
        }
    }

    m->timeout = m->timeout ? m->timeout : 1000;
    m->connect_timeout = m->connect_timeout ? m->connect_timeout : 1000;

    if (!m->has_prefix && m->mode == NGX_MCP_REDIS_CLUSTER) {
        ngx_str_set(&m->prefix, "{mcp}:");

    } else if (!m->has_prefix) {
        ngx_str_set(&m->prefix, "mcp:");
    }

    if (!model_url(value[1], m)) {
        return 0;
    }

    if (m->mode == NGX_MCP_REDIS_CLUSTER) {
        return m->database == 0 && model_tagged(&m->prefix);
    }

    return 1;
}


static ngx_uint_t
model_parameter(ngx_str_t *arg, model_t *m)
{
    ngx_str_t  value;

    value = *arg;

    if (model_skip(&value, "prefix=")) {

        if (m->has_prefix) {
            return 0;
        }

        m->prefix = value;
        m->has_prefix = 1;

        return value.len <= NGX_MCP_REDIS_MAX_PREFIX_LEN;
    }

    if (model_skip(&value, "timeout=")) {
        return model_time(value, &m->timeout);
    }

    if (model_skip(&value, "connect_timeout=")) {
        return model_time(value, &m->connect_timeout);
    }

    if (m->mode != NGX_MCP_REDIS_PLAIN) {
        return 0;
    }

    if (model_skip(&value, "sentinel=")) {
        m->mode = NGX_MCP_REDIS_SENTINEL;
        m->master = value;

        return value.len != 0;
    }

    m->mode = NGX_MCP_REDIS_CLUSTER;

    return model_skip(&value, "cluster") && value.len == 0;
}


static ngx_uint_t
model_time(ngx_str_t value, ngx_int_t *time)
{
    if (*time) {
        return 0;
    }

    *time = ngx_parse_time(&value, 0);

    return *time > 0;
}


static ngx_uint_t
model_url(ngx_str_t url, model_t *m)
{
    ngx_str_t  scheme, rest;

    if (!model_split(url, ':', &scheme, &rest)) {
        return 0;
    }

    ngx_strlow(scheme.data, scheme.data, scheme.len);

    if (fuzz_request_is(&scheme, "unix")) {
        m->unix_socket = 1;
        (void) model_skip(&rest, "//");

        return m->mode == NGX_MCP_REDIS_PLAIN && model_user(&rest, m)
               && model_path(rest, m);
    }

    m->tls = fuzz_request_is(&scheme, "rediss");

    return (m->tls || fuzz_request_is(&scheme, "redis"))
           && model_skip(&rest, "//")
           && model_user(&rest, m) && model_hosts(rest, m);
}


static ngx_uint_t
model_user(ngx_str_t *rest, model_t *m)
{
    size_t     i, at;
    ngx_str_t  userinfo, user, password;

    at = rest->len;

    for (i = 0; i < rest->len; i++) {
        at = (rest->data[i] == '@') ? i : at;
    }

    if (at == rest->len || rest->data[0] == '/') {
        return 1;
    }

    userinfo.data = rest->data;
    userinfo.len = at;

    rest->data += at + 1;
    rest->len -= at + 1;

    return model_split(userinfo, ':', &user, &password) && password.len
           && model_decode(user, &m->user)
           && model_decode(password, &m->password);
}


static ngx_uint_t
model_decode(ngx_str_t text, ngx_str_t *to)
{
    size_t     i;
    uint32_t   hex;
    u_char     digits[5];

    to->data = fuzz_alloc(&redis_url_in, text.len + 1);

    for (i = 0; i < text.len; i++) {

        if (text.data[i] != '%') {
            to->data[to->len++] = text.data[i];
            continue;
        }

        if (text.len - i < 3) {
            return 0;
        }

        ngx_memcpy(digits, "00", 2);
        ngx_memcpy(digits + 2, text.data + i + 1, 2);
        digits[4] = '\0';

        if (!strict_hex(digits, &hex)) {
            return 0;
        }

        to->data[to->len++] = (u_char) hex;
        i += 2;
    }

    return 1;
}


static ngx_uint_t
model_path(ngx_str_t rest, model_t *m)
{
    ngx_str_t  path, query;

    if (model_split(rest, '?', &path, &query)) {

        if (!model_skip(&query, "db=") || !model_number(query, &m->database)) {
            return 0;
        }

        rest = path;
    }

    m->name = rest;
    m->nservers = 1;

    return rest.len && rest.data[0] == '/'
           && rest.len < sizeof(((struct sockaddr_un *) NULL)->sun_path);
}


static ngx_uint_t
model_hosts(ngx_str_t rest, model_t *m)
{
    ngx_str_t  hosts, host, database;

    if (model_split(rest, '/', &hosts, &database)) {

        if (database.len && !model_number(database, &m->database)) {
            return 0;
        }

        rest = hosts;
    }

    m->name = rest;

    while (model_split(rest, ',', &host, &rest)) {

        if (m->mode == NGX_MCP_REDIS_PLAIN || !model_host(host, m)) {
            return 0;
        }
    }

    return model_host(rest, m);
}


static ngx_uint_t
model_host(ngx_str_t text, model_t *m)
{
    size_t           i;
    u_char           in6[16], ch;
    ngx_int_t        number;
    ngx_str_t        host, port;
    model_server_t  *server;

    server = &m->servers[m->nservers++];
    number = (m->mode == NGX_MCP_REDIS_SENTINEL) ? 26379 : 6379;

    if (model_skip(&text, "[")) {

        if (!model_split(text, ']', &host, &port)
            || ngx_inet6_addr(host.data, host.len, in6) != NGX_OK)
        {
            return 0;
        }

        if (port.len && (!model_skip(&port, ":")
                         || !model_number(port, &number)))
        {
            return 0;
        }

    } else if (model_split(text, ':', &host, &port)) {

        if (!model_number(port, &number)
            || (host.len == 4
                && ngx_strncasecmp(host.data, (u_char *) "unix", 4) == 0))
        {
            return 0;
        }

    } else {
        host = text;
    }

    for (i = 0; i < host.len; i++) {
        ch = host.data[i];

        if (!isascii(ch)
            || (!isalnum(ch) && !(ch && ngx_strchr("-._:", ch))))
        {
            return 0;
        }
    }

    server->host = host;
    server->port = number;

    return host.len > 0 && host.len <= 255 && number > 0 && number <= 65535;
}


static ngx_uint_t
model_number(ngx_str_t text, ngx_int_t *number)
{
    *number = ngx_atoi(text.data, text.len);

    return *number >= 0;
}


static ngx_uint_t
model_tagged(ngx_str_t *prefix)
{
    ngx_str_t  before, tag, after;

    return model_split(*prefix, '{', &before, &tag)
           && model_split(tag, '}', &tag, &after) && tag.len;
}


/*
 * Takes the text off from the beginning.
 */

static ngx_uint_t
model_skip(ngx_str_t *s, const char *text)
{
    size_t  len;

    len = ngx_strlen(text);

    if (s->len < len || ngx_memcmp(s->data, text, len) != 0) {
        return 0;
    }

    s->data += len;
    s->len -= len;

    return 1;
}


/*
 * Splits at the first such character.
 */

static ngx_uint_t
model_split(ngx_str_t s, u_char ch, ngx_str_t *before, ngx_str_t *after)
{
    size_t  i;

    for (i = 0; i < s.len && s.data[i] != ch; i++) {
        /* void */
    }

    if (i == s.len) {
        return 0;
    }

    before->data = s.data;
    before->len = i;

    after->data = s.data + i + 1;
    after->len = s.len - i - 1;

    return 1;
}

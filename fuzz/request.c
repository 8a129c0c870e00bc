
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * A request of a client, for targets that read one.
 *
 * Everything is in the pool of the input.
 */

#include "request.h"


static ngx_int_t fuzz_request_scheme(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static void fuzz_request_variables(ngx_http_request_t *r, ngx_uint_t tls);
static ngx_uint_t fuzz_request_host(ngx_http_request_t *r,
    ngx_table_elt_t *h);
static void fuzz_request_split(ngx_str_t *line, ngx_array_t *members);
static ngx_str_t fuzz_request_trim(u_char *p, u_char *last);


ngx_http_request_t *
fuzz_request(fuzz_input_t *in, ngx_uint_t tls)
{
    ngx_http_request_t  *r;

    ngx_http_core_module.ctx_index = 0;
    ngx_http_mcp_sse_module.ctx_index = 1;

    r = fuzz_request_alloc(in->pool, sizeof(ngx_http_request_t));
    r->pool = in->pool;
    r->method = NGX_HTTP_POST;

    r->connection = fuzz_request_alloc(r->pool, sizeof(ngx_connection_t));
    r->connection->log = in->log;
    ngx_str_set(&r->connection->addr_text, "192.0.2.1");

    fuzz_check(ngx_list_init(&r->headers_in.headers, r->pool, 4,
                             sizeof(ngx_table_elt_t))
               == NGX_OK
               && ngx_list_init(&r->headers_out.headers, r->pool, 4,
                                sizeof(ngx_table_elt_t))
                  == NGX_OK, "there is memory");

    r->main_conf = fuzz_request_alloc(r->pool, 2 * sizeof(void *));
    r->main_conf[0] = fuzz_request_alloc(r->pool,
                                         sizeof(ngx_http_core_main_conf_t));
    fuzz_request_variables(r, tls);

    r->loc_conf = fuzz_request_alloc(r->pool, 2 * sizeof(void *));
    r->loc_conf[1] = fuzz_request_alloc(r->pool, sizeof(ngx_mcp_loc_conf_t));

    r->ctx = fuzz_request_alloc(r->pool, 2 * sizeof(void *));
    r->ctx[1] = fuzz_request_alloc(r->pool, sizeof(ngx_mcp_ctx_t));

    return r;
}


/*
 * nginx finds a variable in a hash; this one has a single element.
 */

static void
fuzz_request_variables(ngx_http_request_t *r, ngx_uint_t tls)
{
    ngx_str_t                   name;
    ngx_hash_elt_t             *elt;
    ngx_http_variable_t        *v;
    ngx_http_core_main_conf_t  *cmcf;

    ngx_str_set(&name, "scheme");
    cmcf = ngx_http_get_module_main_conf(r, ngx_http_core_module);

    v = fuzz_request_alloc(r->pool, sizeof(ngx_http_variable_t));
    v->name = name;
    v->get_handler = fuzz_request_scheme;
    v->data = tls;

    /* the element that ends the bucket has the value NULL */

    elt = fuzz_request_alloc(r->pool,
                             2 * (sizeof(ngx_hash_elt_t) + sizeof(void *))
                             + name.len);
    elt->value = v;
    elt->len = (u_short) name.len;
    ngx_memcpy(elt->name, name.data, name.len);

    cmcf->variables_hash.size = 1;
    cmcf->variables_hash.buckets = fuzz_request_alloc(r->pool, sizeof(void *));
    cmcf->variables_hash.buckets[0] = elt;
}


static ngx_int_t
fuzz_request_scheme(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    uintptr_t data)
{
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;
    v->data = (u_char *) (data ? "https" : "http");
    v->len = data ? 5 : 4;

    return NGX_OK;
}


void *
fuzz_request_alloc(ngx_pool_t *pool, size_t size)
{
    void  *p;

    p = ngx_pcalloc(pool, size);
    fuzz_check(p != NULL, "there is memory");

    return p;
}


void
fuzz_request_headers(ngx_http_request_t *r, ngx_str_t *text)
{
    u_char           *colon;
    ngx_str_t         line;
    ngx_uint_t        i;
    ngx_table_elt_t  *h;

    while (fuzz_request_line(text, &line)) {

        colon = ngx_strlchr(line.data, line.data + line.len, ':');

        if (colon == NULL || colon == line.data) {
            continue;
        }

        h = ngx_list_push(&r->headers_in.headers);
        fuzz_check(h != NULL, "there is memory");

        ngx_memzero(h, sizeof(ngx_table_elt_t));

        h->hash = 1;
        h->key.data = line.data;
        h->key.len = colon - line.data;
        h->value = fuzz_request_trim(colon + 1, line.data + line.len);
        h->lowcase_key = fuzz_request_alloc(r->pool, h->key.len);
        ngx_strlow(h->lowcase_key, h->key.data, h->key.len);

        for (i = 0; i < h->key.len; i++) {

            if ((h->lowcase_key[i] < 'a' || h->lowcase_key[i] > 'z')
                && (h->lowcase_key[i] < '0' || h->lowcase_key[i] > '9')
                && h->lowcase_key[i] != '-' && h->lowcase_key[i] != '_')
            {
                h->hash = 0;
            }
        }

        if (h->hash && fuzz_request_is(&h->key, "host")
            && !fuzz_request_host(r, h))
        {
            h->hash = 0;
        }
    }
}


ngx_uint_t
fuzz_request_line(ngx_str_t *text, ngx_str_t *line)
{
    u_char  *p, *last;

    last = text->data + text->len;

    if (text->len == 0) {
        return 0;
    }

    *line = *text;

    for (p = text->data; p < last && *p != LF; p++) {

        if ((*p == '\0' || *p == CR) && line->len == text->len) {
            line->len = p - line->data;
        }
    }

    if (line->len == text->len) {
        line->len = p - line->data;
    }

    p = (p < last) ? p + 1 : p;

    text->data = p;
    text->len = last - p;

    return 1;
}


/*
 * Checks a Host as ngx_http_process_host() does.
 */

static ngx_uint_t
fuzz_request_host(ngx_http_request_t *r, ngx_table_elt_t *h)
{
    u_char     *p, *last;
    ngx_str_t  *server;

    if (r->headers_in.host || h->value.len == 0) {
        return 0;
    }

    server = &r->headers_in.server;
    last = h->value.data + h->value.len;

    server->data = fuzz_request_alloc(r->pool, h->value.len);
    ngx_strlow(server->data, h->value.data, h->value.len);

    for (p = h->value.data; p < last; p++) {

        if (*p <= ' ' || *p == 0x7f || *p == '/') {
            return 0;
        }
    }

    p = (h->value.data[0] == '[') ? ngx_strlchr(h->value.data, last, ']')
                                  : h->value.data;
    p = p ? ngx_strlchr(p, last, ':') : NULL;

    server->len = (p ? p : last) - h->value.data;

    if (server->len && server->data[server->len - 1] == '.') {
        server->len--;
    }

    r->headers_in.host = server->len ? h : NULL;

    return server->len != 0;
}


ngx_str_t
fuzz_request_answer(ngx_http_request_t *r, const char *name)
{
    size_t            k;
    ngx_str_t         value;
    ngx_uint_t        i, n;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    n = 0;
    ngx_str_null(&value);

    for (part = &r->headers_out.headers.part; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {

            if (h[i].hash && fuzz_request_is(&h[i].key, name)) {
                value = h[i].value;
                n++;
            }
        }
    }

    fuzz_check(n == 1, "the response has this header once");

    for (k = 0; k < value.len; k++) {
        fuzz_check(value.data[k] != CR && value.data[k] != LF && value.data[k],
                   "a header of the response is one line");
    }

    return value;
}


void
fuzz_request_values(ngx_http_request_t *r, const char *name,
    ngx_array_t *lines, ngx_array_t *members)
{
    ngx_str_t        *line;
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    fuzz_check(ngx_array_init(lines, r->pool, 4, sizeof(ngx_str_t)) == NGX_OK
               && ngx_array_init(members, r->pool, 4, sizeof(ngx_str_t))
                  == NGX_OK, "there is memory");

    for (part = &r->headers_in.headers.part; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {

            if (h[i].hash && fuzz_request_is(&h[i].key, name)) {
                line = ngx_array_push(lines);
                fuzz_check(line != NULL, "there is memory");

                *line = fuzz_request_trim(h[i].value.data,
                                          h[i].value.data + h[i].value.len);
                fuzz_request_split(line, members);
            }
        }
    }
}


static void
fuzz_request_split(ngx_str_t *line, ngx_array_t *members)
{
    u_char      *p, *start, *last;
    ngx_str_t    member, *added;
    ngx_uint_t   quoted, escaped;

    last = line->data + line->len;
    start = line->data;
    quoted = 0;
    escaped = 0;

    for (p = start; p <= last; p++) {

        if (p == last || (*p == ',' && !quoted)) {
            member = fuzz_request_trim(start, p);
            start = p + 1;

            if (member.len) {
                added = ngx_array_push(members);
                fuzz_check(added != NULL, "there is memory");
                *added = member;
            }

        } else if (escaped) {
            escaped = 0;

        } else if (*p == '"') {
            quoted = !quoted;

        } else {
            escaped = quoted && *p == '\\';
        }
    }
}


static ngx_str_t
fuzz_request_trim(u_char *p, u_char *last)
{
    ngx_str_t  s;

    for ( /* void */ ; p < last && (*p == ' ' || *p == '\t'); p++) {
        /* void */
    }

    for ( /* void */ ; last > p && (last[-1] == ' ' || last[-1] == '\t');
         last--)
    {
        /* void */
    }

    s.data = p;
    s.len = last - p;

    return s;
}


ngx_int_t
fuzz_request_value(ngx_http_request_t *r, const char *name, ngx_str_t *value)
{
    ngx_str_t    *line, *member, *first;
    ngx_uint_t    i;
    ngx_array_t   lines, members;

    fuzz_request_values(r, name, &lines, &members);

    line = lines.elts;
    member = members.elts;

    if (members.nelts == 0) {
        return NGX_DECLINED;
    }

    for (i = 0; i < members.nelts; i++) {

        if (!fuzz_same(&member[i], &member[0])) {
            break;
        }
    }

    *value = member[0];

    if (i == members.nelts) {
        return NGX_OK;
    }

    first = NULL;

    for (i = 0; i < lines.nelts; i++) {

        if (line[i].len == 0) {
            continue;
        }

        if (first && !fuzz_same(first, &line[i])) {
            return NGX_ABORT;
        }

        first = &line[i];
    }

    *value = *first;

    return NGX_OK;
}


ngx_uint_t
fuzz_request_visible(ngx_str_t *s)
{
    size_t  i;

    for (i = 0; i < s->len; i++) {

        if (s->data[i] < '!' || s->data[i] > '~') {
            return 0;
        }
    }

    return s->len != 0;
}


ngx_uint_t
fuzz_request_is(ngx_str_t *s, const char *text)
{
    return s->len == ngx_strlen(text)
           && ngx_strncasecmp(s->data, (u_char *) text, s->len) == 0;
}

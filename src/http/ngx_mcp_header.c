
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Helpers for lists of headers, which differ between versions of nginx.
 *
 * An element is owned by its list, its strings by the caller.
 */

#include "ngx_mcp_header.h"


#define NGX_MCP_HEADER_NAMES         64    /* that are remembered */
#define NGX_MCP_HEADER_MAX_NAME_LEN  24    /* bytes */


/* a name in lower case, its hash, and nginx's handler for it, or NULL */

typedef struct {
    u_char              name[NGX_MCP_HEADER_MAX_NAME_LEN];
    size_t              len;
    ngx_uint_t          hash;
    ngx_http_header_t  *handler;
} ngx_mcp_header_name_t;


static ngx_mcp_header_name_t *ngx_mcp_header_name(ngx_http_request_t *r,
    ngx_str_t *name);
static ngx_uint_t ngx_mcp_header_named(ngx_table_elt_t *h, ngx_str_t *name);
static ngx_str_t ngx_mcp_header_trim(u_char *p, u_char *last);
static ngx_int_t ngx_mcp_header_value_of_list(ngx_list_t *headers,
    ngx_str_t *name, ngx_str_t *value);
static ngx_uint_t ngx_mcp_header_same(ngx_str_t *a, ngx_str_t *b);
static ngx_int_t ngx_mcp_header_cookie_in(ngx_str_t *header, ngx_str_t *name,
    ngx_str_t *value);


static ngx_mcp_header_name_t  ngx_mcp_header_names[NGX_MCP_HEADER_NAMES];


ngx_int_t
ngx_mcp_header_add(ngx_http_request_t *r, const char *name, const char *value)
{
    ngx_str_t  s;

    s.data = (u_char *) value;
    s.len = ngx_strlen(value);

    return ngx_mcp_header_set(r, name, &s);
}


ngx_int_t
ngx_mcp_header_set(ngx_http_request_t *r, const char *name, ngx_str_t *value)
{
    ngx_table_elt_t  *h;

    h = ngx_list_push(&r->headers_out.headers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    h->hash = 1;
    h->key.data = (u_char *) name;
    h->key.len = ngx_strlen(name);
    h->value = *value;
    h->lowcase_key = NULL;

#if (nginx_version >= 1023000)
    h->next = NULL;
#endif

    return NGX_OK;
}


ngx_int_t
ngx_mcp_header_push(ngx_http_request_t *r, ngx_str_t *name, ngx_str_t *value)
{
    ngx_table_elt_t        *h;
    ngx_http_header_t      *hh;
    ngx_mcp_header_name_t  *known;

    h = ngx_list_push(&r->headers_in.headers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    known = ngx_mcp_header_name(r, name);

    h->hash = known->hash;
    h->key = *name;
    h->value = *value;
    h->lowcase_key = name->data;

#if (nginx_version >= 1023000)
    h->next = NULL;
#endif

    /* nginx's handler of Host would select another server */

    if (name->len == 4 && ngx_strncmp(name->data, "host", 4) == 0) {
        r->headers_in.host = h;
        r->headers_in.server = *value;
        return NGX_OK;
    }

    hh = known->handler;

    return hh ? hh->handler(r, h, hh->offset) : NGX_OK;
}


/*
 * Few names come again and again: each is remembered in the place that its
 * length and its last character give, until another one needs it.  A name that
 * is too long is computed each time.  nginx's handlers are static.
 */

static ngx_mcp_header_name_t *
ngx_mcp_header_name(ngx_http_request_t *r, ngx_str_t *name)
{
    ngx_uint_t                  i;
    ngx_mcp_header_name_t      *known;
    ngx_http_core_main_conf_t  *cmcf;

    i = name->len ? name->len + name->data[name->len - 1] : 0;
    known = &ngx_mcp_header_names[i % NGX_MCP_HEADER_NAMES];

    if (known->len
        && known->len == name->len
        && ngx_memcmp(known->name, name->data, name->len) == 0)
    {
        return known;
    }

    cmcf = ngx_http_get_module_main_conf(r, ngx_http_core_module);

    known->hash = ngx_hash_key(name->data, name->len);
    known->handler = ngx_hash_find(&cmcf->headers_in_hash, known->hash,
                                   name->data, name->len);
    known->len = 0;

    if (name->len <= NGX_MCP_HEADER_MAX_NAME_LEN) {
        ngx_memcpy(known->name, name->data, name->len);
        known->len = name->len;
    }

    return known;
}


ngx_table_elt_t *
ngx_mcp_header_first(ngx_list_t *headers, const char *name)
{
    ngx_str_t             s;
    ngx_mcp_header_pos_t  pos;

    s.data = (u_char *) name;
    s.len = ngx_strlen(name);

    ngx_memzero(&pos, sizeof(ngx_mcp_header_pos_t));

    return ngx_mcp_header_find(headers, &s, &pos);
}


ngx_table_elt_t *
ngx_mcp_header_find(ngx_list_t *headers, ngx_str_t *name,
    ngx_mcp_header_pos_t *pos)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    part = pos->part ? pos->part : &headers->part;
    i = pos->i;

    for ( /* void */ ; part; part = part->next, i = 0) {

        h = part->elts;

        for ( /* void */ ; i < part->nelts; i++) {

            if (h[i].hash
                && h[i].key.len == name->len
                && ngx_mcp_header_named(&h[i], name))
            {
                pos->part = part;
                pos->i = i + 1;

                return &h[i];
            }
        }
    }

    return NULL;
}


/* headers of requests have their names in lower case, too */

static ngx_uint_t
ngx_mcp_header_named(ngx_table_elt_t *h, ngx_str_t *name)
{
    return (h->lowcase_key
            ? ngx_memcmp(h->lowcase_key, name->data, name->len)
            : ngx_strncasecmp(h->key.data, name->data, name->len))
           == 0;
}


ngx_int_t
ngx_mcp_header_member(ngx_list_t *headers, ngx_str_t *name,
    ngx_mcp_header_pos_t *pos, ngx_str_t *member)
{
    u_char           *p, *last;
    ngx_table_elt_t  *h;

    for ( ;; ) {

        if (pos->rest.len == 0) {
            h = ngx_mcp_header_find(headers, name, pos);
            if (h == NULL) {
                return NGX_DECLINED;
            }

            pos->rest = h->value;
        }

        last = pos->rest.data + pos->rest.len;
        p = ngx_mcp_header_delimiter(pos->rest.data, last, ',');

        *member = ngx_mcp_header_trim(pos->rest.data, p);

        p = (p < last) ? p + 1 : last;

        pos->rest.data = p;
        pos->rest.len = last - p;

        if (member->len) {
            return NGX_OK;
        }
    }
}


u_char *
ngx_mcp_header_delimiter(u_char *p, u_char *last, u_char ch)
{
    u_char      *d;
    ngx_uint_t   quoted;

    d = memchr(p, ch, last - p);
    d = d ? d : last;

    /* in most lines nothing is quoted */

    if (memchr(p, '"', d - p) == NULL) {
        return d;
    }

    quoted = 0;

    for ( /* void */ ; p < last; p++) {

        if (*p == '"') {
            quoted = !quoted;

        } else if (quoted && *p == '\\' && p + 1 < last) {
            p++;

        } else if (!quoted && *p == ch) {
            break;
        }
    }

    return p;
}


/* most clients write names as they are registered */

ngx_uint_t
ngx_mcp_header_word(u_char *p, size_t len, ngx_str_t *word)
{
    return len == word->len
           && (ngx_memcmp(p, word->data, len) == 0
               || ngx_strncasecmp(p, word->data, len) == 0);
}


static ngx_str_t
ngx_mcp_header_trim(u_char *p, u_char *last)
{
    ngx_str_t  s;

    while (p < last && (*p == ' ' || *p == '\t')) {
        p++;
    }

    while (last > p && (last[-1] == ' ' || last[-1] == '\t')) {
        last--;
    }

    s.data = p;
    s.len = last - p;

    return s;
}


ngx_int_t
ngx_mcp_header_value(ngx_list_t *headers, const char *name, ngx_str_t *value)
{
    ngx_str_t              key;
    ngx_table_elt_t       *h;
    ngx_mcp_header_pos_t   pos;

    key.data = (u_char *) name;
    key.len = ngx_strlen(name);

    ngx_str_null(value);
    ngx_memzero(&pos, sizeof(ngx_mcp_header_pos_t));

    h = ngx_mcp_header_find(headers, &key, &pos);

    if (h == NULL) {
        return NGX_DECLINED;
    }

    /* most headers are one line without commas */

    if (memchr(h->value.data, ',', h->value.len) == NULL
        && ngx_mcp_header_find(headers, &key, &pos) == NULL)
    {
        *value = ngx_mcp_header_trim(h->value.data,
                                     h->value.data + h->value.len);

        return value->len ? NGX_OK : NGX_DECLINED;
    }

    return ngx_mcp_header_value_of_list(headers, &key, value);
}


static ngx_int_t
ngx_mcp_header_value_of_list(ngx_list_t *headers, ngx_str_t *name,
    ngx_str_t *value)
{
    ngx_str_t              line, first, next;
    ngx_uint_t             differ;
    ngx_table_elt_t       *h;
    ngx_mcp_header_pos_t   pos;

    differ = 0;

    ngx_memzero(&pos, sizeof(ngx_mcp_header_pos_t));

    while ((h = ngx_mcp_header_find(headers, name, &pos)) != NULL) {

        line = ngx_mcp_header_trim(h->value.data,
                                   h->value.data + h->value.len);

        if (value->len == 0) {
            *value = line;

        } else if (line.len && !ngx_mcp_header_same(&line, value)) {
            differ = 1;
        }
    }

    ngx_memzero(&pos, sizeof(ngx_mcp_header_pos_t));

    if (ngx_mcp_header_member(headers, name, &pos, &first) != NGX_OK) {
        return NGX_DECLINED;
    }

    while (ngx_mcp_header_member(headers, name, &pos, &next) == NGX_OK) {

        if (!ngx_mcp_header_same(&first, &next)) {
            return differ ? NGX_ABORT : NGX_OK;
        }
    }

    *value = first;

    return NGX_OK;
}


static ngx_uint_t
ngx_mcp_header_same(ngx_str_t *a, ngx_str_t *b)
{
    return a->len == b->len && ngx_memcmp(a->data, b->data, a->len) == 0;
}


/*
 * nginx has a function that finds cookies, and another one for them since
 * 1.29.6: the first one takes "," alone for a separator from then on.
 */

ngx_int_t
ngx_mcp_header_cookie(ngx_http_request_t *r, ngx_str_t *name, ngx_str_t *value)
{
    ngx_str_t              cookie;
    ngx_table_elt_t       *h;
    ngx_mcp_header_pos_t   pos;

    ngx_memzero(&pos, sizeof(ngx_mcp_header_pos_t));
    ngx_str_set(&cookie, "cookie");

    for ( ;; ) {
        h = ngx_mcp_header_find(&r->headers_in.headers, &cookie, &pos);

        if (h == NULL) {
            return NGX_DECLINED;
        }

        if (ngx_mcp_header_cookie_in(&h->value, name, value) == NGX_OK) {
            return NGX_OK;
        }
    }
}


/* RFC 6265, 4.2.1: cookie-pair *( ";" SP cookie-pair ) */

static ngx_int_t
ngx_mcp_header_cookie_in(ngx_str_t *header, ngx_str_t *name, ngx_str_t *value)
{
    u_char  *p, *last, *end;

    last = header->data + header->len;

    for (p = header->data; p < last; p = end + 1) {

        while (p < last && *p == ' ') {
            p++;
        }

        end = ngx_strlchr(p, last, ';');
        end = end ? end : last;

        if ((size_t) (end - p) > name->len
            && p[name->len] == '='
            && ngx_strncmp(p, name->data, name->len) == 0)
        {
            value->data = p + name->len + 1;
            value->len = end - value->data;

            return NGX_OK;
        }
    }

    return NGX_DECLINED;
}

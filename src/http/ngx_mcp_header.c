
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Helpers for lists of headers; the one place that depends on nginx's version.
 *
 * An element is owned by its list, its strings by the caller.
 */

#include "ngx_mcp_header.h"


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
    ngx_table_elt_t            *h;
    ngx_http_header_t          *hh;
    ngx_http_core_main_conf_t  *cmcf;

    h = ngx_list_push(&r->headers_in.headers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    h->hash = ngx_hash_key(name->data, name->len);
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

    cmcf = ngx_http_get_module_main_conf(r, ngx_http_core_module);

    hh = ngx_hash_find(&cmcf->headers_in_hash, h->hash, h->lowcase_key,
                       h->key.len);

    return hh ? hh->handler(r, h, hh->offset) : NGX_OK;
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
                && ngx_strncasecmp(h[i].key.data, name->data, name->len) == 0)
            {
                pos->part = part;
                pos->i = i + 1;

                return &h[i];
            }
        }
    }

    return NULL;
}


ngx_int_t
ngx_mcp_header_cookie(ngx_http_request_t *r, ngx_str_t *name, ngx_str_t *value)
{
#if (nginx_version >= 1023000)

    return ngx_http_parse_multi_header_lines(r, r->headers_in.cookie, name,
                                             value)
           ? NGX_OK : NGX_DECLINED;

#else

    return ngx_http_parse_multi_header_lines(&r->headers_in.cookies, name,
                                             value)
           == NGX_DECLINED ? NGX_DECLINED : NGX_OK;

#endif
}

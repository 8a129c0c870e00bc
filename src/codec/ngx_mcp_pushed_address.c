
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Whom a message of Frappe is for, without a parse.
 *
 * Each worker gets all that Frappe publishes, most of it for others: a glance
 * at the first members tells it.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_mcp_json_text.h"
#include "ngx_mcp_pushed_address.h"


static u_char *ngx_mcp_pushed_address_blanks(u_char *p, u_char *last);
static u_char *ngx_mcp_pushed_address_string(u_char *p, u_char *last,
    ngx_str_t *text);
static u_char *ngx_mcp_pushed_address_params(u_char *p, u_char *last);
static u_char *ngx_mcp_pushed_address_skip(u_char *p, u_char *last);
static void ngx_mcp_pushed_address_seen(ngx_str_t *name, ngx_str_t *value,
    ngx_mcp_pushed_address_t *to);


ngx_int_t
ngx_mcp_pushed_address(ngx_str_t *bytes, ngx_mcp_pushed_address_t *to)
{
    u_char     *p, *last;
    ngx_str_t   name, value;

    ngx_memzero(to, sizeof(ngx_mcp_pushed_address_t));

    last = bytes->data + bytes->len;
    p = ngx_mcp_pushed_address_blanks(bytes->data, last);

    if (p == last || *p++ != '{') {
        return NGX_DECLINED;
    }

    for ( ;; ) {
        p = ngx_mcp_pushed_address_string(p, last, &name);
        if (p == NULL) {
            return NGX_DECLINED;
        }

        p = ngx_mcp_pushed_address_blanks(p, last);

        if (p == last || *p++ != ':') {
            return NGX_DECLINED;
        }

        if (ngx_mcp_str_is(&name, "params")) {
            ngx_str_null(&value);
            p = ngx_mcp_pushed_address_params(p, last);

        } else {
            p = ngx_mcp_pushed_address_string(p, last, &value);
        }

        if (p == NULL) {
            return NGX_DECLINED;
        }

        ngx_mcp_pushed_address_seen(&name, &value, to);

        if (to->site.data && (to->call.data || to->user.data)) {
            return NGX_OK;
        }

        p = ngx_mcp_pushed_address_blanks(p, last);

        if (p == last || *p != ',') {

            /* all of it was seen: it is for a site */

            return (p != last && *p == '}' && to->site.data)
                   ? NGX_OK : NGX_DECLINED;
        }

        p++;
    }
}


static u_char *
ngx_mcp_pushed_address_blanks(u_char *p, u_char *last)
{
    while (p != last
           && (*p == ' ' || *p == '\t' || *p == CR || *p == LF))
    {
        p++;
    }

    return p;
}


/*
 * Reads a string without escapes, which may have blanks before it.  Returns its
 * end, or NULL.
 */

static u_char *
ngx_mcp_pushed_address_string(u_char *p, u_char *last,
    ngx_str_t *text)
{
    p = ngx_mcp_pushed_address_blanks(p, last);

    if (p == last || *p++ != '"') {
        return NULL;
    }

    text->data = p;

    for ( ;; ) {
        p = ngx_mcp_json_text_plain(p, last);

        if (p == last || *p == '\\' || *p < 0x20) {
            return NULL;
        }

        if (*p == '"') {
            text->len = p - text->data;
            return p + 1;
        }

        p++;
    }
}


/*
 * Skips an object, which may have blanks before it and need not be valid: only
 * strings can hide braces.  Returns its end, or NULL.
 */

static u_char *
ngx_mcp_pushed_address_params(u_char *p, u_char *last)
{
    ngx_uint_t  depth;

    p = ngx_mcp_pushed_address_blanks(p, last);

    if (p == last || *p != '{') {
        return NULL;
    }

    for (depth = 0; p != last; p++) {

        if (*p == '{') {
            depth++;

        } else if (*p == '}') {
            if (--depth == 0) {
                return p + 1;
            }

        } else if (*p == '"') {
            p = ngx_mcp_pushed_address_skip(p + 1, last);
            if (p == NULL) {
                return NULL;
            }
        }
    }

    return NULL;
}


/*
 * Returns the quote that ends a string, or NULL.
 */

static u_char *
ngx_mcp_pushed_address_skip(u_char *p, u_char *last)
{
    for ( ;; ) {
        p = ngx_mcp_json_text_plain(p, last);

        if (p == last || *p == '"') {
            return (p == last) ? NULL : p;
        }

        if (*p == '\\' && ++p == last) {
            return NULL;
        }

        p++;
    }
}


static void
ngx_mcp_pushed_address_seen(ngx_str_t *name, ngx_str_t *value,
    ngx_mcp_pushed_address_t *to)
{
    if (ngx_mcp_str_is(name, "site")) {
        to->site = *value;

    } else if (ngx_mcp_str_is(name, "call")) {
        to->call = *value;

    } else if (ngx_mcp_str_is(name, "user")) {
        to->user = *value;
    }
}


/*
 * Nothing is kept here.
 */

#include "ngx_mcp_negotiate.h"
#include "ngx_mcp_header.h"


/* how well a media range of Accept names a type */

#define NGX_MCP_NEGOTIATE_ANY_TYPE     1    /* both wildcards */
#define NGX_MCP_NEGOTIATE_ANY_SUBTYPE  2
#define NGX_MCP_NEGOTIATE_NAMED        3


typedef struct {
    ngx_str_t      name;
    unsigned       batches:1;
} ngx_mcp_negotiate_version_t;


typedef struct {
    ngx_str_t      name;
    size_t         type;       /* its part of the name, with the slash */
    ngx_uint_t     least;      /* range that counts */

    ngx_uint_t     best;       /* range so far */
    ngx_uint_t     accepted;
} ngx_mcp_negotiate_media_t;


static ngx_mcp_negotiate_version_t *ngx_mcp_negotiate_served(ngx_str_t *name);
static void ngx_mcp_negotiate_range(ngx_mcp_negotiate_media_t *media,
    u_char *p, u_char *last);
static ngx_uint_t ngx_mcp_negotiate_match(ngx_mcp_negotiate_media_t *media,
    u_char *p, size_t len);
static ngx_uint_t ngx_mcp_negotiate_zero(u_char *p, u_char *last);


/* oldest first */

static ngx_mcp_negotiate_version_t  ngx_mcp_negotiate_versions[] = {
    { ngx_string("2024-11-05"), 1 },
    { ngx_string("2025-03-26"), 1 },
    { ngx_string("2025-06-18"), 0 },
    { ngx_string("2025-11-25"), 0 },
    { ngx_null_string, 0 }
};

static ngx_str_t  ngx_mcp_protocol_version_header =
                                       ngx_string("mcp-protocol-version");
static ngx_str_t  ngx_mcp_accept_header = ngx_string("accept");


/*
 * Without the header it is 2025-03-26, or an initialize.
 */

ngx_int_t
ngx_mcp_negotiate_version(ngx_http_request_t *r)
{
    ngx_table_elt_t                *h;
    ngx_mcp_ctx_t                  *ctx;
    ngx_mcp_negotiate_version_t    *version;
    ngx_mcp_header_pos_t            pos;

    ctx = ngx_http_get_module_ctx(r, ngx_http_mcp_sse_module);
    ctx->batches = 1;

    ngx_memzero(&pos, sizeof(ngx_mcp_header_pos_t));

    for ( ;; ) {
        h = ngx_mcp_header_find(&r->headers_in.headers,
                                &ngx_mcp_protocol_version_header,
                                &pos);
        if (h == NULL) {
            return NGX_OK;
        }

        version = ngx_mcp_negotiate_served(&h->value);

        if (version->name.len == 0) {
            return NGX_DECLINED;
        }

        if (!version->batches) {
            ctx->batches = 0;
        }
    }
}


/*
 * The end of the list, if it is none of them.
 */

static ngx_mcp_negotiate_version_t *
ngx_mcp_negotiate_served(ngx_str_t *name)
{
    ngx_mcp_negotiate_version_t  *version;

    for (version = ngx_mcp_negotiate_versions; version->name.len; version++) {

        if (name->len == version->name.len
            && ngx_strncmp(name->data, version->name.data, name->len) == 0)
        {
            break;
        }
    }

    return version;
}


ngx_str_t
ngx_mcp_negotiate_limit(ngx_str_t *offered)
{
    ngx_mcp_negotiate_version_t  *version;

    version = ngx_mcp_negotiate_served(offered);

    if (version->name.len == 0) {
        version--;
    }

    return version->name;
}


/*
 * RFC 9110, section 12.5.1, except that an event stream is to be asked for by
 * its name: whoever takes anything may not know what to do with one.
 */

void
ngx_mcp_negotiate_accept(ngx_http_request_t *r)
{
    u_char                         *p, *last, *end;
    ngx_table_elt_t                *h;
    ngx_mcp_ctx_t                  *ctx;
    ngx_mcp_negotiate_media_t      *json, *stream, media[2];
    ngx_mcp_header_pos_t            pos;

    ngx_memzero(&pos, sizeof(ngx_mcp_header_pos_t));
    ngx_memzero(media, sizeof(media));

    json = &media[0];
    stream = &media[1];

    ngx_str_set(&json->name, "application/json");
    json->type = sizeof("application/") - 1;
    json->least = NGX_MCP_NEGOTIATE_ANY_TYPE;
    json->accepted = 1;

    ngx_str_set(&stream->name, "text/event-stream");
    stream->type = sizeof("text/") - 1;
    stream->least = NGX_MCP_NEGOTIATE_NAMED;

    for ( ;; ) {
        h = ngx_mcp_header_find(&r->headers_in.headers,
                                &ngx_mcp_accept_header,
                                &pos);
        if (h == NULL) {
            break;
        }

        /* without any Accept everything is accepted */

        if (json->best == 0 && h->value.len) {
            json->accepted = 0;
        }

        end = h->value.data + h->value.len;

        for (p = h->value.data; p < end; p = last + 1) {
            last = ngx_strlchr(p, end, ',');
            last = last ? last : end;

            ngx_mcp_negotiate_range(media, p, last);
        }
    }

    ctx = ngx_http_get_module_ctx(r, ngx_http_mcp_sse_module);

    ctx->accept_json = json->accepted;
    ctx->accept_stream = stream->accepted;
}


static void
ngx_mcp_negotiate_range(ngx_mcp_negotiate_media_t *media, u_char *p,
    u_char *last)
{
    u_char      *end, *params;
    ngx_uint_t   i, how;

    params = ngx_strlchr(p, last, ';');
    params = params ? params : last;

    while (p < params && (*p == ' ' || *p == '\t')) {
        p++;
    }

    for (end = params; end > p && (end[-1] == ' ' || end[-1] == '\t'); end--) {
        /* void */
    }

    for (i = 0; i < 2; i++) {
        how = ngx_mcp_negotiate_match(&media[i], p, end - p);

        /* the range that names it best decides */

        if (how >= media[i].least && how >= media[i].best) {
            media[i].best = how;
            media[i].accepted = !ngx_mcp_negotiate_zero(params, last);
        }
    }
}


static ngx_uint_t
ngx_mcp_negotiate_match(ngx_mcp_negotiate_media_t *media, u_char *p,
    size_t len)
{
    if (len == media->name.len
        && ngx_strncasecmp(p, media->name.data, len) == 0)
    {
        return NGX_MCP_NEGOTIATE_NAMED;
    }

    if (len == media->type + 1
        && p[media->type] == '*'
        && ngx_strncasecmp(p, media->name.data, media->type) == 0)
    {
        return NGX_MCP_NEGOTIATE_ANY_SUBTYPE;
    }

    return (len == 3 && ngx_strncmp(p, "*/*", 3) == 0)
           ? NGX_MCP_NEGOTIATE_ANY_TYPE : 0;
}


/*
 * Whether parameters say that it is not accepted: q=0, or 0.000.
 */

static ngx_uint_t
ngx_mcp_negotiate_zero(u_char *p, u_char *last)
{
    u_char  *end;

    while (p < last) {

        for (p++; p < last && (*p == ' ' || *p == '\t'); p++) { /* void */ }

        end = ngx_strlchr(p, last, ';');
        end = end ? end : last;

        if (end - p > 2 && (p[0] | 0x20) == 'q' && p[1] == '=') {

            for (p += 2; p < end; p++) {
                if (*p != '0' && *p != '.' && *p != ' ' && *p != '\t') {
                    return 0;
                }
            }

            return 1;
        }

        p = end;
    }

    return 0;
}

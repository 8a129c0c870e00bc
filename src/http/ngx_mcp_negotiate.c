
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Negotiation at Streamable HTTP: MCP-Protocol-Version and Accept.
 */

#include "ngx_mcp_negotiate.h"
#include "ngx_mcp_header.h"
#include "ngx_mcp_json_text.h"
#include "ngx_mcp_protocol_version.h"
#include "ngx_mcp_response.h"


/* how specific a media range of Accept is (RFC 9110, 12.5.1) */

#define NGX_MCP_NEGOTIATE_ANY_TYPE     1    /* two wildcards */
#define NGX_MCP_NEGOTIATE_ANY_SUBTYPE  2    /* one */
#define NGX_MCP_NEGOTIATE_NAMED        3

#define NGX_MCP_NEGOTIATE_MAX_LEN  64       /* of a version in a refusal */


typedef struct {
    ngx_str_t      name;
    unsigned       batches:1;
} ngx_mcp_negotiate_version_t;


typedef struct {
    ngx_str_t      name;
    size_t         type;       /* length of the type, with the slash */
    ngx_uint_t     best;       /* most specific range so far */
    ngx_uint_t     accepted;
} ngx_mcp_negotiate_media_t;


static ngx_mcp_negotiate_version_t *ngx_mcp_negotiate_find(ngx_str_t *name);
static void ngx_mcp_negotiate_requested(ngx_http_request_t *r,
    ngx_str_t *version);
static void ngx_mcp_negotiate_range(ngx_mcp_negotiate_media_t *media,
    u_char *p, u_char *last);
static ngx_uint_t ngx_mcp_negotiate_match(ngx_mcp_negotiate_media_t *media,
    u_char *p, size_t len);
static ngx_uint_t ngx_mcp_negotiate_q_zero(u_char *p, u_char *last);


/* versions of MCP, oldest first; JSON-RPC batches were removed in 2025-06-18 */

static ngx_mcp_negotiate_version_t  ngx_mcp_negotiate_versions[] = {
    { ngx_string("2024-11-05"), 1 },
    { ngx_string("2025-03-26"), 1 },
    { ngx_string("2025-06-18"), 0 },
    { ngx_string("2025-11-25"), 0 },
    { ngx_null_string, 0 }
};

static ngx_str_t  ngx_mcp_negotiate_all =
    ngx_string("[\"" NGX_MCP_PROTOCOL_VERSION_MODERN "\",\"2025-11-25\","
               "\"2025-06-18\",\"2025-03-26\",\"2024-11-05\"]");

static ngx_str_t  ngx_mcp_protocol_version_header =
                                       ngx_string("mcp-protocol-version");
static ngx_str_t  ngx_mcp_accept_header = ngx_string("accept");


/*
 * A request without the header is an initialize, or of 2025-03-26 (MCP
 * 2025-11-25, Transports, Protocol version header).
 *
 * The header arrives as a list where a caller of a client library has set it,
 * too, or a proxy has joined two lines.  The order of the members tells
 * nothing, so the newest counts.
 */

ngx_int_t
ngx_mcp_negotiate_version(ngx_http_request_t *r)
{
    ngx_str_t                       name;
    ngx_uint_t                      unknown;
    ngx_mcp_ctx_t                  *ctx;
    ngx_mcp_header_pos_t            pos;
    ngx_mcp_negotiate_version_t    *version, *newest;

    newest = NULL;
    unknown = 0;

    ngx_memzero(&pos, sizeof(ngx_mcp_header_pos_t));

    while (ngx_mcp_header_member(&r->headers_in.headers,
                                 &ngx_mcp_protocol_version_header, &pos,
                                 &name)
           == NGX_OK)
    {
        version = ngx_mcp_negotiate_find(&name);

        if (version->name.len == 0) {

            if (ngx_mcp_protocol_version_is_modern(&name)) {
                return NGX_DONE;
            }

            unknown = 1;

        } else if (newest == NULL || version > newest) {
            newest = version;
        }
    }

    if (unknown) {
        return NGX_DECLINED;
    }

    ctx = ngx_http_get_module_ctx(r, ngx_http_mcp_sse_module);
    ctx->batches = 1;

    if (newest) {
        ctx->version = newest->name;
        ctx->batches = newest->batches;
    }

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "mcp protocol version: \"%V\" batches:%d",
                   &ctx->version, (int) ctx->batches);

    return NGX_OK;
}


/*
 * Returns the version with a name, or the empty one that ends the list.
 */

static ngx_mcp_negotiate_version_t *
ngx_mcp_negotiate_find(ngx_str_t *name)
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


ngx_uint_t
ngx_mcp_negotiate_is_modern(ngx_http_request_t *r)
{
    ngx_str_t             name;
    ngx_mcp_header_pos_t  pos;

    ngx_memzero(&pos, sizeof(ngx_mcp_header_pos_t));

    while (ngx_mcp_header_member(&r->headers_in.headers,
                                 &ngx_mcp_protocol_version_header, &pos,
                                 &name)
           == NGX_OK)
    {
        if (ngx_mcp_protocol_version_is_modern(&name)) {
            return 1;
        }
    }

    return 0;
}


ngx_uint_t
ngx_mcp_negotiate_serves(ngx_str_t *version)
{
    return ngx_mcp_str_is(version, NGX_MCP_PROTOCOL_VERSION_MODERN);
}


ngx_str_t *
ngx_mcp_negotiate_supported(void)
{
    return &ngx_mcp_negotiate_all;
}


ngx_uint_t
ngx_mcp_negotiate_other(ngx_http_request_t *r, ngx_str_t *name)
{
    ngx_mcp_header_pos_t  pos;

    ngx_memzero(&pos, sizeof(ngx_mcp_header_pos_t));

    while (ngx_mcp_header_member(&r->headers_in.headers,
                                 &ngx_mcp_protocol_version_header, &pos, name)
           == NGX_OK)
    {
        if (ngx_mcp_negotiate_find(name)->name.len == 0
            && !ngx_mcp_negotiate_serves(name))
        {
            return 1;
        }
    }

    return 0;
}


/*
 * MCP 2026-07-28, Versioning, Protocol version negotiation.
 */

ngx_int_t
ngx_mcp_negotiate_refuse(ngx_http_request_t *r, ngx_str_t *requested)
{
    u_char     buf[NGX_MCP_NEGOTIATE_MAX_LEN + 2];
    ngx_str_t  data, version;

    if (requested == NULL) {
        version.data = buf;
        ngx_mcp_negotiate_requested(r, &version);
        requested = &version;
    }

    data.data = ngx_pnalloc(r->pool,
                            sizeof("{\"supported\":,\"requested\":}")
                            + ngx_mcp_negotiate_all.len + requested->len);
    if (data.data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    data.len = ngx_sprintf(data.data, "{\"supported\":%V,\"requested\":%V}",
                           &ngx_mcp_negotiate_all, requested)
               - data.data;

    return ngx_mcp_refuse_data(r, NGX_HTTP_BAD_REQUEST, NGX_MCP_ERR_VERSION,
                               "Unsupported protocol version", &data);
}


/*
 * Writes the first version of the header that is not served as a JSON string
 * of at most NGX_MCP_NEGOTIATE_MAX_LEN characters.
 */

static void
ngx_mcp_negotiate_requested(ngx_http_request_t *r, ngx_str_t *version)
{
    u_char      ch, *p;
    size_t      i;
    ngx_str_t   name;

    ngx_str_null(&name);
    (void) ngx_mcp_negotiate_other(r, &name);

    p = version->data;
    *p++ = '"';

    for (i = 0; i < name.len && i < NGX_MCP_NEGOTIATE_MAX_LEN; i++) {
        ch = name.data[i];

        *p++ = (ch < ' ' || ch > '~' || ch == '"' || ch == '\\') ? '?' : ch;
    }

    *p++ = '"';

    version->len = p - version->data;
}


ngx_str_t
ngx_mcp_negotiate_limit(ngx_str_t *offered)
{
    ngx_mcp_negotiate_version_t  *version;

    version = ngx_mcp_negotiate_find(offered);

    if (version->name.len == 0) {
        version--;
    }

    return version->name;
}


/*
 * RFC 9110, 12.5.1, except that a wildcard does not accept an event stream
 * beside JSON: a client that accepts any type, as libraries do by default, may
 * not be able to read one, and can read JSON.
 */

void
ngx_mcp_negotiate_accept(ngx_http_request_t *r)
{
    ngx_str_t                       range;
    ngx_mcp_ctx_t                  *ctx;
    ngx_mcp_negotiate_media_t      *json, *stream, media[2];
    ngx_mcp_header_pos_t            pos;

    ngx_memzero(&pos, sizeof(ngx_mcp_header_pos_t));
    ngx_memzero(media, sizeof(media));

    json = &media[0];
    stream = &media[1];

    ngx_str_set(&json->name, "application/json");
    json->type = sizeof("application/") - 1;
    json->accepted = 1;

    ngx_str_set(&stream->name, "text/event-stream");
    stream->type = sizeof("text/") - 1;

    while (ngx_mcp_header_member(&r->headers_in.headers,
                                 &ngx_mcp_accept_header, &pos, &range)
           == NGX_OK)
    {
        /* a request without Accept accepts JSON */

        if (json->best == 0) {
            json->accepted = 0;
        }

        ngx_mcp_negotiate_range(media, range.data, range.data + range.len);
    }

    ctx = ngx_http_get_module_ctx(r, ngx_http_mcp_sse_module);

    ctx->accept_json = json->accepted;
    ctx->accept_stream = stream->accepted
                         && (stream->best == NGX_MCP_NEGOTIATE_NAMED
                             || !json->accepted);

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "mcp accept: json:%ui stream:%ui",
                   json->accepted, (ngx_uint_t) ctx->accept_stream);
}


static void
ngx_mcp_negotiate_range(ngx_mcp_negotiate_media_t *media, u_char *p,
    u_char *last)
{
    u_char      *end, *params;
    ngx_uint_t   i, specific;

    params = ngx_strlchr(p, last, ';');
    params = params ? params : last;

    for (end = params; end > p && (end[-1] == ' ' || end[-1] == '\t'); end--) {
        /* void */
    }

    for (i = 0; i < 2; i++) {
        specific = ngx_mcp_negotiate_match(&media[i], p, end - p);

        /* the most specific range has precedence */

        if (specific && specific >= media[i].best) {
            media[i].best = specific;
            media[i].accepted = !ngx_mcp_negotiate_q_zero(params, last);
        }
    }
}


static ngx_uint_t
ngx_mcp_negotiate_match(ngx_mcp_negotiate_media_t *media, u_char *p,
    size_t len)
{
    if (ngx_mcp_header_word(p, len, &media->name)) {
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
 * Returns whether parameters have a weight of zero, "q=0" or "q=0.000", which
 * means "not acceptable" (RFC 9110, 12.4.2).
 */

static ngx_uint_t
ngx_mcp_negotiate_q_zero(u_char *p, u_char *last)
{
    u_char  *end;

    while (p < last) {

        for (p++; p < last && (*p == ' ' || *p == '\t'); p++) { /* void */ }

        end = ngx_mcp_header_delimiter(p, last, ';');

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

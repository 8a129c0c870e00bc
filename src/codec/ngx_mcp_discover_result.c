
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * The result of server/discover, made from an answer to initialize member by
 * member; and what a backend answers to server/discover.
 *
 * What is found points into the answer.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_mcp_discover_result.h"
#include "ngx_mcp_json.h"
#include "ngx_mcp_json_text.h"
#include "ngx_mcp_protocol_version.h"


#define NGX_MCP_DISCOVER_RESULT_MAX_DEPTH  512    /* as of an answer */

#define NGX_MCP_DISCOVER_RESULT_TOOLS         0x0001
#define NGX_MCP_DISCOVER_RESULT_PROMPTS       0x0002
#define NGX_MCP_DISCOVER_RESULT_RESOURCES     0x0004
#define NGX_MCP_DISCOVER_RESULT_COMPLETIONS   0x0008
#define NGX_MCP_DISCOVER_RESULT_RESULT        0x0010
#define NGX_MCP_DISCOVER_RESULT_VERSION       0x0020
#define NGX_MCP_DISCOVER_RESULT_CAPABILITIES  0x0040
#define NGX_MCP_DISCOVER_RESULT_SERVER        0x0080
#define NGX_MCP_DISCOVER_RESULT_INSTRUCTIONS  0x0100
#define NGX_MCP_DISCOVER_RESULT_NAME          0x0200
#define NGX_MCP_DISCOVER_RESULT_NUMBER        0x0400
#define NGX_MCP_DISCOVER_RESULT_SUPPORTED     0x0800

#define NGX_MCP_DISCOVER_RESULT_IDENTITY                                      \
    (NGX_MCP_DISCOVER_RESULT_NAME|NGX_MCP_DISCOVER_RESULT_NUMBER)


typedef struct {
    ngx_uint_t   has;          /* capabilities that are objects */
    ngx_uint_t   identity;     /* strings of serverInfo */
    ngx_str_t    version;
    ngx_str_t    server;       /* serverInfo, raw */
    ngx_str_t    instructions; /* raw */
    ngx_str_t   *sought;       /* in supportedVersions */
    unsigned     object:1;     /* there is a result, an object */
    unsigned     found:1;
} ngx_mcp_discover_result_scan_t;


static ngx_int_t ngx_mcp_discover_result_scan(ngx_pool_t *pool,
    ngx_str_t *answer, ngx_mcp_discover_result_scan_t *scan);
static ngx_int_t ngx_mcp_discover_result_value(ngx_mcp_json_walk_t *w,
    ngx_uint_t type, ngx_str_t *raw);
static void ngx_mcp_discover_result_member(
    ngx_mcp_discover_result_scan_t *scan, ngx_uint_t key, ngx_uint_t type,
    ngx_str_t *raw);
static void ngx_mcp_discover_result_inner(ngx_mcp_discover_result_scan_t *scan,
    ngx_uint_t outer, ngx_uint_t key, ngx_uint_t type, ngx_str_t *raw);
static u_char *ngx_mcp_discover_result_capabilities(u_char *p,
    ngx_uint_t has, ngx_uint_t events);


static ngx_conf_bitmask_t  ngx_mcp_discover_result_names[] = {
    { ngx_string("tools"), NGX_MCP_DISCOVER_RESULT_TOOLS },
    { ngx_string("prompts"), NGX_MCP_DISCOVER_RESULT_PROMPTS },
    { ngx_string("resources"), NGX_MCP_DISCOVER_RESULT_RESOURCES },
    { ngx_string("completions"), NGX_MCP_DISCOVER_RESULT_COMPLETIONS },
    { ngx_string("result"), NGX_MCP_DISCOVER_RESULT_RESULT },
    { ngx_string("protocolVersion"), NGX_MCP_DISCOVER_RESULT_VERSION },
    { ngx_string("capabilities"), NGX_MCP_DISCOVER_RESULT_CAPABILITIES },
    { ngx_string("serverInfo"), NGX_MCP_DISCOVER_RESULT_SERVER },
    { ngx_string("instructions"), NGX_MCP_DISCOVER_RESULT_INSTRUCTIONS },
    { ngx_string("name"), NGX_MCP_DISCOVER_RESULT_NAME },
    { ngx_string("version"), NGX_MCP_DISCOVER_RESULT_NUMBER },
    { ngx_string("supportedVersions"), NGX_MCP_DISCOVER_RESULT_SUPPORTED },
    { ngx_null_string, 0 }
};


ngx_int_t
ngx_mcp_discover_result(ngx_pool_t *pool, ngx_str_t *answer,
    ngx_str_t *versions, ngx_str_t *server_info, ngx_uint_t events,
    ngx_mcp_discover_result_t *d)
{
    u_char                          *p;
    size_t                           size;
    ngx_int_t                        rc;
    ngx_mcp_discover_result_scan_t   scan;

    ngx_memzero(d, sizeof(ngx_mcp_discover_result_t));

    ngx_memzero(&scan, sizeof(ngx_mcp_discover_result_scan_t));

    rc = ngx_mcp_discover_result_scan(pool, answer, &scan);
    if (rc != NGX_OK) {
        return rc;
    }

    d->version = scan.version;

    if (scan.identity == NGX_MCP_DISCOVER_RESULT_IDENTITY) {
        d->server_info = scan.server;
        server_info = &scan.server;
    }

    size = sizeof("{\"resultType\":\"complete\",\"supportedVersions\":,"
                  "\"capabilities\":{\"tools\":{},\"prompts\":{},"
                  "\"resources\":{},\"completions\":{},\"logging\":{}},"
                  "\"instructions\":,"
                  "\"ttlMs\":,\"cacheScope\":\"private\",\"_meta\":{"
                  "\"io.modelcontextprotocol/serverInfo\":}}")
           + 3 * sizeof("\"listChanged\":true") + sizeof(",\"subscribe\":true")
           + NGX_INT_T_LEN + versions->len + server_info->len
           + scan.instructions.len;

    p = ngx_pnalloc(pool, size);
    if (p == NULL) {
        return NGX_ERROR;
    }

    d->result.data = p;

    p = ngx_sprintf(p, "{\"resultType\":\"complete\",\"supportedVersions\":%V,"
                    "\"capabilities\":{", versions);
    p = ngx_mcp_discover_result_capabilities(p, scan.has, events);
    *p++ = '}';

    if (scan.instructions.len) {
        p = ngx_sprintf(p, ",\"instructions\":%V", &scan.instructions);
    }

    p = ngx_sprintf(p, ",\"ttlMs\":%d,\"cacheScope\":\"private\",\"_meta\":{"
                    "\"io.modelcontextprotocol/serverInfo\":%V}}",
                    NGX_MCP_DISCOVER_TTL_MS, server_info);

    d->result.len = p - d->result.data;

    return NGX_OK;
}


static u_char *
ngx_mcp_discover_result_capabilities(u_char *p, ngx_uint_t has,
    ngx_uint_t events)
{
    u_char              *start;
    const char          *members;
    ngx_conf_bitmask_t  *name;

    start = p;

    for (name = ngx_mcp_discover_result_names;
         name->mask <= NGX_MCP_DISCOVER_RESULT_COMPLETIONS;
         name++)
    {
        if (!(has & name->mask)) {
            continue;
        }

        members = "";

        if (events && name->mask != NGX_MCP_DISCOVER_RESULT_COMPLETIONS) {
            members = (name->mask == NGX_MCP_DISCOVER_RESULT_RESOURCES)
                      ? "\"subscribe\":true,\"listChanged\":true"
                      : "\"listChanged\":true";
        }

        p = ngx_sprintf(p, "%s\"%V\":{%s}", p > start ? "," : "",
                        &name->name, members);
    }

    if (events) {
        p = ngx_sprintf(p, "%s\"logging\":{}", p > start ? "," : "");
    }

    return p;
}


ngx_int_t
ngx_mcp_discover_supports(ngx_pool_t *pool, ngx_str_t *answer,
    ngx_str_t *version)
{
    ngx_int_t                       rc;
    ngx_mcp_discover_result_scan_t  scan;

    ngx_memzero(&scan, sizeof(ngx_mcp_discover_result_scan_t));

    scan.sought = version;

    rc = ngx_mcp_discover_result_scan(pool, answer, &scan);
    if (rc != NGX_OK) {
        return rc;
    }

    return scan.found ? NGX_OK : NGX_DECLINED;
}


static ngx_int_t
ngx_mcp_discover_result_scan(ngx_pool_t *pool, ngx_str_t *answer,
    ngx_mcp_discover_result_scan_t *scan)
{
    ngx_int_t            rc;
    ngx_mcp_json_walk_t  w;

    ngx_memzero(&w, sizeof(ngx_mcp_json_walk_t));

    w.pool = pool;
    w.body = answer;
    w.names = ngx_mcp_discover_result_names;
    w.value = ngx_mcp_discover_result_value;
    w.data = scan;
    w.max_depth = NGX_MCP_DISCOVER_RESULT_MAX_DEPTH;

    rc = ngx_mcp_json_walk(&w);
    if (rc != NGX_OK) {
        return rc;
    }

    return scan->object ? NGX_OK : NGX_DECLINED;
}


static ngx_int_t
ngx_mcp_discover_result_value(ngx_mcp_json_walk_t *w, ngx_uint_t type,
    ngx_str_t *raw)
{
    ngx_mcp_json_level_t            *l;
    ngx_mcp_discover_result_scan_t  *scan;

    scan = w->data;
    l = w->level;

    if (w->depth == 0 || l[1].key != NGX_MCP_DISCOVER_RESULT_RESULT) {
        return NGX_OK;
    }

    switch (w->depth) {

    case 1:
        scan->object = (type == NGX_MCP_JSON_OBJECT);
        break;

    case 2:
        ngx_mcp_discover_result_member(scan, l[2].key, type, raw);
        break;

    case 3:
        ngx_mcp_discover_result_inner(scan, l[2].key, l[3].key, type, raw);
        break;
    }

    return NGX_OK;
}


static void
ngx_mcp_discover_result_member(ngx_mcp_discover_result_scan_t *scan,
    ngx_uint_t key, ngx_uint_t type, ngx_str_t *raw)
{
    ngx_str_t  text;

    switch (key) {

    case NGX_MCP_DISCOVER_RESULT_VERSION:

        if (type == NGX_MCP_JSON_STRING) {
            text.data = raw->data + 1;
            text.len = raw->len - 2;

            if (ngx_mcp_protocol_version_is_date(&text)) {
                scan->version = text;
            }
        }

        return;

    case NGX_MCP_DISCOVER_RESULT_SERVER:

        if (type == NGX_MCP_JSON_OBJECT) {
            scan->server = *raw;
        }

        return;

    case NGX_MCP_DISCOVER_RESULT_INSTRUCTIONS:

        if (type == NGX_MCP_JSON_STRING) {
            scan->instructions = *raw;
        }
    }
}


/*
 * A member of a member of the result, or an element of supportedVersions.
 */

static void
ngx_mcp_discover_result_inner(ngx_mcp_discover_result_scan_t *scan,
    ngx_uint_t outer, ngx_uint_t key, ngx_uint_t type, ngx_str_t *raw)
{
    switch (outer) {

    case NGX_MCP_DISCOVER_RESULT_CAPABILITIES:

        if (type == NGX_MCP_JSON_OBJECT) {
            scan->has |= key;
        }

        return;

    case NGX_MCP_DISCOVER_RESULT_SERVER:

        if (type == NGX_MCP_JSON_STRING) {
            scan->identity |= key & NGX_MCP_DISCOVER_RESULT_IDENTITY;
        }

        return;

    case NGX_MCP_DISCOVER_RESULT_SUPPORTED:

        if (scan->sought
            && type == NGX_MCP_JSON_STRING
            && ngx_mcp_json_text_equals(raw, scan->sought))
        {
            scan->found = 1;
        }
    }
}

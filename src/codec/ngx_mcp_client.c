
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * What a client says of itself: its name and its capabilities.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_mcp_client.h"
#include "ngx_mcp_json.h"
#include "ngx_mcp_json_text.h"
#include "ngx_mcp_jsonrpc.h"


/* the first version of MCP in which the module asks clients */

#define NGX_MCP_CLIENT_FIRST_ASKED       "2025-06-18"

/* offsets of the fields of claims */

#define NGX_MCP_CLIENT_CAPABILITIES_POS  2
#define NGX_MCP_CLIENT_NAME_POS          3

#define NGX_MCP_CLIENT_KEY_INFO          0x0001
#define NGX_MCP_CLIENT_KEY_CAPABILITIES  0x0002
#define NGX_MCP_CLIENT_KEY_NAME          0x0004
#define NGX_MCP_CLIENT_KEY_VERSION       0x0008
#define NGX_MCP_CLIENT_KEY_ELICITATION   0x0010
#define NGX_MCP_CLIENT_KEY_SAMPLING      0x0020
#define NGX_MCP_CLIENT_KEY_ROOTS         0x0040
#define NGX_MCP_CLIENT_KEY_FORM          0x0080
#define NGX_MCP_CLIENT_KEY_URL           0x0100
#define NGX_MCP_CLIENT_KEY_TOOLS         0x0200
#define NGX_MCP_CLIENT_KEY_CONTEXT       0x0400


typedef struct {
    ngx_str_t    name;
    ngx_str_t    version;
    ngx_str_t    capabilities;         /* raw */
} ngx_mcp_client_params_t;


/* a member of capabilities, of the one that "parent" names or 0 */

typedef struct {
    ngx_uint_t   parent;
    ngx_uint_t   key;
    ngx_uint_t   capability;
} ngx_mcp_client_member_t;


static ngx_int_t ngx_mcp_client_params_value(ngx_mcp_json_walk_t *w,
    ngx_uint_t type, ngx_str_t *raw);
static u_char *ngx_mcp_client_put(u_char *p, u_char *last, ngx_str_t *text);
static ngx_uint_t ngx_mcp_client_allows(uint32_t c);
static ngx_int_t ngx_mcp_client_capability(ngx_mcp_json_walk_t *w,
    ngx_uint_t type, ngx_str_t *raw);
static ngx_uint_t ngx_mcp_client_pack_version(ngx_mcp_client_t *client);


static ngx_conf_bitmask_t  ngx_mcp_client_params[] = {
    { ngx_string("clientInfo"), NGX_MCP_CLIENT_KEY_INFO },
    { ngx_string("capabilities"), NGX_MCP_CLIENT_KEY_CAPABILITIES },
    { ngx_string("name"), NGX_MCP_CLIENT_KEY_NAME },
    { ngx_string("version"), NGX_MCP_CLIENT_KEY_VERSION },
    { ngx_null_string, 0 }
};

static ngx_conf_bitmask_t  ngx_mcp_client_names[] = {
    { ngx_string("elicitation"), NGX_MCP_CLIENT_KEY_ELICITATION },
    { ngx_string("sampling"), NGX_MCP_CLIENT_KEY_SAMPLING },
    { ngx_string("roots"), NGX_MCP_CLIENT_KEY_ROOTS },
    { ngx_string("form"), NGX_MCP_CLIENT_KEY_FORM },
    { ngx_string("url"), NGX_MCP_CLIENT_KEY_URL },
    { ngx_string("tools"), NGX_MCP_CLIENT_KEY_TOOLS },
    { ngx_string("context"), NGX_MCP_CLIENT_KEY_CONTEXT },
    { ngx_null_string, 0 }
};

static ngx_mcp_client_member_t  ngx_mcp_client_members[] = {
    { 0, NGX_MCP_CLIENT_KEY_SAMPLING, NGX_MCP_CLIENT_SAMPLING },
    { 0, NGX_MCP_CLIENT_KEY_ROOTS, NGX_MCP_CLIENT_ROOTS },
    { NGX_MCP_CLIENT_KEY_ELICITATION, NGX_MCP_CLIENT_KEY_FORM,
      NGX_MCP_CLIENT_FORM },
    { NGX_MCP_CLIENT_KEY_ELICITATION, NGX_MCP_CLIENT_KEY_URL,
      NGX_MCP_CLIENT_URL },
    { NGX_MCP_CLIENT_KEY_SAMPLING, NGX_MCP_CLIENT_KEY_TOOLS,
      NGX_MCP_CLIENT_SAMPLING_TOOLS },
    { NGX_MCP_CLIENT_KEY_SAMPLING, NGX_MCP_CLIENT_KEY_CONTEXT,
      NGX_MCP_CLIENT_SAMPLING_CONTEXT },
    { 0, 0, 0 }
};


ngx_int_t
ngx_mcp_client_initialize(ngx_pool_t *pool, ngx_str_t *params,
    ngx_mcp_client_t *client)
{
    ngx_int_t                rc;
    ngx_mcp_json_walk_t      w;
    ngx_mcp_client_params_t  found;

    ngx_memzero(client, sizeof(ngx_mcp_client_t));
    ngx_memzero(&found, sizeof(ngx_mcp_client_params_t));
    ngx_memzero(&w, sizeof(ngx_mcp_json_walk_t));

    if (params->data == NULL) {
        return NGX_OK;
    }

    w.pool = pool;
    w.body = params;
    w.names = ngx_mcp_client_params;
    w.value = ngx_mcp_client_params_value;
    w.data = &found;
    w.max_depth = NGX_MCP_JSONRPC_MAX_DEPTH;

    rc = ngx_mcp_json_walk(&w);

    if (rc != NGX_OK) {
        return (rc == NGX_DECLINED) ? NGX_OK : rc;
    }

    ngx_mcp_client_name(client, &found.name, &found.version);

    return ngx_mcp_client_capabilities(pool, &found.capabilities,
                                       &client->capabilities);
}


static ngx_int_t
ngx_mcp_client_params_value(ngx_mcp_json_walk_t *w, ngx_uint_t type,
    ngx_str_t *raw)
{
    ngx_mcp_client_params_t  *found;

    found = w->data;

    if (w->depth == 1
        && w->level[1].key == NGX_MCP_CLIENT_KEY_CAPABILITIES
        && type == NGX_MCP_JSON_OBJECT)
    {
        found->capabilities = *raw;
        return NGX_OK;
    }

    if (w->depth != 2
        || w->level[1].key != NGX_MCP_CLIENT_KEY_INFO
        || type != NGX_MCP_JSON_STRING)
    {
        return NGX_OK;
    }

    switch (w->level[2].key) {

    case NGX_MCP_CLIENT_KEY_NAME:
        return ngx_mcp_json_text_decode(w->pool, raw, &found->name);

    case NGX_MCP_CLIENT_KEY_VERSION:
        return ngx_mcp_json_text_decode(w->pool, raw, &found->version);

    default:
        return NGX_OK;
    }
}


void
ngx_mcp_client_name(ngx_mcp_client_t *client, ngx_str_t *name,
    ngx_str_t *version)
{
    u_char  *p, *last;

    last = client->name + NGX_MCP_CLIENT_MAX_NAME;

    p = ngx_mcp_client_put(client->name, last, name);

    if (p > client->name && last - p > 1 && version->len) {
        *p++ = '/';
        p = ngx_mcp_client_put(p, last, version);
    }

    client->len = p - client->name;
}


/*
 * Without the blanks around it: a header has none.
 */

static u_char *
ngx_mcp_client_put(u_char *p, u_char *last, ngx_str_t *text)
{
    u_char    *start, *s, *end;
    uint32_t   c;

    start = p;
    s = text->data;
    end = s + text->len;

    while (s < end && *s == ' ') {
        s++;
    }

    while (s < end && p < last) {
        c = ngx_mcp_json_text_utf8(&s, end);

        *p++ = ngx_mcp_client_allows(c) ? (u_char) c : '?';
    }

    while (p > start && p[-1] == ' ') {
        p--;
    }

    return p;
}


static ngx_uint_t
ngx_mcp_client_allows(uint32_t c)
{
    if ((c >= 'a' && c <= 'z')
        || (c >= 'A' && c <= 'Z')
        || (c >= '0' && c <= '9'))
    {
        return 1;
    }

    return c && c < 0x80 && ngx_strchr(" -._~+:@/()#,", (int) c) != NULL;
}


ngx_int_t
ngx_mcp_client_capabilities(ngx_pool_t *pool, ngx_str_t *raw,
    ngx_uint_t *capabilities)
{
    ngx_int_t            rc;
    ngx_uint_t           found;
    ngx_mcp_json_walk_t  w;

    *capabilities = 0;

    /* many clients have none */

    if (raw->len <= sizeof("{}") - 1) {
        return NGX_OK;
    }

    ngx_memzero(&w, sizeof(ngx_mcp_json_walk_t));

    found = 0;

    w.pool = pool;
    w.body = raw;
    w.names = ngx_mcp_client_names;
    w.value = ngx_mcp_client_capability;
    w.data = &found;
    w.max_depth = NGX_MCP_JSONRPC_MAX_DEPTH;

    rc = ngx_mcp_json_walk(&w);

    if (rc == NGX_OK) {
        *capabilities = found;
    }

    return (rc == NGX_ERROR) ? NGX_ERROR : NGX_OK;
}


/*
 * A capability is an object, and its own members are capabilities, too.
 */

static ngx_int_t
ngx_mcp_client_capability(ngx_mcp_json_walk_t *w, ngx_uint_t type,
    ngx_str_t *raw)
{
    ngx_uint_t                key, parent, *found;
    ngx_mcp_client_member_t  *m;

    if (type != NGX_MCP_JSON_OBJECT || w->depth < 1 || w->depth > 2) {
        return NGX_OK;
    }

    found = w->data;

    key = w->level[w->depth].key;
    parent = (w->depth == 2) ? w->level[1].key : 0;

    if (w->depth == 2 && parent == 0) {
        return NGX_OK;
    }

    if (w->depth == 1
        && key == NGX_MCP_CLIENT_KEY_ELICITATION
        && (w->level[2].seen
            & (NGX_MCP_CLIENT_KEY_FORM|NGX_MCP_CLIENT_KEY_URL)) == 0)
    {
        *found |= NGX_MCP_CLIENT_FORM;
    }

    for (m = ngx_mcp_client_members; m->key; m++) {

        if (m->key == key && m->parent == parent) {
            *found |= m->capability;
        }
    }

    return NGX_OK;
}


ngx_uint_t
ngx_mcp_client_asks(ngx_uint_t capabilities, ngx_str_t *version)
{
    if (version->len != NGX_MCP_CLIENT_VERSION_LEN
        || ngx_strncmp(version->data, NGX_MCP_CLIENT_FIRST_ASKED,
                       NGX_MCP_CLIENT_VERSION_LEN)
           < 0)
    {
        return 0;
    }

    return capabilities & NGX_MCP_CLIENT_ASKS;
}


void
ngx_mcp_client_version(ngx_mcp_client_t *client, ngx_str_t *version)
{
    client->version_len = 0;

    if (version->len != NGX_MCP_CLIENT_VERSION_LEN) {
        return;
    }

    ngx_memcpy(client->version, version->data, NGX_MCP_CLIENT_VERSION_LEN);

    if (ngx_mcp_client_pack_version(client)) {
        client->version_len = NGX_MCP_CLIENT_VERSION_LEN;
    }
}


size_t
ngx_mcp_client_claims(ngx_mcp_client_t *client, u_char *claims)
{
    u_char      *p;
    ngx_uint_t   version;

    version = client->version_len ? ngx_mcp_client_pack_version(client) : 0;

    p = claims;

    *p++ = (u_char) (version >> 8);
    *p++ = (u_char) version;
    *p++ = (u_char) client->capabilities;

    p = ngx_cpymem(p, client->name, client->len);

    return p - claims;
}


/*
 * Returns 0 if it is no date.
 */

static ngx_uint_t
ngx_mcp_client_pack_version(ngx_mcp_client_t *client)
{
    u_char     *p;
    ngx_int_t   year, month, day;

    p = client->version;

    year = ngx_atoi(p, 4);
    month = ngx_atoi(p + 5, 2);
    day = ngx_atoi(p + 8, 2);

    if (p[4] != '-' || p[7] != '-'
        || year < 2000 || year > 2127
        || month < 1 || month > 12
        || day < 1 || day > 31)
    {
        return 0;
    }

    return (ngx_uint_t) ((year - 2000) << 9 | month << 5 | day);
}


ngx_str_t
ngx_mcp_client_claims_name(ngx_str_t *claims)
{
    ngx_str_t  name;

    ngx_str_null(&name);

    if (claims->len > NGX_MCP_CLIENT_NAME_POS) {
        name.data = claims->data + NGX_MCP_CLIENT_NAME_POS;
        name.len = claims->len - NGX_MCP_CLIENT_NAME_POS;
    }

    return name;
}


ngx_uint_t
ngx_mcp_client_claims_capabilities(ngx_str_t *claims)
{
    return claims->len > NGX_MCP_CLIENT_CAPABILITIES_POS
           ? claims->data[NGX_MCP_CLIENT_CAPABILITIES_POS] : 0;
}


size_t
ngx_mcp_client_claims_version(ngx_str_t *claims, u_char *version)
{
    ngx_uint_t  packed;

    packed = (claims->len > 1) ? claims->data[0] << 8 | claims->data[1] : 0;

    if (packed == 0) {
        return 0;
    }

    (void) ngx_sprintf(version, "%04ui-%02ui-%02ui", 2000 + (packed >> 9),
                       (packed >> 5) & 0x0f, packed & 0x1f);

    return NGX_MCP_CLIENT_VERSION_LEN;
}

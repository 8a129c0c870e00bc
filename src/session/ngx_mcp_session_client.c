
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * The client of a legacy session, as its initialize has told it.
 *
 * The id of such a session is older than its initialize, so that only the
 * worker that has the stream knows it.  The session owns s->client.  A client
 * that comes back sends no initialize: what was told is remembered beyond the
 * session, as long as there is room.  By what the client may be asked is in the
 * session's record in the zone, for a new stream at another worker.
 */

#include "ngx_mcp_session_client.h"
#include "ngx_mcp_identity.h"
#include "ngx_mcp_memo.h"
#include "ngx_mcp_registry.h"
#include "ngx_mcp_stream.h"


#define NGX_MCP_SESSION_CLIENT_POOL_SIZE  1024

/* what is told is remembered by: a label and the key of the session */

#define NGX_MCP_SESSION_CLIENT_PARTS      2


static void ngx_mcp_session_client_asks(ngx_mcp_session_t *s);
static ngx_int_t ngx_mcp_session_client_alloc(ngx_mcp_session_t *s);
static void ngx_mcp_session_client_remember(ngx_mcp_session_t *s);
static void ngx_mcp_session_client_parts(ngx_mcp_session_t *s,
    ngx_str_t *parts);
static void ngx_mcp_session_client_vars(ngx_mcp_session_t *s);


void
ngx_mcp_session_client_told(ngx_mcp_session_t *s, ngx_str_t *params)
{
    ngx_int_t          rc;
    ngx_pool_t        *pool;
    ngx_mcp_client_t   client;

    pool = ngx_create_pool(NGX_MCP_SESSION_CLIENT_POOL_SIZE, ngx_cycle->log);
    if (pool == NULL) {
        return;
    }

    rc = ngx_mcp_identity_read(pool, params, &client, NULL);

    ngx_destroy_pool(pool);

    if (rc != NGX_OK || ngx_mcp_session_client_alloc(s) != NGX_OK) {
        return;
    }

    *s->client = client;

    ngx_mcp_session_client_asks(s);
    ngx_mcp_registry_asks(s);

    ngx_log_debug4(NGX_LOG_DEBUG_HTTP, ngx_cycle->log, 0,
                   "mcp session %*s client: \"%*s\"",
                   (size_t) NGX_MCP_HASH_LEN, s->sid.hash, client.len,
                   client.name);

    ngx_mcp_session_client_remember(s);
    ngx_mcp_session_client_vars(s);
}


void
ngx_mcp_session_client_again(ngx_mcp_session_t *s)
{
    u_char             value[NGX_MCP_MEMO_VALUE_LEN];
    ngx_str_t          parts[NGX_MCP_SESSION_CLIENT_PARTS], claims, name;
    ngx_mcp_client_t  *client;

    ngx_mcp_session_client_parts(s, parts);

    if (!ngx_mcp_memo_get(parts, NGX_MCP_SESSION_CLIENT_PARTS, value)
        || ngx_mcp_session_client_alloc(s) != NGX_OK)
    {
        return;
    }

    claims.len = value[0];
    claims.data = value + 1;

    client = s->client;
    name = ngx_mcp_client_claims_name(&claims);

    client->capabilities = ngx_mcp_client_claims_capabilities(&claims);
    client->version_len = ngx_mcp_client_claims_version(&claims,
                                                        client->version);
    client->len = name.len;

    if (name.len) {
        ngx_memcpy(client->name, name.data, name.len);
    }

    ngx_mcp_session_client_asks(s);
    ngx_mcp_session_client_vars(s);
}


static void
ngx_mcp_session_client_asks(ngx_mcp_session_t *s)
{
    ngx_str_t  version;

    version.data = s->client->version;
    version.len = s->client->version_len;

    s->sink.asks = ngx_mcp_client_asks(s->client->capabilities, &version);
}


static ngx_int_t
ngx_mcp_session_client_alloc(ngx_mcp_session_t *s)
{
    if (s->client == NULL) {
        s->client = ngx_alloc(sizeof(ngx_mcp_client_t), ngx_cycle->log);
    }

    return s->client ? NGX_OK : NGX_ERROR;
}


static void
ngx_mcp_session_client_remember(ngx_mcp_session_t *s)
{
    u_char     value[NGX_MCP_MEMO_VALUE_LEN];
    ngx_str_t  parts[NGX_MCP_SESSION_CLIENT_PARTS];

    ngx_memzero(value, NGX_MCP_MEMO_VALUE_LEN);

    value[0] = (u_char) ngx_mcp_client_claims(s->client, value + 1);

    ngx_mcp_session_client_parts(s, parts);
    ngx_mcp_memo_put(parts, NGX_MCP_SESSION_CLIENT_PARTS, value);
}


static void
ngx_mcp_session_client_parts(ngx_mcp_session_t *s, ngx_str_t *parts)
{
    ngx_str_set(&parts[0], "client");
    parts[1].len = NGX_MCP_DIGEST_LEN;
    parts[1].data = s->sid.key;
}


/*
 * Sets the variables of the request of the stream, for its line in the access
 * log.  The memory is in the pool of a stream, for hours: it is allocated once,
 * however often a client sends initialize.
 */

static void
ngx_mcp_session_client_vars(ngx_mcp_session_t *s)
{
    u_char              *p;
    ngx_mcp_vars_t      *vars;
    ngx_http_request_t  *r;

    if (s->stream == NULL) {
        return;
    }

    r = ngx_mcp_stream_request(s->stream);
    vars = &((ngx_mcp_ctx_t *)
             ngx_http_get_module_ctx(r, ngx_http_mcp_sse_module))->vars;

    if (vars->client.data == NULL) {
        p = ngx_pnalloc(r->pool, NGX_MCP_CLIENT_MAX_NAME
                                 + NGX_MCP_CLIENT_VERSION_LEN);
        if (p == NULL) {
            return;
        }

        vars->client.data = p;
        vars->version.data = p + NGX_MCP_CLIENT_MAX_NAME;
    }

    vars->client.len = s->client->len;
    ngx_memcpy(vars->client.data, s->client->name, s->client->len);

    vars->version.len = s->client->version_len;
    ngx_memcpy(vars->version.data, s->client->version,
               s->client->version_len);
}

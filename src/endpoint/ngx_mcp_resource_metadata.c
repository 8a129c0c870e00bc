
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * GET /.well-known/oauth-protected-resource/mcp: the metadata of /mcp as an
 * OAuth 2.0 protected resource (RFC 9728), and the same for other paths.
 *
 * Frappe's own document is that of its origin.  Clients compare "resource" with
 * the URL that they use (RFC 9728, 3.3), so each endpoint needs its own.  The
 * authorization server is Frappe.
 *
 * All memory is of the pool of the request.
 */

#include "ngx_mcp_resource_metadata.h"
#include "ngx_mcp_header.h"
#include "ngx_mcp_public_url.h"
#include "ngx_mcp_request.h"
#include "ngx_mcp_response.h"


/* how long clients may keep the document; that of Frappe is kept an hour */

#define NGX_MCP_RESOURCE_METADATA_CACHE  "public, max-age=300"


static ngx_int_t ngx_mcp_resource_metadata_path(ngx_http_request_t *r,
    ngx_str_t *path);
static ngx_int_t ngx_mcp_resource_metadata_body(ngx_http_request_t *r,
    ngx_str_t *base, ngx_str_t *path, ngx_str_t *body);


ngx_int_t
ngx_mcp_resource_metadata_handler(ngx_http_request_t *r)
{
    ngx_int_t  rc;
    ngx_str_t  base, path, body;

    if (ngx_mcp_request_document(r, &rc) != NGX_OK) {
        return rc;
    }

    if (ngx_mcp_public_url(r, &base) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (base.len == 0 || ngx_mcp_resource_metadata_path(r, &path) != NGX_OK) {
        return ngx_mcp_refuse(r, NGX_HTTP_NOT_FOUND,
                              NGX_MCP_ERR_INVALID_REQUEST,
                              "Not found");
    }

    if (ngx_mcp_resource_metadata_body(r, &base, &path, &body) != NGX_OK
        || ngx_mcp_header_add(r, "Cache-Control",
                              NGX_MCP_RESOURCE_METADATA_CACHE)
           != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_mcp_respond(r, NGX_HTTP_OK, &body);
}


/*
 * Finds the path of the resource; it is empty for the root.  Returns NGX_OK, or
 * NGX_DECLINED if the URI is not that of metadata.
 */

static ngx_int_t
ngx_mcp_resource_metadata_path(ngx_http_request_t *r, ngx_str_t *path)
{
    size_t  len;

    len = sizeof(NGX_MCP_PUBLIC_URL_METADATA) - 1;

    if (r->uri.len < len
        || ngx_strncmp(r->uri.data, NGX_MCP_PUBLIC_URL_METADATA, len) != 0)
    {
        return NGX_DECLINED;
    }

    path->data = r->uri.data + len;
    path->len = r->uri.len - len;

    if (path->len && path->data[0] != '/') {
        return NGX_DECLINED;
    }

    /* RFC 9728, 3.1: a slash that follows the host is not part of the path */

    if (path->len == 1) {
        path->len = 0;
    }

    return ngx_mcp_public_url_safe(path) ? NGX_OK : NGX_DECLINED;
}


static ngx_int_t
ngx_mcp_resource_metadata_body(ngx_http_request_t *r, ngx_str_t *base,
    ngx_str_t *path, ngx_str_t *body)
{
    ngx_str_t  server;

    if (ngx_mcp_public_url_auth_server(r, &server) != NGX_OK) {
        return NGX_ERROR;
    }

    body->data = ngx_pnalloc(r->pool, base->len + path->len + server.len
                             + sizeof("{\"resource\":\"\","
                                      "\"authorization_servers\":[\"\"],"
                                      "\"bearer_methods_supported\":"
                                      "[\"header\"]}"));
    if (body->data == NULL) {
        return NGX_ERROR;
    }

    body->len = ngx_sprintf(body->data, "{\"resource\":\"%V%V\","
                            "\"authorization_servers\":[\"%V\"],"
                            "\"bearer_methods_supported\":[\"header\"]}",
                            base, path, &server)
                - body->data;

    return NGX_OK;
}

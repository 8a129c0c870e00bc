
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * What a client says of itself: its name, and its capabilities (MCP
 * 2025-11-25, Lifecycle; MCP 2026-07-28, Basic, "_meta").
 *
 * In a session id it is a string of bytes, the claims:
 *
 *     version of the protocol 2 | capabilities 1 | name 0-64
 *
 * The version is a date, (year - 2000) << 9 | month << 5 | day, big-endian; 0
 * if it is not known.
 */

#ifndef _NGX_MCP_CLIENT_H_INCLUDED_
#define _NGX_MCP_CLIENT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


#define NGX_MCP_CLIENT_MAX_NAME     64
#define NGX_MCP_CLIENT_MAX_CLAIMS   (3 + NGX_MCP_CLIENT_MAX_NAME)
#define NGX_MCP_CLIENT_VERSION_LEN  10     /* 2025-11-25 */

/* capabilities; part of session ids */

#define NGX_MCP_CLIENT_FORM              0x01    /* elicitation by a form */
#define NGX_MCP_CLIENT_URL               0x02    /* and by a URL */
#define NGX_MCP_CLIENT_SAMPLING          0x04
#define NGX_MCP_CLIENT_SAMPLING_TOOLS    0x08
#define NGX_MCP_CLIENT_SAMPLING_CONTEXT  0x10
#define NGX_MCP_CLIENT_ROOTS             0x20

#define NGX_MCP_CLIENT_ASKS              0x3f    /* all of these */

/* no capability: Frappe has settled on a newer version than the client */

#define NGX_MCP_CLIENT_LOWERED           0x80


typedef struct {
    ngx_uint_t   capabilities;
    size_t       len;                            /* of name, may be 0 */
    u_char       name[NGX_MCP_CLIENT_MAX_NAME];
    size_t       version_len;                    /* 10, or 0: not known */
    u_char       version[NGX_MCP_CLIENT_VERSION_LEN];  /* of the protocol */
} ngx_mcp_client_t;


/*
 * Reads clientInfo and capabilities of the raw params of initialize, which may
 * be absent.  Fills *client, except for the version of the protocol, which it
 * clears.  Members of another type say nothing.  Returns NGX_OK, or NGX_ERROR
 * if memory is short.
 */

ngx_int_t ngx_mcp_client_initialize(ngx_pool_t *pool, ngx_str_t *params,
    ngx_mcp_client_t *client);

/*
 * Sets the name to "name/version", of strings in UTF-8.  It fits into a header,
 * a log and a page of HTML: letters, digits, blanks and -._~+:@/()#, of ASCII
 * stay, any other character becomes "?"; what is too long is cut.
 */

void ngx_mcp_client_name(ngx_mcp_client_t *client, ngx_str_t *name,
    ngx_str_t *version);

/*
 * Sets *capabilities to those of a raw JSON object, which may be absent.
 * Elicitation without a mode means forms (MCP 2025-11-25, Elicitation).
 * Returns NGX_OK, or NGX_ERROR if memory is short.
 */

ngx_int_t ngx_mcp_client_capabilities(ngx_pool_t *pool, ngx_str_t *raw,
    ngx_uint_t *capabilities);

/*
 * Returns those of the capabilities by which a client may be asked: none before
 * MCP 2025-06-18.  An empty version is not known.
 */

ngx_uint_t ngx_mcp_client_asks(ngx_uint_t capabilities, ngx_str_t *version);

/*
 * Sets the version of the protocol, if it is a date of ten characters from 2000
 * to 2127; otherwise it is not known.
 */

void ngx_mcp_client_version(ngx_mcp_client_t *client, ngx_str_t *version);

/*
 * Writes the claims, at most NGX_MCP_CLIENT_MAX_CLAIMS bytes; returns their
 * length.
 */

size_t ngx_mcp_client_claims(ngx_mcp_client_t *client, u_char *claims);

/*
 * Read the claims of a verified id, which has none if it is of version 1.  The
 * name points into the claims, and is empty if it is not known; the version is
 * written to "version", NGX_MCP_CLIENT_VERSION_LEN characters, and its length,
 * that or 0, returned.
 */

ngx_str_t ngx_mcp_client_claims_name(ngx_str_t *claims);
ngx_uint_t ngx_mcp_client_claims_capabilities(ngx_str_t *claims);
size_t ngx_mcp_client_claims_version(ngx_str_t *claims, u_char *version);


#endif /* _NGX_MCP_CLIENT_H_INCLUDED_ */


/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * The credential of a request, in the form that every version of Frappe
 * accepts.
 */

#ifndef _NGX_MCP_CREDENTIAL_H_INCLUDED_
#define _NGX_MCP_CREDENTIAL_H_INCLUDED_


#include "ngx_mcp_ctx.h"


/*
 * Reads r's credential: "Bearer T" (RFC 6750), "token K:S" or "Basic
 * base64(K:S)" (RFC 7617), the scheme in any case; with mcp_sse_api_secret
 * also "KEY" and "token KEY"; with mcp_sse_cookie and without Authorization
 * the cookie "sid".  The value is in r->pool.  Returns NGX_OK; NGX_DECLINED if
 * there is none, or none of these forms; NGX_ERROR if memory is short.
 *
 * Other forms must not reach Frappe: it ignores a header that does not have
 * exactly two words, and runs the request as Guest.
 */

ngx_int_t ngx_mcp_credential_read(ngx_http_request_t *r,
    ngx_mcp_credential_t *cred);

/*
 * Sets cred->digest, the key of the cache of look-ups: a digest of site, URI
 * of the look-up, type and value, with "secret".  Returns NGX_OK or NGX_ERROR.
 */

ngx_int_t ngx_mcp_credential_digest(ngx_mcp_credential_t *cred,
    ngx_str_t *secret, ngx_str_t *site, ngx_mcp_loc_conf_t *conf);

/*
 * Keeps the digest of a credential that Frappe has accepted, or forgets that of
 * one that it has refused, for ngx_mcp_credential_digest() of this worker.
 */

void ngx_mcp_credential_judged(ngx_mcp_credential_t *cred, ngx_str_t *secret,
    ngx_str_t *site, ngx_mcp_loc_conf_t *conf, ngx_uint_t accepted);


#endif /* _NGX_MCP_CREDENTIAL_H_INCLUDED_ */

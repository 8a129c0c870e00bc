
/*
 * The credential of a request, brought into the form that every Frappe takes.
 */

#ifndef _NGX_MCP_CREDENTIAL_H_INCLUDED_
#define _NGX_MCP_CREDENTIAL_H_INCLUDED_


#include "ngx_mcp.h"


/*
 * Reads r's credential: "Bearer T", "token K:S" or "Basic base64(K:S)", the
 * scheme in any case; with mcp_sse_api_secret also "KEY" and "token KEY";
 * with mcp_sse_cookie and without Authorization the cookie "sid".  The value
 * is in r->pool.  NGX_OK; NGX_DECLINED: there is none, or none that Frappe
 * would look at; NGX_ERROR: memory is short.
 *
 * Frappe ignores a header that has not exactly two words and runs the
 * request as Guest, which is why such a one must not reach it.
 */

ngx_int_t ngx_mcp_credential_read(ngx_http_request_t *r,
    ngx_mcp_credential_t *cred);

/*
 * Fills cred->digest, the key under which look-ups are cached: over site,
 * look-up URI, kind and value.
 */

ngx_int_t ngx_mcp_credential_digest(ngx_mcp_credential_t *cred,
    ngx_str_t *secret, ngx_str_t *site, ngx_mcp_loc_conf_t *conf);


#endif /* _NGX_MCP_CREDENTIAL_H_INCLUDED_ */


/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Which era the backend speaks (MCP 2026-07-28, Versioning).
 */

#ifndef _NGX_MCP_BACKEND_ERA_H_INCLUDED_
#define _NGX_MCP_BACKEND_ERA_H_INCLUDED_


#include "ngx_mcp_ask.h"


#define NGX_MCP_DISCOVER_AGE_MS  600000    /* docs/PROTOCOL.md 15.61, 15.66 */

/* what the module says of itself, to backends and for those that say nothing */

#define NGX_MCP_DISCOVER_SELF                                                 \
    "{\"name\":\"ngx_http_mcp_sse_module\",\"version\":\"" NGX_MCP_VERSION    \
    "\"}"


/* what a request asks the backend for; in its pool */

struct ngx_mcp_discover_s {
    ngx_mcp_ask_waiter_t     waiter;
    ngx_mcp_resume_pt        next;
    u_char                   site[NGX_MCP_DIGEST_LEN];   /* keys in the zone */
    u_char                   user[NGX_MCP_DIGEST_LEN];
    ngx_mcp_discovered_t     known;                      /* of the user */
};


/*
 * Finds out, for a request of the modern era that is checked, whether its
 * backend speaks that era, too: sets ctx->modern->passes; ctx->version, the
 * version for the backend; and ctx->modern->server_info, if it is known.  Asks
 * the backend if the zone does not know it, and suspends r as long.  Runs
 * next(r), maybe before this returns.  Returns the code that the content
 * handler returns.
 */

ngx_int_t ngx_mcp_backend_era(ngx_http_request_t *r, ngx_mcp_resume_pt next);

/*
 * Makes the key of the site of r in the zone or, with "user", that of a user of
 * it.  Returns NGX_OK or NGX_ERROR.
 */

ngx_int_t ngx_mcp_backend_era_key(ngx_http_request_t *r, ngx_str_t *user,
    u_char *key);


#endif /* _NGX_MCP_BACKEND_ERA_H_INCLUDED_ */

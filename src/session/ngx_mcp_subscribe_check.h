
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Whether a session gets to know that a resource has changed: if it has
 * subscribed, and its user may still read the resource.
 */

#ifndef _NGX_MCP_SUBSCRIBE_CHECK_H_INCLUDED_
#define _NGX_MCP_SUBSCRIBE_CHECK_H_INCLUDED_


#include "ngx_mcp_session.h"


/*
 * Sends an update to a session of this worker, if it is open and its stream
 * gets notifications: the caller does not know that.
 */

typedef void (*ngx_mcp_subscribe_send_pt)(ngx_mcp_session_t *s,
    ngx_str_t *raw_uri);

/*
 * Fills "uri" with the NGX_MCP_DIGEST_LEN bytes by which a decoded URI is
 * known.  Returns NGX_OK or NGX_ERROR.
 */

ngx_int_t ngx_mcp_subscribe_digest(ngx_str_t *text, u_char *uri);

/*
 * A resource has changed.  Runs "send" at once, if the session has subscribed
 * to it; if the backend was asked longer ago than mcp_sse_auth_recheck, when it
 * has read the resource again with the credential of the session, for each
 * session with that key.  "uri" is the digest; "raw_uri", with its quotes, is
 * copied.
 */

void ngx_mcp_subscribe_updated(ngx_mcp_session_t *s, u_char *uri,
    ngx_str_t *raw_uri, ngx_mcp_subscribe_send_pt send);

/*
 * The worker stops: calls that run are cancelled.
 */

void ngx_mcp_subscribe_check_stop(void);


#endif /* _NGX_MCP_SUBSCRIBE_CHECK_H_INCLUDED_ */


/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * What clients have asked of sessions, for the other instances: in Redis, and
 * announced to those that run.
 *
 *     <prefix>u:<session>    a hash, until the session id expires: "level", a
 *                            number, and for each URI its digest in hexadecimal
 *                            digits, with the unix time when it was checked
 */

#ifndef _NGX_MCP_REMOTE_SUBSCRIPTIONS_H_INCLUDED_
#define _NGX_MCP_REMOTE_SUBSCRIPTIONS_H_INCLUDED_


#include "ngx_mcp_subscriptions.h"


/*
 * What was changed in the zone: see ngx_mcp_subscriptions.h for the parameters.
 * They do nothing without Redis, or while it is lost.
 */

void ngx_mcp_remote_subscriptions_level(u_char *key, u_char *user,
    time_t expires, ngx_uint_t level);
void ngx_mcp_remote_subscriptions_add(u_char *key, u_char *user,
    time_t expires, u_char *uri);
void ngx_mcp_remote_subscriptions_remove(u_char *key, u_char *user,
    time_t expires, u_char *uri);
void ngx_mcp_remote_subscriptions_forget(u_char *key);

/*
 * This worker gets a message, or a stream, of a session: asks Redis what was
 * asked of it at other instances, unless the zone knows.  The zone has it when
 * the reply is there.  Call it if the first one returns 1: this worker has not
 * asked yet.
 */

ngx_uint_t ngx_mcp_remote_subscriptions_asks(u_char *key);
void ngx_mcp_remote_subscriptions_recall(u_char *key, u_char *user,
    time_t expires);

/*
 * Another instance has announced a change (NGX_MCP_ANNOUNCE_SUBSCRIPTIONS).
 */

void ngx_mcp_remote_subscriptions_changed(u_char *key, u_char *data,
    size_t len);

/*
 * Once a second while Redis is up: if the zone was emptied and is filled again,
 * asks Redis once more.
 */

void ngx_mcp_remote_subscriptions_every_second(void);

/*
 * Redis is up, or has lost its data: writes what the sessions with a stream of
 * this worker have.
 */

void ngx_mcp_remote_subscriptions_sync(void);


#endif /* _NGX_MCP_REMOTE_SUBSCRIPTIONS_H_INCLUDED_ */


/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Announcements between the workers of an nginx: a bounded list in shared
 * memory, with a read position for each worker.
 *
 * A worker gets an announcement soon and at most once.  A worker that starts
 * later does not get it.  An announcement may be lost: what must not be lost,
 * as an ended session id, is also kept in a list of its own.
 */

#ifndef _NGX_MCP_ANNOUNCE_H_INCLUDED_
#define _NGX_MCP_ANNOUNCE_H_INCLUDED_


#include "ngx_mcp_zone.h"


/* announcements in the list, in case that a worker is stopped */

#define NGX_MCP_ANNOUNCE_MAX         1024

/*
 * After that time an announcement is removed although a worker has not read it.
 * A worker that runs reads it at its next wake-up or sweep, within a second.
 */

#define NGX_MCP_ANNOUNCE_MAX_AGE_MS  10000

/* bytes of data: the longest JSON-RPC id (NGX_MCP_JSONRPC_MAX_ID_LEN) */

#define NGX_MCP_ANNOUNCE_MAX_LEN     4096


typedef enum {
    NGX_MCP_ANNOUNCE_CANCEL = 1,       /* key: a session; data: a raw id */
    NGX_MCP_ANNOUNCE_ENDED,            /* key: a session; no data */
    NGX_MCP_ANNOUNCE_RESYNC,           /* some ENDED may be lost: look into
                                          the revocation list; no data */
    NGX_MCP_ANNOUNCE_REFUSED,          /* key: a credential, with which Frappe
                                          has answered a call with 401; no
                                          data; to other instances only */
    NGX_MCP_ANNOUNCE_SUBSCRIPTIONS     /* key: a session, of which something
                                          else is asked; data: see
                                          ngx_mcp_remote_subscriptions.c; to
                                          other instances only */
} ngx_mcp_announce_kind_e;


/*
 * Handles one announcement.  Runs from an event of its own, never inside a
 * handler of a request.  "data" is valid until it returns.
 */

typedef void (*ngx_mcp_announce_pt)(ngx_uint_t kind, u_char *key,
    u_char *data, size_t len);

/*
 * Sets the handler of this worker, in init_process.
 */

void ngx_mcp_announce_init(ngx_mcp_announce_pt handler);

/*
 * Announces to all workers, including this one, whose handler runs after the
 * function has returned.  "key" has NGX_MCP_DIGEST_LEN bytes, "data" at most
 * NGX_MCP_ANNOUNCE_MAX_LEN.  Both are copied.  Returns NGX_OK, or NGX_ERROR if
 * other workers do not get it.
 */

ngx_int_t ngx_mcp_announce(ngx_uint_t kind, u_char *key, u_char *data,
    size_t len);

/*
 * The same, for this worker only.
 */

void ngx_mcp_announce_self(ngx_uint_t kind, u_char *key, u_char *data,
    size_t len);

/*
 * Announces NGX_MCP_ANNOUNCE_RESYNC to this worker only.
 */

void ngx_mcp_announce_resync(void);

/*
 * Return whether there may be announcements that this worker has not read,
 * without the mutex; post the event that reads them.
 */

ngx_uint_t ngx_mcp_announce_has_unread(void);
void ngx_mcp_announce_post(void);

/*
 * Removes announcements that are old or were read by all workers.
 */

void ngx_mcp_announce_expire_locked(ngx_mcp_zone_t *zone);


#endif /* _NGX_MCP_ANNOUNCE_H_INCLUDED_ */

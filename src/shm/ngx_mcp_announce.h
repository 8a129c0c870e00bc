
/*
 * What every worker is to know: a bounded list of announcements in the zone.
 *
 * An announcement is heard at most once by each worker, soon, and not at all
 * by one that starts later.  It is for what may be lost: whatever must not
 * be forgotten is also kept where it is looked up.
 */

#ifndef _NGX_MCP_ANNOUNCE_H_INCLUDED_
#define _NGX_MCP_ANNOUNCE_H_INCLUDED_


#include "ngx_mcp_zone.h"


#define NGX_MCP_ANNOUNCE_MAX         1024    /* in the list */
#define NGX_MCP_ANNOUNCE_MAX_AGE_MS  10000   /* of one, milliseconds */
#define NGX_MCP_ANNOUNCE_MAX_LEN     4096    /* of the data of one */


typedef enum {
    NGX_MCP_ANNOUNCE_CANCEL = 1,       /* key: a session; data: a raw id */
    NGX_MCP_ANNOUNCE_ENDED,            /* key: a session; no data */
    NGX_MCP_ANNOUNCE_RESYNC            /* some ENDED may not have been heard:
                                          what is revoked?  no data */
} ngx_mcp_announce_kind_e;


/*
 * Hears one announcement.  Runs from an event of its own, never inside a
 * handler of a request.
 */

typedef void (*ngx_mcp_announce_pt)(ngx_uint_t kind, u_char *key,
    u_char *data, size_t len);

/*
 * In init_process.
 */

void ngx_mcp_announce_init(ngx_mcp_announce_pt listener);

/*
 * Tells all workers, this one included, which hears it after the function
 * has returned.  "key" has NGX_MCP_DIGEST_LEN bytes, data at most
 * NGX_MCP_ANNOUNCE_MAX_LEN.  NGX_OK, or NGX_ERROR if others will not
 * hear it.
 */

ngx_int_t ngx_mcp_announce(ngx_uint_t kind, u_char *key, u_char *data,
    size_t len);

/*
 * The same for this worker alone.
 */

void ngx_mcp_announce_self(ngx_uint_t kind, u_char *key, u_char *data,
    size_t len);

/*
 * Says NGX_MCP_ANNOUNCE_RESYNC to this worker alone.
 */

void ngx_mcp_announce_resync(void);

/*
 * Whether there may be some that this worker has not heard, asked without
 * the mutex; it hears them soon.
 */

ngx_uint_t ngx_mcp_announce_has_unread(void);
void ngx_mcp_announce_post(void);

/*
 * Under the mutex: takes off the list what is old or was heard by all.
 */

void ngx_mcp_announce_expire_locked(ngx_mcp_zone_t *zone);


#endif /* _NGX_MCP_ANNOUNCE_H_INCLUDED_ */


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


#define NGX_HTTP_MCP_SSE_MAX_NEWS      1024    /* in the list */
#define NGX_HTTP_MCP_SSE_NEWS_AGE      10000   /* of one, milliseconds */
#define NGX_HTTP_MCP_SSE_MAX_NEWS_LEN  4096    /* of the data of one */


typedef enum {
    NGX_HTTP_MCP_SSE_NEWS_CANCEL = 1,  /* key: a session; data: a raw id */
    NGX_HTTP_MCP_SSE_NEWS_ENDED,       /* key: a session; no data */
    NGX_HTTP_MCP_SSE_NEWS_LOOK         /* some ENDED may not have been heard:
                                          what is revoked?  no data */
} ngx_http_mcp_sse_news_e;


/*
 * Hears one announcement.  Runs from an event of its own, never inside a
 * handler of a request.
 */

typedef void (*ngx_http_mcp_sse_listener_pt)(ngx_uint_t kind, u_char *key,
    u_char *data, size_t len);

/*
 * In init_process.
 */

void ngx_http_mcp_sse_news_init(ngx_http_mcp_sse_listener_pt listener);

/*
 * Tells all workers, this one included, which hears it after the function
 * has returned.  "key" has NGX_HTTP_MCP_SSE_DIGEST bytes, data at most
 * NGX_HTTP_MCP_SSE_MAX_NEWS_LEN.  NGX_OK, or NGX_ERROR if others will not
 * hear it.
 */

ngx_int_t ngx_http_mcp_sse_news_tell(ngx_uint_t kind, u_char *key,
    u_char *data, size_t len);

/*
 * The same for this worker alone.
 */

void ngx_http_mcp_sse_news_tell_self(ngx_uint_t kind, u_char *key,
    u_char *data, size_t len);

/*
 * Says NGX_HTTP_MCP_SSE_NEWS_LOOK to this worker alone.
 */

void ngx_http_mcp_sse_news_look(void);

/*
 * Whether there may be some that this worker has not heard, asked without
 * the mutex; it hears them soon.
 */

ngx_uint_t ngx_http_mcp_sse_news_unheard(void);
void ngx_http_mcp_sse_news_post(void);

/*
 * Under the mutex: takes off the list what is old or was heard by all.
 */

void ngx_http_mcp_sse_news_expire(ngx_http_mcp_sse_zone_t *zone);


#endif /* _NGX_MCP_ANNOUNCE_H_INCLUDED_ */

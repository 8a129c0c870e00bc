
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Replies of Redis, read by hiredis, within limits.
 */

#ifndef _NGX_MCP_REDIS_READER_H_INCLUDED_
#define _NGX_MCP_REDIS_READER_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <hiredis/hiredis.h>


typedef struct {
    redisReader                 *reader;     /* of hiredis; NULL: not open */
    redisReplyObjectFunctions   *usual;      /* those of hiredis */
    redisReplyObjectFunctions    fn;
    ngx_uint_t                   progress;   /* of replies and their elements */
    size_t                       size;       /* of the reply that is read */
    unsigned                     large:1;    /* a reply was */
    unsigned                     refused:1;
} ngx_mcp_redis_reader_t;


/*
 * Open and close a reader.  The first returns NGX_OK or NGX_ERROR; the second
 * may be called twice.
 */

ngx_int_t ngx_mcp_redis_reader_open(ngx_mcp_redis_reader_t *reader);
void ngx_mcp_redis_reader_close(ngx_mcp_redis_reader_t *reader);

/*
 * Feeds bytes, which are copied.  Returns NGX_OK, or NGX_ERROR: then the
 * reader can only be asked for the reason, and closed.
 */

ngx_int_t ngx_mcp_redis_reader_feed(ngx_mcp_redis_reader_t *reader,
    u_char *bytes, size_t len);

/*
 * Takes the next reply, which the caller frees by freeReplyObject().  Returns
 * NGX_OK; NGX_AGAIN if it is not there as a whole; or NGX_ERROR as above.
 */

ngx_int_t ngx_mcp_redis_reader_next(ngx_mcp_redis_reader_t *reader,
    redisReply **reply);

/*
 * Returns why the reader has failed.
 */

const char *ngx_mcp_redis_reader_reason(ngx_mcp_redis_reader_t *reader);


#endif /* _NGX_MCP_REDIS_READER_H_INCLUDED_ */

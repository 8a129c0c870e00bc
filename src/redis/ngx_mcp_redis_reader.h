
/*
 * hiredis, 0.14 and 1.x, aborts the process on replies that no Redis sends.
 * They are refused while they are read: to hiredis an error of the protocol,
 * by which it gives up the connection.
 */

#ifndef _NGX_MCP_REDIS_READER_H_INCLUDED_
#define _NGX_MCP_REDIS_READER_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <hiredis/hiredis.h>
#include <hiredis/async.h>


/*
 * Called with ac->data for each reply, when its beginning is known, and for
 * each of its elements, before the handler of its command: "good" is 0 if it
 * is refused.  Must not touch the context.
 */

typedef void (*ngx_mcp_redis_reader_pt)(void *data, ngx_uint_t good);

/*
 * Guards a new context, on which nothing has been read yet.
 */

void ngx_mcp_redis_reader(redisAsyncContext *ac,
    ngx_mcp_redis_reader_pt replied);


#endif /* _NGX_MCP_REDIS_READER_H_INCLUDED_ */

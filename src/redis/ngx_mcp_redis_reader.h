
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Validates replies while hiredis parses them.
 *
 * hiredis, 0.14 and 1.x, aborts the process on replies that no Redis sends.  A
 * reply that is refused here is an error of the connection instead.
 */

#ifndef _NGX_MCP_REDIS_READER_H_INCLUDED_
#define _NGX_MCP_REDIS_READER_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <hiredis/hiredis.h>
#include <hiredis/async.h>


/*
 * Called with ac->data when a reply begins, for each of its elements, and
 * with "valid" 0 if it is refused; before the handler of its command runs.
 * Must not touch the context.
 */

typedef void (*ngx_mcp_redis_reader_pt)(void *data, ngx_uint_t valid);

/*
 * Validates the replies of a new context, on which nothing has been read yet.
 */

void ngx_mcp_redis_reader(redisAsyncContext *ac,
    ngx_mcp_redis_reader_pt handler);


#endif /* _NGX_MCP_REDIS_READER_H_INCLUDED_ */

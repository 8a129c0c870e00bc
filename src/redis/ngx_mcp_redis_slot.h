
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * The slot of a key in a cluster of Redis.
 */

#ifndef _NGX_MCP_REDIS_SLOT_H_INCLUDED_
#define _NGX_MCP_REDIS_SLOT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


#define NGX_MCP_REDIS_SLOTS  16384


/*
 * Sets *tag to the hash tag of a key, what is between its first "{" and the
 * next "}"; it points into the key.  Returns NGX_OK, or NGX_DECLINED if there
 * is none or it is empty.
 */

ngx_int_t ngx_mcp_redis_tag(ngx_str_t *key, ngx_str_t *tag);

/*
 * The slot of a key: of its tag, or of the whole key if it has none.
 */

ngx_uint_t ngx_mcp_redis_slot(ngx_str_t *key);


#endif /* _NGX_MCP_REDIS_SLOT_H_INCLUDED_ */

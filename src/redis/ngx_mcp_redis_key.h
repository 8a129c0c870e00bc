
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Names of Redis keys and channels; ids of workers and times in replies.
 */

#ifndef _NGX_MCP_REDIS_KEY_H_INCLUDED_
#define _NGX_MCP_REDIS_KEY_H_INCLUDED_


#include "ngx_mcp_zone.h"
#include <hiredis/hiredis.h>


/* 16 bytes of a worker or a session, in hexadecimal digits */

#define NGX_MCP_REDIS_ID_LEN  (2 * NGX_MCP_DIGEST_LEN)


/*
 * Builds a name in "buf", which has NGX_MCP_REDIS_MAX_KEY_LEN bytes, and sets
 * "key" to it: the prefix, "kind", a colon, and the 16 bytes of "id" in
 * hexadecimal digits.
 */

#define NGX_MCP_REDIS_MAX_KEY_LEN     (NGX_MCP_REDIS_MAX_PREFIX_LEN           \
                                       + 2 + NGX_MCP_REDIS_ID_LEN)

void ngx_mcp_redis_key(ngx_str_t *key, u_char *buf, u_char kind, u_char *id);

/*
 * The same, of the prefix and a word of at most 32 characters.
 */

void ngx_mcp_redis_word(ngx_str_t *key, u_char *buf, const char *word);

/*
 * Reads an id from NGX_MCP_REDIS_ID_LEN hexadecimal digits.  Returns NGX_OK or
 * NGX_DECLINED.
 */

ngx_int_t ngx_mcp_redis_hex(u_char *id, u_char *hex);

/*
 * Reads the id of a worker from a reply.  Returns NGX_OK, or NGX_DECLINED if
 * the reply is not an id.
 */

ngx_int_t ngx_mcp_redis_id(u_char *id, redisReply *reply);

/*
 * Reads the reply to TIME, in unix milliseconds.  Returns NGX_OK, or
 * NGX_DECLINED if the reply is not a time.
 */

ngx_int_t ngx_mcp_redis_time(int64_t *time, redisReply *reply);


#endif /* _NGX_MCP_REDIS_KEY_H_INCLUDED_ */

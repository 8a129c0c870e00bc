
/*
 * Names of keys and channels in Redis, and the ids that are in them.
 */

#ifndef _NGX_MCP_REDIS_KEY_H_INCLUDED_
#define _NGX_MCP_REDIS_KEY_H_INCLUDED_


#include "ngx_mcp_zone.h"
#include <hiredis/hiredis.h>


#define NGX_MCP_REDIS_ID_LEN  (2 * NGX_MCP_DIGEST_LEN)


/*
 * A key: the prefix, "kind", and the 16 bytes of "id" in hexadecimal digits.
 * "buf" has NGX_MCP_REDIS_MAX_KEY_LEN bytes.
 */

#define NGX_MCP_REDIS_MAX_KEY_LEN     (NGX_MCP_REDIS_MAX_PREFIX_LEN           \
                                       + 2 + NGX_MCP_REDIS_ID_LEN)

void ngx_mcp_redis_key(ngx_str_t *key, u_char *buf, u_char kind, u_char *id);

/*
 * Another: the prefix and a word of at most 32 characters.
 */

void ngx_mcp_redis_word(ngx_str_t *key, u_char *buf, const char *word);

/*
 * The worker's id in a reply: NGX_OK, or NGX_DECLINED if it is not one.
 */

ngx_int_t ngx_mcp_redis_id(u_char *id, redisReply *reply);


#endif /* _NGX_MCP_REDIS_KEY_H_INCLUDED_ */

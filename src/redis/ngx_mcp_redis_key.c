
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Names of Redis keys and channels; ids of workers and times in replies.
 *
 * docs/history.md lists the names.
 */

#include "ngx_mcp_redis_key.h"


/* digits of seconds or microseconds, until the year 5138 */

#define NGX_MCP_REDIS_TIME_LEN  11


void
ngx_mcp_redis_key(ngx_str_t *key, u_char *buf, u_char kind, u_char *id)
{
    u_char     *p;
    ngx_str_t  *prefix;

    prefix = &ngx_mcp_zone()->conf->redis->prefix;

    p = ngx_cpymem(buf, prefix->data, prefix->len);
    *p++ = kind;
    *p++ = ':';
    p = ngx_hex_dump(p, id, NGX_MCP_DIGEST_LEN);

    key->data = buf;
    key->len = p - buf;
}


void
ngx_mcp_redis_word(ngx_str_t *key, u_char *buf, const char *word)
{
    u_char     *p;
    ngx_str_t  *prefix;

    prefix = &ngx_mcp_zone()->conf->redis->prefix;

    p = ngx_cpymem(buf, prefix->data, prefix->len);
    p = ngx_cpymem(p, word, ngx_strlen(word));

    key->data = buf;
    key->len = p - buf;
}


ngx_int_t
ngx_mcp_redis_id(u_char *id, redisReply *reply)
{
    if (reply->type != REDIS_REPLY_STRING
        || reply->len != NGX_MCP_REDIS_ID_LEN)
    {
        return NGX_DECLINED;
    }

    return ngx_mcp_redis_hex(id, (u_char *) reply->str);
}


ngx_int_t
ngx_mcp_redis_hex(u_char *id, u_char *hex)
{
    ngx_int_t   n;
    ngx_uint_t  i;

    for (i = 0; i < NGX_MCP_DIGEST_LEN; i++) {

        n = ngx_hextoi(hex + 2 * i, 2);

        if (n == NGX_ERROR) {
            return NGX_DECLINED;
        }

        id[i] = (u_char) n;
    }

    return NGX_OK;
}


ngx_int_t
ngx_mcp_redis_time(int64_t *time, redisReply *reply)
{
    int64_t      n[2];
    ngx_uint_t   i;
    redisReply  *r;

    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2) {
        return NGX_DECLINED;
    }

    for (i = 0; i < 2; i++) {
        r = reply->element[i];

        if (r->type != REDIS_REPLY_STRING || r->len > NGX_MCP_REDIS_TIME_LEN) {
            return NGX_DECLINED;
        }

        n[i] = ngx_atoi((u_char *) r->str, r->len);

        if (n[i] == NGX_ERROR) {
            return NGX_DECLINED;
        }
    }

    *time = n[0] * 1000 + n[1] / 1000;

    return NGX_OK;
}

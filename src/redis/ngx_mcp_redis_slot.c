
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * The slot of a key in a cluster of Redis.
 */

#include "ngx_mcp_redis_slot.h"


ngx_int_t
ngx_mcp_redis_tag(ngx_str_t *key, ngx_str_t *tag)
{
    u_char  *open, *close, *last;

    last = key->data + key->len;

    open = ngx_strlchr(key->data, last, '{');

    if (open == NULL) {
        return NGX_DECLINED;
    }

    close = ngx_strlchr(open, last, '}');

    if (close == NULL || close == open + 1) {
        return NGX_DECLINED;
    }

    tag->data = open + 1;
    tag->len = close - tag->data;

    return NGX_OK;
}


/*
 * CRC16 of the polynomial 0x1021 that begins with 0, known as XMODEM.
 */

ngx_uint_t
ngx_mcp_redis_slot(ngx_str_t *key)
{
    size_t      i;
    uint16_t    crc;
    ngx_str_t   tag;
    ngx_uint_t  bit;

    if (ngx_mcp_redis_tag(key, &tag) != NGX_OK) {
        tag = *key;
    }

    crc = 0;

    for (i = 0; i < tag.len; i++) {
        crc ^= (uint16_t) (tag.data[i] << 8);

        for (bit = 0; bit < 8; bit++) {
            crc = (uint16_t) ((crc & 0x8000) ? (crc << 1) ^ 0x1021 : crc << 1);
        }
    }

    return crc % NGX_MCP_REDIS_SLOTS;
}

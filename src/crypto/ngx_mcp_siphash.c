
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * SipHash-2-4 with 128 bits (J.-P. Aumasson, D. J. Bernstein: "SipHash: a fast
 * short-input PRF", and their reference implementation).
 */

#include "ngx_mcp_siphash.h"


#define ngx_mcp_siphash_rotate(x, n)  ((x) << (n) | (x) >> (64 - (n)))


static void ngx_mcp_siphash_rounds(uint64_t *v, ngx_uint_t n);
static void ngx_mcp_siphash_word(uint64_t *v, uint64_t word);
static uint64_t ngx_mcp_siphash_get(u_char *p, size_t n);
static void ngx_mcp_siphash_put(u_char *p, uint64_t word);


void
ngx_mcp_siphash(u_char *hash, u_char *key, ngx_str_t *text)
{
    u_char    *p, *last;
    uint64_t   v[4], low, high;

    low = ngx_mcp_siphash_get(key, 8);
    high = ngx_mcp_siphash_get(key + 8, 8);

    v[0] = low ^ 0x736f6d6570736575;
    v[1] = high ^ 0x646f72616e646f6d ^ 0xee;
    v[2] = low ^ 0x6c7967656e657261;
    v[3] = high ^ 0x7465646279746573;

    last = text->data + text->len;

    for (p = text->data; last - p >= 8; p += 8) {
        ngx_mcp_siphash_word(v, ngx_mcp_siphash_get(p, 8));
    }

    ngx_mcp_siphash_word(v, ngx_mcp_siphash_get(p, last - p)
                            | (uint64_t) text->len << 56);

    v[2] ^= 0xee;
    ngx_mcp_siphash_rounds(v, 4);
    ngx_mcp_siphash_put(hash, v[0] ^ v[1] ^ v[2] ^ v[3]);

    v[1] ^= 0xdd;
    ngx_mcp_siphash_rounds(v, 4);
    ngx_mcp_siphash_put(hash + 8, v[0] ^ v[1] ^ v[2] ^ v[3]);
}


static void
ngx_mcp_siphash_word(uint64_t *v, uint64_t word)
{
    v[3] ^= word;
    ngx_mcp_siphash_rounds(v, 2);
    v[0] ^= word;
}


static void
ngx_mcp_siphash_rounds(uint64_t *v, ngx_uint_t n)
{
    while (n--) {
        v[0] += v[1];
        v[2] += v[3];
        v[1] = ngx_mcp_siphash_rotate(v[1], 13) ^ v[0];
        v[3] = ngx_mcp_siphash_rotate(v[3], 16) ^ v[2];
        v[0] = ngx_mcp_siphash_rotate(v[0], 32);

        v[2] += v[1];
        v[0] += v[3];
        v[1] = ngx_mcp_siphash_rotate(v[1], 17) ^ v[2];
        v[3] = ngx_mcp_siphash_rotate(v[3], 21) ^ v[0];
        v[2] = ngx_mcp_siphash_rotate(v[2], 32);
    }
}


/* n bytes, the first one is the lowest */

static uint64_t
ngx_mcp_siphash_get(u_char *p, size_t n)
{
    uint64_t  word;

    for (word = 0; n; n--) {
        word = word << 8 | p[n - 1];
    }

    return word;
}


static void
ngx_mcp_siphash_put(u_char *p, uint64_t word)
{
    ngx_uint_t  i;

    for (i = 0; i < 8; i++) {
        p[i] = (u_char) (word >> 8 * i);
    }
}

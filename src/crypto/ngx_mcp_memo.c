
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * What this worker has computed of bytes that come with each message.
 *
 * A table of pairs, which are found by a hash of the strings.  A pair has the
 * two newest entries with its hash, the newest one first: sessions that are
 * used in turn keep their entries where two have the same hash.
 */

#include <openssl/crypto.h>
#include "ngx_mcp_memo.h"


/* 440 kB in each worker, of which pages are used when entries are */

#define NGX_MCP_MEMO_BITS       9
#define NGX_MCP_MEMO_PAIRS      (1 << NGX_MCP_MEMO_BITS)

/* the longest strings together that are kept, with their lengths; whole words
   of 8 bytes */

#define NGX_MCP_MEMO_MAX_INPUT  320


typedef struct {
    u_char       value[NGX_MCP_MEMO_VALUE_LEN];
    u_char       input[NGX_MCP_MEMO_MAX_INPUT];
    size_t       len;                              /* of input; 0: empty */
} ngx_mcp_memo_entry_t;


static ngx_mcp_memo_entry_t *ngx_mcp_memo_find(ngx_mcp_memo_entry_t *pair,
    u_char *input, size_t len);
static ngx_mcp_memo_entry_t *ngx_mcp_memo_pair(ngx_str_t *parts, ngx_uint_t n,
    u_char *input, size_t *len);
static size_t ngx_mcp_memo_input(u_char *input, ngx_str_t *parts,
    ngx_uint_t n);
static ngx_uint_t ngx_mcp_memo_hash(u_char *input, size_t len);
static ngx_uint_t ngx_mcp_memo_is(ngx_mcp_memo_entry_t *entry, u_char *input,
    size_t len);


static ngx_mcp_memo_entry_t  ngx_mcp_memo_pairs[NGX_MCP_MEMO_PAIRS][2];


ngx_uint_t
ngx_mcp_memo_get(ngx_str_t *parts, ngx_uint_t n, u_char *value)
{
    u_char                 input[NGX_MCP_MEMO_MAX_INPUT];
    size_t                 len;
    ngx_mcp_memo_entry_t  *pair, *entry;

    pair = ngx_mcp_memo_pair(parts, n, input, &len);
    entry = pair ? ngx_mcp_memo_find(pair, input, len) : NULL;

    if (entry == NULL) {
        return 0;
    }

    if (value) {
        ngx_memcpy(value, entry->value, NGX_MCP_MEMO_VALUE_LEN);
    }

    return 1;
}


void
ngx_mcp_memo_put(ngx_str_t *parts, ngx_uint_t n, u_char *value)
{
    u_char                 input[NGX_MCP_MEMO_MAX_INPUT];
    size_t                 len;
    ngx_mcp_memo_entry_t  *pair, *entry;

    pair = ngx_mcp_memo_pair(parts, n, input, &len);

    if (pair == NULL) {
        return;
    }

    entry = ngx_mcp_memo_find(pair, input, len);

    if (entry == NULL) {
        entry = &pair[0];

        if (entry->len) {
            pair[1] = *entry;
        }
    }

    OPENSSL_cleanse(entry->input, entry->len);

    ngx_memcpy(entry->input, input, len);
    ngx_memcpy(entry->value, value, NGX_MCP_MEMO_VALUE_LEN);

    entry->len = len;
}


void
ngx_mcp_memo_forget(ngx_str_t *parts, ngx_uint_t n)
{
    u_char                 input[NGX_MCP_MEMO_MAX_INPUT];
    size_t                 len;
    ngx_mcp_memo_entry_t  *pair, *entry;

    pair = ngx_mcp_memo_pair(parts, n, input, &len);
    entry = pair ? ngx_mcp_memo_find(pair, input, len) : NULL;

    if (entry) {
        OPENSSL_cleanse(entry, sizeof(ngx_mcp_memo_entry_t));
    }
}


/*
 * Returns the entry of the pair that has the strings, or NULL.
 */

static ngx_mcp_memo_entry_t *
ngx_mcp_memo_find(ngx_mcp_memo_entry_t *pair, u_char *input, size_t len)
{
    if (ngx_mcp_memo_is(&pair[0], input, len)) {
        return &pair[0];
    }

    return ngx_mcp_memo_is(&pair[1], input, len) ? &pair[1] : NULL;
}


/*
 * Fills "input" with the strings, and *len with their length.  Returns the
 * pair for them, or NULL if they are too long.
 */

static ngx_mcp_memo_entry_t *
ngx_mcp_memo_pair(ngx_str_t *parts, ngx_uint_t n, u_char *input, size_t *len)
{
    *len = ngx_mcp_memo_input(input, parts, n);

    if (*len == 0) {
        return NULL;
    }

    return ngx_mcp_memo_pairs[ngx_mcp_memo_hash(input, *len)];
}


/*
 * Each string is preceded by its length, so that their borders count.  Zeroes
 * fill the last word.
 */

static size_t
ngx_mcp_memo_input(u_char *input, ngx_str_t *parts, ngx_uint_t n)
{
    u_char      *p;
    uint16_t     len;
    ngx_uint_t   i;

    ngx_memzero(input, NGX_MCP_MEMO_MAX_INPUT);

    p = input;

    for (i = 0; i < n; i++) {

        if (parts[i].len + sizeof(uint16_t)
            > (size_t) (input + NGX_MCP_MEMO_MAX_INPUT - p))
        {
            return 0;
        }

        len = (uint16_t) parts[i].len;

        p = ngx_cpymem(p, &len, sizeof(uint16_t));

        if (len) {
            p = ngx_cpymem(p, parts[i].data, len);
        }
    }

    return ngx_align(p - input, sizeof(uint64_t));
}


/*
 * Returns the number of a pair.  The strings are long, and this takes a fifth
 * of the instructions of ngx_murmur_hash2(): a multiplication for each word, by
 * 2^64 / 1.618, whose upper bits depend on all bits below.
 */

static ngx_uint_t
ngx_mcp_memo_hash(u_char *input, size_t len)
{
    size_t    i;
    uint64_t  word, hash;

    hash = len;

    for (i = 0; i < len; i += sizeof(uint64_t)) {
        ngx_memcpy(&word, input + i, sizeof(uint64_t));

        hash = (hash ^ word) * 0x9e3779b97f4a7c15ULL;
        hash ^= hash >> 32;
    }

    return (ngx_uint_t) (hash >> (64 - NGX_MCP_MEMO_BITS));
}


/*
 * Compares word by word, in a time that depends on the length only.
 */

static ngx_uint_t
ngx_mcp_memo_is(ngx_mcp_memo_entry_t *entry, u_char *input, size_t len)
{
    size_t    i;
    uint64_t  a, b, differ;

    if (entry->len != len) {
        return 0;
    }

    differ = 0;

    for (i = 0; i < len; i += sizeof(uint64_t)) {
        ngx_memcpy(&a, entry->input + i, sizeof(uint64_t));
        ngx_memcpy(&b, input + i, sizeof(uint64_t));

        differ |= a ^ b;
    }

    return differ == 0;
}


/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Session ids: format and MAC.
 */

#include <openssl/crypto.h>
#include "ngx_mcp_memo.h"
#include "ngx_mcp_session_id.h"


/* first byte of an id */

#define NGX_MCP_SESSION_ID_VERSION         1
#define NGX_MCP_SESSION_ID_VERSION_CLAIMS  2

/* offsets of the fields of a raw id, bytes; the MAC is at its end */

#define NGX_MCP_SESSION_ID_ISSUED_POS    1
#define NGX_MCP_SESSION_ID_INSTANCE_POS  5
#define NGX_MCP_SESSION_ID_RANDOM_POS    9
#define NGX_MCP_SESSION_ID_CLAIMS_POS    21

#define NGX_MCP_SESSION_ID_RANDOM_LEN    12
#define NGX_MCP_SESSION_ID_HEAD_LEN      8     /* issued and instance */

#define NGX_MCP_SESSION_ID_BYTES                                              \
    (NGX_MCP_SESSION_ID_CLAIMS_POS + NGX_MCP_DIGEST_LEN)

#define NGX_MCP_SESSION_ID_MAX_BYTES                                          \
    (NGX_MCP_SESSION_ID_BYTES + NGX_MCP_SESSION_ID_MAX_CLAIMS)


typedef struct {
    size_t       len;
    u_char       bytes[NGX_MCP_SESSION_ID_MAX_BYTES];
} ngx_mcp_session_id_raw_t;


static ngx_int_t ngx_mcp_session_id_fill(ngx_mcp_session_id_raw_t *raw,
    u_char *instance, time_t issued, ngx_str_t *claims);
static void ngx_mcp_session_id_encode(ngx_str_t *text,
    ngx_mcp_session_id_raw_t *raw);
static ngx_int_t ngx_mcp_session_id_decode(ngx_mcp_session_id_raw_t *raw,
    ngx_str_t *text);
static void ngx_mcp_session_id_set_head(ngx_mcp_session_id_t *sid, u_char *p);
static void ngx_mcp_session_id_claims(ngx_mcp_session_id_raw_t *raw,
    ngx_str_t *claims);
static ngx_int_t ngx_mcp_session_id_mac(ngx_mcp_session_id_raw_t *raw,
    u_char *mac, ngx_str_t *secret, const char *purpose, ngx_str_t *site,
    ngx_str_t *principal);
static ngx_uint_t ngx_mcp_session_id_known(ngx_mcp_session_id_t *sid,
    ngx_str_t *text, ngx_str_t *claims);
static void ngx_mcp_session_id_remember(ngx_mcp_session_id_t *sid,
    ngx_str_t *text, ngx_mcp_session_id_raw_t *raw);
static ngx_int_t ngx_mcp_session_id_digest(ngx_mcp_session_id_t *sid,
    ngx_mcp_session_id_raw_t *raw);


ngx_int_t
ngx_mcp_session_id_make(ngx_mcp_session_id_t *sid, ngx_str_t *text,
    ngx_str_t *secret, u_char *instance, time_t issued, const char *purpose,
    ngx_str_t *site, ngx_str_t *principal, ngx_str_t *claims)
{
    u_char                    *mac;
    ngx_mcp_session_id_raw_t   raw;

    if (ngx_mcp_session_id_fill(&raw, instance, issued, claims) != NGX_OK) {
        return NGX_ERROR;
    }

    mac = raw.bytes + raw.len - NGX_MCP_DIGEST_LEN;

    if (ngx_mcp_session_id_mac(&raw, mac, secret, purpose, site, principal)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_mcp_session_id_encode(text, &raw);
    ngx_mcp_session_id_set_head(sid,
                                raw.bytes + NGX_MCP_SESSION_ID_ISSUED_POS);

    return ngx_mcp_session_id_digest(sid, &raw);
}


/*
 * Sets all fields except the MAC.
 */

static ngx_int_t
ngx_mcp_session_id_fill(ngx_mcp_session_id_raw_t *raw, u_char *instance,
    time_t issued, ngx_str_t *claims)
{
    u_char  *p;

    p = raw->bytes;

    *p++ = claims ? NGX_MCP_SESSION_ID_VERSION_CLAIMS
                  : NGX_MCP_SESSION_ID_VERSION;

    *p++ = (u_char) (issued >> 24);
    *p++ = (u_char) (issued >> 16);
    *p++ = (u_char) (issued >> 8);
    *p++ = (u_char) issued;

    p = ngx_cpymem(p, instance, NGX_MCP_INSTANCE_LEN);

    raw->len = NGX_MCP_SESSION_ID_BYTES;

    if (claims) {

        if (claims->len == 0 || claims->len > NGX_MCP_SESSION_ID_MAX_CLAIMS) {
            return NGX_ERROR;
        }

        ngx_memcpy(p + NGX_MCP_SESSION_ID_RANDOM_LEN, claims->data,
                   claims->len);
        raw->len += claims->len;
    }

    return ngx_mcp_random(p, NGX_MCP_SESSION_ID_RANDOM_LEN);
}


static void
ngx_mcp_session_id_encode(ngx_str_t *text, ngx_mcp_session_id_raw_t *raw)
{
    ngx_str_t  src;

    src.len = raw->len;
    src.data = raw->bytes;

    ngx_encode_base64url(text, &src);
}


ngx_int_t
ngx_mcp_session_id_parse(ngx_mcp_session_id_t *sid, ngx_str_t *text,
    ngx_str_t *claims)
{
    ngx_mcp_session_id_raw_t  raw;

    if (ngx_mcp_session_id_known(sid, text, claims)) {
        return NGX_OK;
    }

    if (ngx_mcp_session_id_decode(&raw, text) != NGX_OK) {
        return NGX_DECLINED;
    }

    ngx_mcp_session_id_set_head(sid,
                                raw.bytes + NGX_MCP_SESSION_ID_ISSUED_POS);
    if (claims) {
        ngx_mcp_session_id_claims(&raw, claims);
    }

    return ngx_mcp_session_id_digest(sid, &raw) == NGX_OK ? NGX_OK
                                                          : NGX_DECLINED;
}


/*
 * The last character may have bits that are not of the id, which the decoder
 * ignores.  They must be zero, or an id would have several texts.
 */

static ngx_int_t
ngx_mcp_session_id_decode(ngx_mcp_session_id_raw_t *raw, ngx_str_t *text)
{
    u_char     again[NGX_MCP_SESSION_ID_MAX_LEN], version;
    ngx_str_t  dst;

    if (text->len < NGX_MCP_SESSION_ID_LEN
        || text->len > NGX_MCP_SESSION_ID_MAX_LEN)
    {
        return NGX_DECLINED;
    }

    dst.data = raw->bytes;

    if (ngx_decode_base64url(&dst, text) != NGX_OK
        || dst.len < NGX_MCP_SESSION_ID_BYTES)
    {
        return NGX_DECLINED;
    }

    raw->len = dst.len;
    dst.data = again;

    ngx_mcp_session_id_encode(&dst, raw);

    if (dst.len != text->len || ngx_memcmp(again, text->data, dst.len) != 0) {
        return NGX_DECLINED;
    }

    version = (raw->len == NGX_MCP_SESSION_ID_BYTES)
              ? NGX_MCP_SESSION_ID_VERSION
              : NGX_MCP_SESSION_ID_VERSION_CLAIMS;

    return raw->bytes[0] == version ? NGX_OK : NGX_DECLINED;
}


/*
 * "p" points to the time and the instance of a raw id.
 */

static void
ngx_mcp_session_id_set_head(ngx_mcp_session_id_t *sid, u_char *p)
{
    sid->issued = (time_t) ((uint32_t) p[0] << 24 | p[1] << 16
                            | p[2] << 8 | p[3]);

    ngx_memcpy(sid->instance, p + NGX_MCP_SESSION_ID_INSTANCE_POS
                              - NGX_MCP_SESSION_ID_ISSUED_POS,
               NGX_MCP_INSTANCE_LEN);
}


static void
ngx_mcp_session_id_claims(ngx_mcp_session_id_raw_t *raw, ngx_str_t *claims)
{
    claims->len = raw->len - NGX_MCP_SESSION_ID_BYTES;

    ngx_memcpy(claims->data, raw->bytes + NGX_MCP_SESSION_ID_CLAIMS_POS,
               claims->len);
}


/*
 * The digest stands for the bytes of an id in the memo: who finds another id
 * with the digest of a given one has broken SHA-256.
 */

ngx_int_t
ngx_mcp_session_id_verify(ngx_mcp_session_id_t *sid, ngx_str_t *text,
    ngx_array_t *secrets, const char *purpose, ngx_str_t *site,
    ngx_str_t *principal)
{
    u_char                     mac[NGX_MCP_DIGEST_LEN];
    u_char                     none[NGX_MCP_MEMO_VALUE_LEN];
    ngx_str_t                 *secret, parts[5];
    ngx_uint_t                 i;
    ngx_mcp_session_id_raw_t   raw;

    parts[0].len = ngx_strlen(purpose);
    parts[0].data = (u_char *) purpose;
    parts[1].len = NGX_MCP_DIGEST_LEN;
    parts[1].data = sid->key;
    parts[2] = *site;
    parts[3] = *principal;

    secret = secrets->elts;
    raw.len = 0;

    for (i = 0; i < secrets->nelts; i++) {

        parts[4] = secret[i];

        if (ngx_mcp_memo_get(parts, 5, NULL)) {
            return NGX_OK;
        }

        if (raw.len == 0 && ngx_mcp_session_id_decode(&raw, text) != NGX_OK) {
            return NGX_DECLINED;
        }

        if (ngx_mcp_session_id_mac(&raw, mac, &secret[i], purpose, site,
                                   principal)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        if (CRYPTO_memcmp(mac, raw.bytes + raw.len - NGX_MCP_DIGEST_LEN,
                          NGX_MCP_DIGEST_LEN)
            == 0)
        {
            ngx_memzero(none, NGX_MCP_MEMO_VALUE_LEN);
            ngx_mcp_memo_put(parts, 5, none);
            ngx_mcp_session_id_remember(sid, text, &raw);

            return NGX_OK;
        }
    }

    return NGX_DECLINED;
}


/* whether the text of an id was verified before; sets what it says */

static ngx_uint_t
ngx_mcp_session_id_known(ngx_mcp_session_id_t *sid, ngx_str_t *text,
    ngx_str_t *claims)
{
    u_char  *p, value[NGX_MCP_MEMO_VALUE_LEN];

    if (!ngx_mcp_memo_get(text, 1, value)) {
        return 0;
    }

    p = value;

    ngx_memcpy(sid->key, p, NGX_MCP_DIGEST_LEN);
    p += NGX_MCP_DIGEST_LEN;

    ngx_memcpy(sid->hash, p, NGX_MCP_HASH_LEN);
    p += NGX_MCP_HASH_LEN;

    ngx_mcp_session_id_set_head(sid, p);
    p += NGX_MCP_SESSION_ID_HEAD_LEN;

    if (claims) {
        claims->len = *p++;
        ngx_memcpy(claims->data, p, claims->len);
    }

    return 1;
}


static void
ngx_mcp_session_id_remember(ngx_mcp_session_id_t *sid, ngx_str_t *text,
    ngx_mcp_session_id_raw_t *raw)
{
    u_char     *p, value[NGX_MCP_MEMO_VALUE_LEN];
    ngx_str_t   claims;

    ngx_memzero(value, NGX_MCP_MEMO_VALUE_LEN);

    p = ngx_cpymem(value, sid->key, NGX_MCP_DIGEST_LEN);
    p = ngx_cpymem(p, sid->hash, NGX_MCP_HASH_LEN);
    p = ngx_cpymem(p, raw->bytes + NGX_MCP_SESSION_ID_ISSUED_POS,
                   NGX_MCP_SESSION_ID_HEAD_LEN);

    claims.data = p + 1;
    ngx_mcp_session_id_claims(raw, &claims);
    *p = (u_char) claims.len;

    ngx_mcp_memo_put(text, 1, value);
}


static ngx_int_t
ngx_mcp_session_id_mac(ngx_mcp_session_id_raw_t *raw, u_char *mac,
    ngx_str_t *secret, const char *purpose, ngx_str_t *site,
    ngx_str_t *principal)
{
    ngx_str_t   parts[8], *part;

    parts[0].len = ngx_strlen(purpose);
    parts[0].data = (u_char *) purpose;

    parts[1].len = NGX_MCP_SESSION_ID_ISSUED_POS;
    parts[1].data = raw->bytes;

    parts[2].len = NGX_MCP_SESSION_ID_INSTANCE_POS
                   - NGX_MCP_SESSION_ID_ISSUED_POS;
    parts[2].data = raw->bytes + NGX_MCP_SESSION_ID_ISSUED_POS;

    parts[3].len = NGX_MCP_INSTANCE_LEN;
    parts[3].data = raw->bytes + NGX_MCP_SESSION_ID_INSTANCE_POS;

    parts[4].len = NGX_MCP_SESSION_ID_RANDOM_LEN;
    parts[4].data = raw->bytes + NGX_MCP_SESSION_ID_RANDOM_POS;

    part = &parts[5];

    if (raw->len > NGX_MCP_SESSION_ID_BYTES) {
        part->len = raw->len - NGX_MCP_SESSION_ID_BYTES;
        part->data = raw->bytes + NGX_MCP_SESSION_ID_CLAIMS_POS;
        part++;
    }

    *part++ = *site;
    *part++ = *principal;

    return ngx_mcp_hmac(mac, secret, parts, part - parts);
}


static ngx_int_t
ngx_mcp_session_id_digest(ngx_mcp_session_id_t *sid,
    ngx_mcp_session_id_raw_t *raw)
{
    u_char  digest[NGX_MCP_SHA256_LEN];

    if (ngx_mcp_sha256(digest, raw->bytes, raw->len) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_memcpy(sid->key, digest, NGX_MCP_DIGEST_LEN);
    ngx_hex_dump(sid->hash, digest + NGX_MCP_DIGEST_LEN, NGX_MCP_HASH_LEN / 2);

    return NGX_OK;
}

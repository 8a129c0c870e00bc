
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Ids of questions to clients: made, and verified.
 */

#include <openssl/crypto.h>
#include "ngx_mcp_question_id.h"


static ngx_int_t ngx_mcp_question_id_mac(u_char *mac, ngx_str_t *secret,
    ngx_str_t *k, u_char *key);
static ngx_uint_t ngx_mcp_question_id_is_key(ngx_str_t *k);


ngx_int_t
ngx_mcp_question_id_make(ngx_str_t *text, ngx_str_t *secret, ngx_str_t *k,
    u_char *key)
{
    u_char  *p;

    if (!ngx_mcp_question_id_is_key(k)) {
        return NGX_ERROR;
    }

    p = ngx_cpymem(text->data, k->data, k->len);
    *p++ = '.';

    text->len = k->len + 1 + NGX_MCP_QUESTION_ID_MAC_LEN;

    return ngx_mcp_question_id_mac(p, secret, k, key);
}


ngx_int_t
ngx_mcp_question_id_verify(ngx_str_t *text, ngx_array_t *secrets, u_char *key,
    ngx_str_t *k)
{
    u_char       mac[NGX_MCP_QUESTION_ID_MAC_LEN], *p;
    ngx_str_t   *secret;
    ngx_uint_t   i;

    if (text->len <= NGX_MCP_QUESTION_ID_MAC_LEN) {
        return NGX_DECLINED;
    }

    k->data = text->data;
    k->len = text->len - NGX_MCP_QUESTION_ID_MAC_LEN - 1;

    p = k->data + k->len;

    if (*p++ != '.' || !ngx_mcp_question_id_is_key(k)) {
        return NGX_DECLINED;
    }

    secret = secrets->elts;

    for (i = 0; i < secrets->nelts; i++) {

        if (ngx_mcp_question_id_mac(mac, &secret[i], k, key) != NGX_OK) {
            return NGX_ERROR;
        }

        if (CRYPTO_memcmp(mac, p, NGX_MCP_QUESTION_ID_MAC_LEN) == 0) {
            return NGX_OK;
        }
    }

    return NGX_DECLINED;
}


/*
 * Writes the MAC as text: the bytes of an id would have several texts.
 */

static ngx_int_t
ngx_mcp_question_id_mac(u_char *mac, ngx_str_t *secret, ngx_str_t *k,
    u_char *key)
{
    u_char     digest[NGX_MCP_DIGEST_LEN];
    ngx_str_t  parts[3], src, dst;

    ngx_str_set(&parts[0], "question");
    parts[1] = *k;
    parts[2].len = NGX_MCP_DIGEST_LEN;
    parts[2].data = key;

    if (ngx_mcp_hmac(digest, secret, parts, 3) != NGX_OK) {
        return NGX_ERROR;
    }

    src.len = NGX_MCP_DIGEST_LEN;
    src.data = digest;
    dst.data = mac;

    ngx_encode_base64url(&dst, &src);

    return NGX_OK;
}


static ngx_uint_t
ngx_mcp_question_id_is_key(ngx_str_t *k)
{
    u_char  *p, *last;

    if (k->len < NGX_MCP_QUESTION_ID_MIN_KEY
        || k->len > NGX_MCP_QUESTION_ID_MAX_KEY)
    {
        return 0;
    }

    last = k->data + k->len;

    for (p = k->data; p < last; p++) {

        if (!((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z')
              || (*p >= '0' && *p <= '9') || *p == '-' || *p == '_'))
        {
            return 0;
        }
    }

    return 1;
}


/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Session ids: an id is valid for the purpose, site, user and secret for which
 * it was made, and for no other; its claims are those with which it was made;
 * each id has one text.
 *
 * Input: the text of an id, if the first byte is 0; otherwise how to make one,
 * and what to change before it is verified.
 */

#include "fuzz.h"
#include "ngx_mcp_session_id.h"
#include <openssl/evp.h>
#include <openssl/hmac.h>


#define SESSION_ID_MAX_BYTES  104


static void session_id_text(fuzz_input_t *in);
static size_t session_id_form(ngx_mcp_session_id_t *sid, ngx_str_t *text,
    ngx_str_t *claims, u_char *raw);
static ngx_uint_t session_id_value(u_char ch);
static void session_id_made(fuzz_input_t *in);
static ngx_str_t session_id_change(ngx_str_t *s, ngx_uint_t at);
static void session_id_shift(ngx_str_t *site, ngx_str_t *user);
static void session_id_mac(u_char *raw, size_t len, ngx_str_t *secret,
    const char *purpose, ngx_str_t *site, ngx_str_t *user);
static u_char *session_id_part(u_char *p, const void *data, size_t len);
static ngx_int_t session_id_check(ngx_str_t *text, ngx_str_t *secret,
    const char *purpose, ngx_str_t *site, ngx_str_t *user, ngx_str_t *claims);


static const char  *session_id_purposes[] = { "legacy", "streamable" };

static fuzz_input_t  session_id_in;


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{

    fuzz_begin(&session_id_in, data, size);

    if (fuzz_number(&session_id_in, 255) == 0) {
        session_id_text(&session_id_in);

    } else {
        session_id_made(&session_id_in);
    }

    fuzz_end(&session_id_in);

    return 0;
}


/*
 * An id that nobody has made: its MAC is not known to the fuzzer.
 */

static void
session_id_text(fuzz_input_t *in)
{
    u_char                buf[NGX_MCP_SESSION_ID_MAX_CLAIMS];
    u_char                raw[SESSION_ID_MAX_BYTES];
    ngx_str_t             text, secret, site, user, claims;
    ngx_mcp_session_id_t  sid;

    text = fuzz_rest(in);
    claims.data = buf;

    ngx_str_set(&secret, "a secret that the fuzzer does not know");
    ngx_str_set(&site, "site.example");
    ngx_str_set(&user, "user@example.com");

    if (ngx_mcp_session_id_parse(&sid, &text, &claims) != NGX_OK) {
        return;
    }

    (void) session_id_form(&sid, &text, &claims, raw);

    fuzz_check(session_id_check(&text, &secret, "legacy", &site, &user, NULL)
               == NGX_DECLINED, "a forged id is refused");
}


/*
 * RFC 4648, 5: six bits for each character, those that are left over are zero.
 * Fills "raw" and returns its length.
 */

static size_t
session_id_form(ngx_mcp_session_id_t *sid, ngx_str_t *text, ngx_str_t *claims,
    u_char *raw)
{
    size_t      i, len;
    u_char      digest[32];
    ngx_uint_t  bits, n;

    fuzz_check(text->len >= 50 && text->len <= 139 && text->len % 4 != 1,
               "the length of an id");

    len = bits = n = 0;

    for (i = 0; i < text->len; i++) {
        bits = (bits << 6 | session_id_value(text->data[i])) & 0xffff;
        n += 6;

        if (n >= 8) {
            n -= 8;
            raw[len++] = (u_char) (bits >> n);
        }
    }

    fuzz_check((bits & ((1 << n) - 1)) == 0, "an id has one text");
    fuzz_check(raw[0] == (len == 37 ? 1 : 2), "the version of an id");
    fuzz_check(sid->issued == ((time_t) raw[1] << 24 | raw[2] << 16
                               | raw[3] << 8 | raw[4]),
               "the time of an id is in its bytes");
    fuzz_check(ngx_memcmp(sid->instance, raw + 5, 4) == 0,
               "the instance is in its bytes");
    fuzz_check(claims->len == len - 37
               && (claims->len == 0
                   || ngx_memcmp(claims->data, raw + 21, claims->len) == 0),
               "the claims are in its bytes");

    (void) EVP_Digest(raw, len, digest, NULL, EVP_sha256(), NULL);

    fuzz_check(ngx_memcmp(sid->key, digest, NGX_MCP_DIGEST_LEN) == 0,
               "the key of an id is its digest");

    return len;
}


static ngx_uint_t
session_id_value(u_char ch)
{
    static const char  *alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                   "abcdefghijklmnopqrstuvwxyz0123456789-_";
    const char         *p;

    p = ch ? strchr(alphabet, ch) : NULL;

    fuzz_check(p != NULL, "an id has the characters of base64url");

    return p - alphabet;
}


static void
session_id_made(fuzz_input_t *in)
{
    u_char                bytes[NGX_MCP_SESSION_ID_MAX_LEN];
    u_char                raw[SESSION_ID_MAX_BYTES];
    u_char                instance[NGX_MCP_INSTANCE_LEN];
    time_t                issued;
    ngx_str_t             text, secret, site, user, claims;
    ngx_uint_t            change, at;
    const char           *purpose;
    ngx_mcp_session_id_t  sid;

    change = fuzz_number(in, 255);
    at = fuzz_number(in, 65535);
    purpose = session_id_purposes[fuzz_number(in, 255) % 2];
    issued = fuzz_number(in, 0xffffffff);
    ngx_memset(instance, fuzz_number(in, 255), NGX_MCP_INSTANCE_LEN);

    secret = fuzz_field(in);
    claims = fuzz_field(in);
    site = fuzz_field(in);
    user = fuzz_rest(in);

    text.data = bytes;

    if (ngx_mcp_session_id_make(&sid, &text, &secret, instance, issued, purpose,
                                &site, &user, claims.len ? &claims : NULL)
        != NGX_OK)
    {
        fuzz_check(secret.len == 0 || claims.len > 67,
                   "an id is made with any secret and claims");
        return;
    }

    session_id_mac(raw, session_id_form(&sid, &text, &claims, raw), &secret,
                   purpose, &site, &user);

    fuzz_check(session_id_check(&text, &secret, purpose, &site, &user, &claims)
               == NGX_OK, "an id is valid for whom it was made");

    switch (change % 6) {

    case 0:
        bytes[at % text.len] ^= (u_char) (1 << (at >> 8) % 8);
        break;

    case 1:
        purpose = session_id_purposes[purpose
                                           == session_id_purposes[0]];
        break;

    case 2:
        secret = session_id_change(&secret, at);
        break;

    case 3:
        site = session_id_change(&site, at);
        break;

    case 4:
        user = session_id_change(&user, at);
        break;

    default:

        /* the same bytes, cut at another place */

        session_id_shift(&site, &user);
    }

    fuzz_check(session_id_check(&text, &secret, purpose, &site, &user, NULL)
               != NGX_OK, "an id is not valid for anything else");
}


/*
 * Returns a copy with another bit.
 */

static ngx_str_t
session_id_change(ngx_str_t *s, ngx_uint_t at)
{
    ngx_str_t  changed;

    changed.len = ngx_max(s->len, 1);
    changed.data = fuzz_alloc(&session_id_in, changed.len);

    changed.data[0] = 0;

    if (s->len) {
        ngx_memcpy(changed.data, s->data, s->len);
    }

    changed.data[at % changed.len] ^= (u_char) (1 << (at >> 8) % 8);

    return changed;
}


/*
 * Moves a byte from the user to the site.
 */

static void
session_id_shift(ngx_str_t *site, ngx_str_t *user)
{
    u_char  *p;

    p = fuzz_alloc(&session_id_in, site->len + 1);

    if (site->len) {
        ngx_memcpy(p, site->data, site->len);
    }

    p[site->len] = user->len ? user->data[0] : 'x';

    site->data = p;
    site->len++;

    if (user->len) {
        user->data++;
        user->len--;
    }
}


/*
 * The MAC as it is documented, by one call of OpenSSL over all bytes.
 */

static void
session_id_mac(u_char *raw, size_t len, ngx_str_t *secret, const char *purpose,
    ngx_str_t *site, ngx_str_t *user)
{
    u_char  *p, *buf, mac[EVP_MAX_MD_SIZE];

    buf = fuzz_alloc(&session_id_in, site->len + user->len + 256);

    p = session_id_part(buf, purpose, ngx_strlen(purpose));
    p = session_id_part(p, raw, 1);
    p = session_id_part(p, raw + 1, 4);
    p = session_id_part(p, raw + 5, 4);
    p = session_id_part(p, raw + 9, 12);

    if (raw[0] == 2) {
        p = session_id_part(p, raw + 21, len - 37);
    }

    p = session_id_part(p, site->data, site->len);
    p = session_id_part(p, user->data, user->len);

    (void) HMAC(EVP_sha256(), secret->data, (int) secret->len, buf, p - buf,
                mac, NULL);

    fuzz_check(ngx_memcmp(mac, raw + len - 16, 16) == 0,
               "the MAC is over each part with its length");
}


static u_char *
session_id_part(u_char *p, const void *data, size_t len)
{
    *p++ = 0;
    *p++ = (u_char) (len >> 16);
    *p++ = (u_char) (len >> 8);
    *p++ = (u_char) len;

    return len ? ngx_cpymem(p, data, len) : p;
}


/*
 * Parses and verifies, with another secret in front of the one that is given;
 * twice, since the second time it is known.
 */

static ngx_int_t
session_id_check(ngx_str_t *text, ngx_str_t *secret, const char *purpose,
    ngx_str_t *site, ngx_str_t *user, ngx_str_t *claims)
{
    u_char                buf[NGX_MCP_SESSION_ID_MAX_CLAIMS];
    ngx_int_t             rc, first;
    ngx_str_t             secrets[2], read;
    ngx_uint_t            i;
    ngx_array_t           list;
    ngx_mcp_session_id_t  sid;

    ngx_str_set(&secrets[0], "the newest secret");
    secrets[1] = *secret;

    ngx_memzero(&list, sizeof(ngx_array_t));
    list.elts = secrets;
    list.nelts = 2;

    read.data = buf;
    first = rc = NGX_DECLINED;

    for (i = 0; i < 2; i++) {

        if (ngx_mcp_session_id_parse(&sid, text, &read) != NGX_OK) {
            return NGX_DECLINED;
        }

        fuzz_check(claims == NULL
                   || (claims->len == read.len
                       && (read.len == 0
                           || ngx_memcmp(claims->data, buf, read.len) == 0)),
                   "the claims are those with which an id was made");

        rc = ngx_mcp_session_id_verify(&sid, text, &list, purpose, site, user);

        fuzz_check(i == 0 || rc == first, "an id is verified as before");
        first = rc;
    }

    return rc;
}


/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Sealed packets, compared with a second implementation of the format that
 * ngx_mcp_packet.h describes: a packet opens only with the key, for the
 * receiver, from the sender, of the type and with the number with which it was
 * sealed, and if no bit has changed.
 *
 * Input: the bytes of a packet, if the first byte is 0; otherwise how to seal
 * one, and what to change.
 */

#include "fuzz.h"
#include "ngx_mcp_packet.h"
#include <openssl/evp.h>
#include <openssl/hmac.h>


static void packet_init(void);
static void packet_made(fuzz_input_t *in);
static void packet_open(u_char *data, size_t len);
static void packet_sealed(fuzz_input_t *in);
static ngx_int_t packet_expect(u_char *p, size_t len, u_char *body);
static void packet_derive(u_char *key, ngx_str_t *secret,
    const char *label, u_char *id, size_t len);
static int packet_gcm(u_char *key, u_char *packet, size_t len,
    u_char *body, int seal);


/* the first two are those of this worker */

static ngx_str_t  packet_secrets[] = {
    ngx_string("0123456789abcdef0123456789abcdef"),
    ngx_string("fedcba9876543210fedcba9876543210"),
    ngx_string("a secret of somebody else")
};

static u_char  packet_ids[3][4];
static u_char  packet_self[] = "a worker's id 16";
static u_char  packet_zero[NGX_MCP_PACKET_ID_LEN];

static fuzz_input_t  packet_in;


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ngx_str_t     bytes;

    fuzz_begin(&packet_in, data, size);
    packet_init();

    switch (fuzz_number(&packet_in, 255) % 3) {

    case 0:
        bytes = fuzz_rest(&packet_in);
        packet_open(bytes.data, bytes.len);
        break;

    case 1:
        packet_made(&packet_in);
        break;

    default:
        packet_sealed(&packet_in);
    }

    fuzz_end(&packet_in);

    return 0;
}


static void
packet_init(void)
{
    ngx_uint_t          i;
    u_char              key[NGX_MCP_CIPHER_KEY_LEN];
    static ngx_array_t  secrets;

    if (secrets.nelts) {
        return;
    }

    secrets.elts = packet_secrets;
    secrets.nelts = 2;

    fuzz_check(ngx_mcp_packet_init(packet_self, &secrets, packet_in.log)
               == NGX_OK, "the keys can be derived");

    for (i = 0; i < 3; i++) {
        packet_derive(key, &packet_secrets[i], "mcp sse key id", NULL, 0);
        ngx_memcpy(packet_ids[i], key, 4);
    }
}


/*
 * A packet of any sender, which is changed or not.
 */

static void
packet_made(fuzz_input_t *in)
{
    u_char      *p, key[NGX_MCP_CIPHER_KEY_LEN];
    size_t       len;
    ngx_str_t    body;
    ngx_uint_t   change, at, secret, receiver;

    change = fuzz_number(in, 255);
    at = fuzz_number(in, 65535);
    secret = fuzz_number(in, 255) % 3;
    receiver = fuzz_number(in, 255) % 3;

    p = fuzz_alloc(&packet_in, in->last - in->pos + 46 + 16);

    p[0] = 2;
    p[1] = fuzz_number(in, 255);
    ngx_memcpy(p + 2, packet_ids[secret], 4);

    /* few senders, so that one is met again; more than are kept, too */

    ngx_memzero(p + 6, 16);
    p[6] = fuzz_number(in, 255);
    p[20] = p[6] == 0xff ? fuzz_number(in, 255) : 0;
    p[21] = p[6] == 0xff ? fuzz_number(in, 255) : 0;

    ngx_memcpy(p + 22, (receiver == 0) ? packet_self : packet_zero, 16);
    p[22] ^= (receiver == 2);

    ngx_memzero(p + 38, 8);
    p[38] = fuzz_number(in, 255);
    p[45] = fuzz_number(in, 255);

    body = fuzz_rest(in);
    len = NGX_MCP_PACKET_HEADER_LEN + body.len + NGX_MCP_CIPHER_TAG_LEN;

    packet_derive(key, &packet_secrets[secret], "mcp sse packet",
                       p + 6, NGX_MCP_PACKET_ID_LEN);
    fuzz_check(packet_gcm(key, p, len, body.data, 1), "OpenSSL seals");

    switch (change % 4) {

    case 0:
        p[at % len] ^= (u_char) (1 << (change >> 2) % 8);
        break;

    case 1:
        len -= at % len;
        break;

    default:
        break;
    }

    packet_open(p, len);
}


/*
 * Opens a packet by both implementations.
 */

static void
packet_open(u_char *data, size_t len)
{
    u_char                     *copy, *body;
    ngx_int_t                   rc, expected;
    ngx_str_t                   bytes;
    ngx_mcp_packet_received_t   received;

    copy = fuzz_alloc(&packet_in, len);
    body = fuzz_alloc(&packet_in, len);
    ngx_memcpy(copy, data, len);

    expected = packet_expect(data, len, body);

    bytes.data = copy;
    bytes.len = len;

    rc = ngx_mcp_packet_open(&received, &bytes, packet_in.log);

    fuzz_check(rc == expected, "a packet opens as it was sealed, or not");

    if (rc != NGX_OK) {
        return;
    }

    fuzz_check(received.type == data[1]
               && received.number == ngx_mcp_packet_get(data + 38)
               && ngx_memcmp(received.sender->id, data + 6, 16) == 0,
               "type, number and sender are those of the packet");
    fuzz_check(received.body.len
               == len - NGX_MCP_PACKET_HEADER_LEN - NGX_MCP_CIPHER_TAG_LEN
               && ngx_memcmp(received.body.data, body, received.body.len) == 0,
               "the body is the one that was sealed");
}


/*
 * What the module must return; "body" gets the plaintext.
 */

static ngx_int_t
packet_expect(u_char *p, size_t len, u_char *body)
{
    u_char      *receiver, key[NGX_MCP_CIPHER_KEY_LEN];
    ngx_uint_t   i;

    if (len < 46 || p[0] != 2) {
        return NGX_ABORT;
    }

    if (p[1] == NGX_MCP_PACKET_PROBE) {
        return len == 46 ? NGX_DONE : NGX_ABORT;
    }

    receiver = (p[1] == NGX_MCP_PACKET_ANNOUNCE) ? packet_zero : packet_self;

    if (len < 46 + 16 || ngx_memcmp(p + 22, receiver, 16) != 0) {
        return NGX_DECLINED;
    }

    for (i = 0; i < 2; i++) {

        if (ngx_memcmp(p + 2, packet_ids[i], 4) == 0) {
            packet_derive(key, &packet_secrets[i], "mcp sse packet",
                               p + 6, NGX_MCP_PACKET_ID_LEN);

            return packet_gcm(key, p, len, body, 0) ? NGX_OK
                                                         : NGX_DECLINED;
        }
    }

    return NGX_DECLINED;
}


/*
 * A packet that the module seals.
 */

static void
packet_sealed(fuzz_input_t *in)
{
    u_char            *body, *receiver, key[NGX_MCP_CIPHER_KEY_LEN];
    ngx_str_t          text;
    ngx_uint_t         type;
    ngx_mcp_packet_t  *packet;
    static uint64_t    last;

    type = fuzz_number(in, 255) % 5 + 1;
    receiver = type == NGX_MCP_PACKET_ANNOUNCE ? NULL : packet_self;
    text = fuzz_rest(in);

    packet = ngx_mcp_packet_alloc(text.len, packet_in.log);
    body = fuzz_alloc(&packet_in, text.len + NGX_MCP_CIPHER_TAG_LEN);

    ngx_memcpy(packet->body, text.data, text.len);

    fuzz_check(ngx_mcp_packet_seal(packet, type, receiver) == NGX_OK,
               "a packet can be sealed");
    fuzz_check(packet->number == ++last
               && ngx_mcp_packet_get(packet->data + 38) == last,
               "each packet has the next number");

    packet_derive(key, &packet_secrets[0], "mcp sse packet",
                       packet_self, NGX_MCP_PACKET_ID_LEN);

    fuzz_check(packet->size == 46 + text.len + 16
               && packet_gcm(key, packet->data, packet->size, body, 0)
               && ngx_memcmp(body, text.data, text.len) == 0,
               "a sealed packet has the format that is documented");

    packet_open(packet->data, packet->size);

    ngx_free(packet);
}


/*
 * HKDF with SHA-256, no salt, one block (RFC 5869, 2).
 */

static void
packet_derive(u_char *key, ngx_str_t *secret, const char *label,
    u_char *id, size_t len)
{
    u_char  *p, prk[32], salt[32], info[64];

    ngx_memzero(salt, sizeof(salt));

    (void) HMAC(EVP_sha256(), salt, sizeof(salt), secret->data, secret->len,
                prk, NULL);

    p = ngx_cpymem(info, label, ngx_strlen(label));
    p = len ? ngx_cpymem(p, id, len) : p;
    *p++ = 1;

    (void) HMAC(EVP_sha256(), prk, sizeof(prk), info, p - info, key, NULL);
}


/*
 * Seals "body" into the packet, whose header is complete, or opens the packet
 * into "body".  Returns whether that went well.
 */

static int
packet_gcm(u_char *key, u_char *packet, size_t len, u_char *body,
    int seal)
{
    int              n, ok;
    u_char           nonce[12];
    EVP_CIPHER_CTX  *ctx;

    len -= 46 + 16;

    ngx_memzero(nonce, 4);
    ngx_memcpy(nonce + 4, packet + 38, 8);

    ctx = EVP_CIPHER_CTX_new();

    ok = EVP_CipherInit_ex(ctx, EVP_aes_256_gcm(), NULL, key, nonce, seal) == 1
         && EVP_CipherUpdate(ctx, NULL, &n, packet, 46) == 1
         && EVP_CipherUpdate(ctx, seal ? packet + 46 : body, &n,
                             seal ? body : packet + 46, (int) len)
            == 1
         && (seal || EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_TAG, 16,
                                         packet + 46 + len)
                     == 1)
         && EVP_CipherFinal_ex(ctx, nonce, &n) == 1
         && (!seal || EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG, 16,
                                          packet + 46 + len)
                      == 1);

    EVP_CIPHER_CTX_free(ctx);

    return ok;
}

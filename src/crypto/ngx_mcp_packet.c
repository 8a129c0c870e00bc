
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Sealed packets between the workers of all instances, and their senders,
 * for protection against replay.
 *
 * A sender is owned by this file and kept for the life of the process.  When
 * there are NGX_MCP_PACKET_MAX_SENDERS, a new one replaces the one that has
 * been silent longest, whose packets have expired by then.
 */

#include "ngx_mcp_packet.h"


#define NGX_MCP_PACKET_VERSION      2      /* first byte, on the wire */
#define NGX_MCP_PACKET_MAX_SENDERS  4096   /* bounds the memory of windows */

/* offsets of the fields of a packet, bytes */

#define NGX_MCP_PACKET_TYPE_POS      1
#define NGX_MCP_PACKET_KEY_ID_POS    2
#define NGX_MCP_PACKET_SENDER_POS    6
#define NGX_MCP_PACKET_RECEIVER_POS  22
#define NGX_MCP_PACKET_NUMBER_POS    38


typedef struct {
    u_char                      id[4];
    ngx_str_t                  *secret;
} ngx_mcp_packet_key_t;


static ngx_int_t ngx_mcp_packet_derive(u_char *key, ngx_str_t *secret,
    u_char *id);
static ngx_int_t ngx_mcp_packet_unseal(ngx_mcp_packet_received_t *received,
    u_char *p, ngx_str_t *secret, ngx_log_t *log);
static ngx_str_t *ngx_mcp_packet_secret(u_char *key_id);
static ngx_mcp_packet_sender_t *ngx_mcp_packet_find(u_char *id);
static ngx_mcp_packet_sender_t *ngx_mcp_packet_add(u_char *id, ngx_log_t *log);
static void ngx_mcp_packet_remove(ngx_mcp_packet_sender_t *sender);


/* the receiver of announcements, zero */

static u_char    ngx_mcp_packet_all[NGX_MCP_PACKET_ID_LEN];

/* this worker: its id, the key that it seals with, the last number used */

static u_char   *ngx_mcp_packet_self;
static u_char    ngx_mcp_packet_self_key[NGX_MCP_CIPHER_KEY_LEN];
static uint64_t  ngx_mcp_packet_last_number;

static ngx_uint_t             ngx_mcp_packet_nkeys;
static ngx_mcp_packet_key_t  *ngx_mcp_packet_keys;

static ngx_rbtree_t       ngx_mcp_senders;
static ngx_rbtree_node_t  ngx_mcp_senders_sentinel;
static ngx_queue_t        ngx_mcp_senders_order;    /* most recent first */
static ngx_uint_t         ngx_mcp_nsenders;


ngx_int_t
ngx_mcp_packet_init(u_char *self, ngx_array_t *secrets, ngx_log_t *log)
{
    u_char                 key[NGX_MCP_CIPHER_KEY_LEN];
    ngx_str_t             *secret, info;
    ngx_uint_t             i;
    ngx_mcp_packet_key_t  *keys;

    ngx_rbtree_init(&ngx_mcp_senders,
                    &ngx_mcp_senders_sentinel,
                    ngx_rbtree_insert_value);
    ngx_queue_init(&ngx_mcp_senders_order);

    secret = secrets->elts;

    keys = ngx_alloc(secrets->nelts * sizeof(ngx_mcp_packet_key_t), log);
    if (keys == NULL) {
        return NGX_ERROR;
    }

    ngx_mcp_packet_self = self;
    ngx_mcp_packet_keys = keys;
    ngx_mcp_packet_nkeys = secrets->nelts;

    ngx_str_set(&info, "mcp sse key id");

    for (i = 0; i < secrets->nelts; i++) {

        if (ngx_mcp_cipher_derive(key, &secret[i], &info) != NGX_OK) {
            return NGX_ERROR;
        }

        ngx_memcpy(keys[i].id, key, 4);
        keys[i].secret = &secret[i];
    }

    return ngx_mcp_packet_derive(ngx_mcp_packet_self_key, secret, self);
}


static ngx_int_t
ngx_mcp_packet_derive(u_char *key, ngx_str_t *secret, u_char *id)
{
    u_char     *p;
    u_char      data[sizeof("mcp sse packet") - 1 + NGX_MCP_PACKET_ID_LEN];
    ngx_str_t   info;

    p = ngx_cpymem(data, "mcp sse packet", sizeof("mcp sse packet") - 1);
    ngx_memcpy(p, id, NGX_MCP_PACKET_ID_LEN);

    info.len = sizeof(data);
    info.data = data;

    return ngx_mcp_cipher_derive(key, secret, &info);
}


ngx_mcp_packet_t *
ngx_mcp_packet_alloc(size_t len, ngx_log_t *log)
{
    size_t             size;
    ngx_mcp_packet_t  *packet;

    size = NGX_MCP_PACKET_HEADER_LEN + len + NGX_MCP_CIPHER_TAG_LEN;

    packet = ngx_alloc(sizeof(ngx_mcp_packet_t) + size, log);
    if (packet == NULL) {
        return NULL;
    }

    packet->number = 0;
    packet->size = size;
    packet->body = packet->data + NGX_MCP_PACKET_HEADER_LEN;

    return packet;
}


ngx_int_t
ngx_mcp_packet_seal(ngx_mcp_packet_t *packet, ngx_uint_t type,
    u_char *receiver)
{
    u_char     *p;
    ngx_str_t   ad, body;

    packet->number = ++ngx_mcp_packet_last_number;

    p = packet->data;

    *p++ = NGX_MCP_PACKET_VERSION;
    *p++ = (u_char) type;

    p = ngx_cpymem(p, ngx_mcp_packet_keys[0].id, 4);
    p = ngx_cpymem(p, ngx_mcp_packet_self, NGX_MCP_PACKET_ID_LEN);
    p = ngx_cpymem(p, receiver ? receiver : ngx_mcp_packet_all,
                   NGX_MCP_PACKET_ID_LEN);
    (void) ngx_mcp_packet_put(p, packet->number);

    ad.len = NGX_MCP_PACKET_HEADER_LEN;
    ad.data = packet->data;

    body.len = packet->size - NGX_MCP_PACKET_HEADER_LEN;
    body.data = packet->body;

    return ngx_mcp_cipher_seal(ngx_mcp_packet_self_key, packet->number, &ad,
                               &body);
}


void
ngx_mcp_packet_probe(u_char *data)
{
    ngx_memzero(data, NGX_MCP_PACKET_HEADER_LEN);

    data[0] = NGX_MCP_PACKET_VERSION;
    data[NGX_MCP_PACKET_TYPE_POS] = NGX_MCP_PACKET_PROBE;
}


ngx_int_t
ngx_mcp_packet_open(ngx_mcp_packet_received_t *received, ngx_str_t *data,
    ngx_log_t *log)
{
    u_char     *p, *receiver;
    ngx_int_t   rc;
    ngx_str_t  *secret;

    p = data->data;

    if (data->len < NGX_MCP_PACKET_HEADER_LEN
        || p[0] != NGX_MCP_PACKET_VERSION)
    {
        return NGX_ABORT;
    }

    received->type = p[NGX_MCP_PACKET_TYPE_POS];

    if (received->type == NGX_MCP_PACKET_PROBE) {
        return data->len == NGX_MCP_PACKET_HEADER_LEN ? NGX_DONE
                                                           : NGX_ABORT;
    }

    secret = ngx_mcp_packet_secret(p + NGX_MCP_PACKET_KEY_ID_POS);

    receiver = (received->type == NGX_MCP_PACKET_ANNOUNCE)
               ? ngx_mcp_packet_all : ngx_mcp_packet_self;

    if (secret == NULL
        || ngx_memcmp(p + NGX_MCP_PACKET_RECEIVER_POS, receiver,
                      NGX_MCP_PACKET_ID_LEN)
           != 0)
    {
        return NGX_DECLINED;
    }

    received->body.len = data->len - NGX_MCP_PACKET_HEADER_LEN;
    received->body.data = p + NGX_MCP_PACKET_HEADER_LEN;

    rc = ngx_mcp_packet_unseal(received, p, secret, log);

    if (rc == NGX_OK) {
        received->body.len -= NGX_MCP_CIPHER_TAG_LEN;
    }

    return rc;
}


/*
 * Verifies and decrypts with the key of the sender, which is kept so that it
 * is derived once.
 */

static ngx_int_t
ngx_mcp_packet_unseal(ngx_mcp_packet_received_t *received, u_char *p,
    ngx_str_t *secret, ngx_log_t *log)
{
    u_char                   *key, derived[NGX_MCP_CIPHER_KEY_LEN];
    ngx_int_t                 rc;
    ngx_str_t                 ad;
    ngx_mcp_packet_sender_t  *sender;

    sender = ngx_mcp_packet_find(p + NGX_MCP_PACKET_SENDER_POS);

    if (sender
        && ngx_memcmp(sender->key_id, p + NGX_MCP_PACKET_KEY_ID_POS, 4) == 0)
    {
        key = sender->key;

    } else {
        key = derived;

        if (ngx_mcp_packet_derive(key, secret,
                                  p + NGX_MCP_PACKET_SENDER_POS)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    received->number = ngx_mcp_packet_get(p + NGX_MCP_PACKET_NUMBER_POS);

    ad.len = NGX_MCP_PACKET_HEADER_LEN;
    ad.data = p;

    rc = ngx_mcp_cipher_open(key, received->number, &ad, &received->body);
    if (rc != NGX_OK) {
        return rc;
    }

    /* the packet is authentic, so the sender exists */

    if (sender == NULL) {
        sender = ngx_mcp_packet_add(p + NGX_MCP_PACKET_SENDER_POS, log);
        if (sender == NULL) {
            return NGX_ERROR;
        }
    }

    if (key == derived) {
        ngx_memcpy(sender->key_id, p + NGX_MCP_PACKET_KEY_ID_POS, 4);
        ngx_memcpy(sender->key, derived, NGX_MCP_CIPHER_KEY_LEN);
    }

    ngx_queue_remove(&sender->queue);
    ngx_queue_insert_head(&ngx_mcp_senders_order, &sender->queue);

    received->sender = sender;

    return NGX_OK;
}


static ngx_str_t *
ngx_mcp_packet_secret(u_char *key_id)
{
    ngx_uint_t  i;

    for (i = 0; i < ngx_mcp_packet_nkeys; i++) {

        if (ngx_memcmp(ngx_mcp_packet_keys[i].id, key_id, 4) == 0) {
            return ngx_mcp_packet_keys[i].secret;
        }
    }

    return NULL;
}


static ngx_mcp_packet_sender_t *
ngx_mcp_packet_find(u_char *id)
{
    ngx_int_t                 rc;
    ngx_rbtree_key_t          key;
    ngx_rbtree_node_t        *node;
    ngx_mcp_packet_sender_t  *sender;

    ngx_memcpy(&key, id, sizeof(ngx_rbtree_key_t));

    node = ngx_mcp_senders.root;

    while (node != ngx_mcp_senders.sentinel) {

        if (key != node->key) {
            node = (key < node->key) ? node->left : node->right;
            continue;
        }

        sender = ngx_rbtree_data(node, ngx_mcp_packet_sender_t, node);

        rc = ngx_memcmp(sender->id, id, NGX_MCP_PACKET_ID_LEN);

        if (rc == 0) {
            return sender;
        }

        node = node->right;
    }

    return NULL;
}


static ngx_mcp_packet_sender_t *
ngx_mcp_packet_add(u_char *id, ngx_log_t *log)
{
    ngx_queue_t              *q;
    ngx_mcp_packet_sender_t  *sender;

    if (ngx_mcp_nsenders == NGX_MCP_PACKET_MAX_SENDERS) {
        q = ngx_queue_last(&ngx_mcp_senders_order);
        ngx_mcp_packet_remove(
                       ngx_queue_data(q, ngx_mcp_packet_sender_t, queue));
    }

    sender = ngx_calloc(sizeof(ngx_mcp_packet_sender_t), log);
    if (sender == NULL) {
        return NULL;
    }

    ngx_memcpy(sender->id, id, NGX_MCP_PACKET_ID_LEN);
    ngx_memcpy(&sender->node.key, id, sizeof(ngx_rbtree_key_t));

    ngx_mcp_replay_window_init(&sender->window);
    ngx_mcp_replay_window_init(&sender->announce_window);

    ngx_rbtree_insert(&ngx_mcp_senders, &sender->node);
    ngx_queue_insert_head(&ngx_mcp_senders_order, &sender->queue);
    ngx_mcp_nsenders++;

    return sender;
}


static void
ngx_mcp_packet_remove(ngx_mcp_packet_sender_t *sender)
{
    ngx_mcp_replay_window_clear(&sender->window);
    ngx_mcp_replay_window_clear(&sender->announce_window);

    ngx_rbtree_delete(&ngx_mcp_senders, &sender->node);
    ngx_queue_remove(&sender->queue);
    ngx_free(sender);

    ngx_mcp_nsenders--;
}


void
ngx_mcp_packet_expire(ngx_msec_t now)
{
    ngx_queue_t              *q;
    ngx_mcp_packet_sender_t  *sender;

    for (q = ngx_queue_head(&ngx_mcp_senders_order);
         q != ngx_queue_sentinel(&ngx_mcp_senders_order);
         q = ngx_queue_next(q))
    {
        sender = ngx_queue_data(q, ngx_mcp_packet_sender_t, queue);

        ngx_mcp_replay_window_expire(&sender->window, now);
        ngx_mcp_replay_window_expire(&sender->announce_window, now);
    }
}


u_char *
ngx_mcp_packet_put(u_char *p, uint64_t n)
{
    ngx_uint_t  i;

    for (i = 8; i; i--) {
        p[i - 1] = (u_char) n;
        n >>= 8;
    }

    return p + 8;
}


uint64_t
ngx_mcp_packet_get(u_char *p)
{
    uint64_t    n;
    ngx_uint_t  i;

    n = 0;

    for (i = 0; i < 8; i++) {
        n = (n << 8) | p[i];
    }

    return n;
}

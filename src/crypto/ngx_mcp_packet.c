
/*
 * Senders belong to this file, and live as long as the process, except that
 * the one silent longest makes room for a new one when there are very many.
 * What it had sent has expired by then.
 */

#include "ngx_mcp_packet.h"


#define NGX_HTTP_MCP_SSE_PACKET_VERSION  1
#define NGX_HTTP_MCP_SSE_MAX_SENDERS     4096

/* where the fields of a packet begin */

#define NGX_HTTP_MCP_SSE_PACKET_TYPE      1
#define NGX_HTTP_MCP_SSE_PACKET_KEY       2
#define NGX_HTTP_MCP_SSE_PACKET_SENDER    6
#define NGX_HTTP_MCP_SSE_PACKET_RECEIVER  22
#define NGX_HTTP_MCP_SSE_PACKET_NUMBER    38


typedef struct {
    u_char                      id[4];
    ngx_str_t                  *secret;
} ngx_http_mcp_sse_packet_key_t;


static ngx_int_t ngx_http_mcp_sse_packet_derive(u_char *key,
    ngx_str_t *secret, u_char *id);
static ngx_int_t ngx_http_mcp_sse_packet_unseal(
    ngx_http_mcp_sse_received_t *received, u_char *p, ngx_str_t *secret,
    ngx_log_t *log);
static ngx_str_t *ngx_http_mcp_sse_packet_secret(u_char *key_id);
static ngx_http_mcp_sse_sender_t *ngx_http_mcp_sse_packet_find(u_char *id);
static ngx_http_mcp_sse_sender_t *ngx_http_mcp_sse_packet_add(u_char *id,
    ngx_log_t *log);
static void ngx_http_mcp_sse_packet_forget(ngx_http_mcp_sse_sender_t *sender);


static u_char         ngx_http_mcp_sse_packet_all[NGX_HTTP_MCP_SSE_PACKET_ID];
static u_char        *ngx_http_mcp_sse_packet_self;
static u_char         ngx_http_mcp_sse_packet_own[NGX_HTTP_MCP_SSE_CIPHER_KEY];
static uint64_t       ngx_http_mcp_sse_packet_last;

static ngx_uint_t                      ngx_http_mcp_sse_packet_nkeys;
static ngx_http_mcp_sse_packet_key_t  *ngx_http_mcp_sse_packet_keys;

static ngx_rbtree_t       ngx_http_mcp_sse_senders;
static ngx_rbtree_node_t  ngx_http_mcp_sse_senders_sentinel;
static ngx_queue_t        ngx_http_mcp_sse_senders_order;
static ngx_uint_t         ngx_http_mcp_sse_nsenders;


ngx_int_t
ngx_http_mcp_sse_packet_init(u_char *self, ngx_array_t *secrets,
    ngx_log_t *log)
{
    u_char                          key[NGX_HTTP_MCP_SSE_CIPHER_KEY];
    ngx_str_t                      *secret, info;
    ngx_uint_t                      i;
    ngx_http_mcp_sse_packet_key_t  *keys;

    ngx_rbtree_init(&ngx_http_mcp_sse_senders,
                    &ngx_http_mcp_sse_senders_sentinel,
                    ngx_rbtree_insert_value);
    ngx_queue_init(&ngx_http_mcp_sse_senders_order);

    secret = secrets->elts;

    keys = ngx_alloc(secrets->nelts * sizeof(ngx_http_mcp_sse_packet_key_t),
                     log);
    if (keys == NULL) {
        return NGX_ERROR;
    }

    ngx_http_mcp_sse_packet_self = self;
    ngx_http_mcp_sse_packet_keys = keys;
    ngx_http_mcp_sse_packet_nkeys = secrets->nelts;

    ngx_str_set(&info, "mcp sse key id");

    for (i = 0; i < secrets->nelts; i++) {

        if (ngx_http_mcp_sse_cipher_derive(key, &secret[i], &info) != NGX_OK) {
            return NGX_ERROR;
        }

        ngx_memcpy(keys[i].id, key, 4);
        keys[i].secret = &secret[i];
    }

    return ngx_http_mcp_sse_packet_derive(ngx_http_mcp_sse_packet_own,
                                          secret, self);
}


static ngx_int_t
ngx_http_mcp_sse_packet_derive(u_char *key, ngx_str_t *secret, u_char *id)
{
    u_char     *p;
    u_char      data[sizeof("mcp sse packet") - 1 + NGX_HTTP_MCP_SSE_PACKET_ID];
    ngx_str_t   info;

    p = ngx_cpymem(data, "mcp sse packet", sizeof("mcp sse packet") - 1);
    ngx_memcpy(p, id, NGX_HTTP_MCP_SSE_PACKET_ID);

    info.len = sizeof(data);
    info.data = data;

    return ngx_http_mcp_sse_cipher_derive(key, secret, &info);
}


ngx_http_mcp_sse_packet_t *
ngx_http_mcp_sse_packet_alloc(size_t len, ngx_log_t *log)
{
    size_t                      size;
    ngx_http_mcp_sse_packet_t  *packet;

    size = NGX_HTTP_MCP_SSE_PACKET_HEADER + len + NGX_HTTP_MCP_SSE_CIPHER_TAG;

    packet = ngx_alloc(sizeof(ngx_http_mcp_sse_packet_t) + size, log);
    if (packet == NULL) {
        return NULL;
    }

    packet->number = 0;
    packet->size = size;
    packet->body = packet->data + NGX_HTTP_MCP_SSE_PACKET_HEADER;

    return packet;
}


ngx_int_t
ngx_http_mcp_sse_packet_seal(ngx_http_mcp_sse_packet_t *packet,
    ngx_uint_t type, u_char *receiver)
{
    u_char     *p;
    ngx_str_t   ad, body;

    packet->number = ++ngx_http_mcp_sse_packet_last;

    p = packet->data;

    *p++ = NGX_HTTP_MCP_SSE_PACKET_VERSION;
    *p++ = (u_char) type;

    p = ngx_cpymem(p, ngx_http_mcp_sse_packet_keys[0].id, 4);
    p = ngx_cpymem(p, ngx_http_mcp_sse_packet_self, NGX_HTTP_MCP_SSE_PACKET_ID);
    p = ngx_cpymem(p, receiver ? receiver : ngx_http_mcp_sse_packet_all,
                   NGX_HTTP_MCP_SSE_PACKET_ID);
    (void) ngx_http_mcp_sse_packet_put(p, packet->number);

    ad.len = NGX_HTTP_MCP_SSE_PACKET_HEADER;
    ad.data = packet->data;

    body.len = packet->size - NGX_HTTP_MCP_SSE_PACKET_HEADER;
    body.data = packet->body;

    return ngx_http_mcp_sse_cipher_seal(ngx_http_mcp_sse_packet_own,
                                        packet->number, &ad, &body);
}


void
ngx_http_mcp_sse_packet_hello(u_char *data)
{
    ngx_memzero(data, NGX_HTTP_MCP_SSE_PACKET_HEADER);

    data[0] = NGX_HTTP_MCP_SSE_PACKET_VERSION;
    data[NGX_HTTP_MCP_SSE_PACKET_TYPE] = NGX_HTTP_MCP_SSE_PACKET_HELLO;
}


ngx_int_t
ngx_http_mcp_sse_packet_open(ngx_http_mcp_sse_received_t *received,
    ngx_str_t *data, ngx_log_t *log)
{
    u_char     *p, *receiver;
    ngx_int_t   rc;
    ngx_str_t  *secret;

    p = data->data;

    if (data->len < NGX_HTTP_MCP_SSE_PACKET_HEADER
        || p[0] != NGX_HTTP_MCP_SSE_PACKET_VERSION)
    {
        return NGX_ABORT;
    }

    received->type = p[NGX_HTTP_MCP_SSE_PACKET_TYPE];

    if (received->type == NGX_HTTP_MCP_SSE_PACKET_HELLO) {
        return data->len == NGX_HTTP_MCP_SSE_PACKET_HEADER ? NGX_DONE
                                                           : NGX_ABORT;
    }

    secret = ngx_http_mcp_sse_packet_secret(p + NGX_HTTP_MCP_SSE_PACKET_KEY);

    receiver = (received->type == NGX_HTTP_MCP_SSE_PACKET_NEWS)
               ? ngx_http_mcp_sse_packet_all : ngx_http_mcp_sse_packet_self;

    if (secret == NULL
        || ngx_memcmp(p + NGX_HTTP_MCP_SSE_PACKET_RECEIVER, receiver,
                      NGX_HTTP_MCP_SSE_PACKET_ID)
           != 0)
    {
        return NGX_DECLINED;
    }

    received->body.len = data->len - NGX_HTTP_MCP_SSE_PACKET_HEADER;
    received->body.data = p + NGX_HTTP_MCP_SSE_PACKET_HEADER;

    rc = ngx_http_mcp_sse_packet_unseal(received, p, secret, log);

    if (rc == NGX_OK) {
        received->body.len -= NGX_HTTP_MCP_SSE_CIPHER_TAG;
    }

    return rc;
}


/*
 * The key is kept with the sender.
 */

static ngx_int_t
ngx_http_mcp_sse_packet_unseal(ngx_http_mcp_sse_received_t *received,
    u_char *p, ngx_str_t *secret, ngx_log_t *log)
{
    u_char                     *key, derived[NGX_HTTP_MCP_SSE_CIPHER_KEY];
    ngx_int_t                   rc;
    ngx_str_t                   ad;
    ngx_http_mcp_sse_sender_t  *sender;

    sender = ngx_http_mcp_sse_packet_find(p + NGX_HTTP_MCP_SSE_PACKET_SENDER);

    if (sender
        && ngx_memcmp(sender->key_id, p + NGX_HTTP_MCP_SSE_PACKET_KEY, 4) == 0)
    {
        key = sender->key;

    } else {
        key = derived;

        if (ngx_http_mcp_sse_packet_derive(key, secret,
                                           p + NGX_HTTP_MCP_SSE_PACKET_SENDER)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    received->number = ngx_http_mcp_sse_packet_get(
                                         p + NGX_HTTP_MCP_SSE_PACKET_NUMBER);

    ad.len = NGX_HTTP_MCP_SSE_PACKET_HEADER;
    ad.data = p;

    rc = ngx_http_mcp_sse_cipher_open(key, received->number, &ad,
                                      &received->body);
    if (rc != NGX_OK) {
        return rc;
    }

    /* only now it is known that there is such a sender */

    if (sender == NULL) {
        sender = ngx_http_mcp_sse_packet_add(
                                    p + NGX_HTTP_MCP_SSE_PACKET_SENDER, log);
        if (sender == NULL) {
            return NGX_ERROR;
        }
    }

    if (key == derived) {
        ngx_memcpy(sender->key_id, p + NGX_HTTP_MCP_SSE_PACKET_KEY, 4);
        ngx_memcpy(sender->key, derived, NGX_HTTP_MCP_SSE_CIPHER_KEY);
    }

    ngx_queue_remove(&sender->queue);
    ngx_queue_insert_head(&ngx_http_mcp_sse_senders_order, &sender->queue);

    received->sender = sender;

    return NGX_OK;
}


static ngx_str_t *
ngx_http_mcp_sse_packet_secret(u_char *key_id)
{
    ngx_uint_t  i;

    for (i = 0; i < ngx_http_mcp_sse_packet_nkeys; i++) {

        if (ngx_memcmp(ngx_http_mcp_sse_packet_keys[i].id, key_id, 4) == 0) {
            return ngx_http_mcp_sse_packet_keys[i].secret;
        }
    }

    return NULL;
}


static ngx_http_mcp_sse_sender_t *
ngx_http_mcp_sse_packet_find(u_char *id)
{
    ngx_int_t                   rc;
    ngx_rbtree_key_t            key;
    ngx_rbtree_node_t          *node;
    ngx_http_mcp_sse_sender_t  *sender;

    ngx_memcpy(&key, id, sizeof(ngx_rbtree_key_t));

    node = ngx_http_mcp_sse_senders.root;

    while (node != ngx_http_mcp_sse_senders.sentinel) {

        if (key != node->key) {
            node = (key < node->key) ? node->left : node->right;
            continue;
        }

        sender = ngx_rbtree_data(node, ngx_http_mcp_sse_sender_t, node);

        rc = ngx_memcmp(sender->id, id, NGX_HTTP_MCP_SSE_PACKET_ID);

        if (rc == 0) {
            return sender;
        }

        node = node->right;
    }

    return NULL;
}


static ngx_http_mcp_sse_sender_t *
ngx_http_mcp_sse_packet_add(u_char *id, ngx_log_t *log)
{
    ngx_queue_t                *q;
    ngx_http_mcp_sse_sender_t  *sender;

    if (ngx_http_mcp_sse_nsenders == NGX_HTTP_MCP_SSE_MAX_SENDERS) {
        q = ngx_queue_last(&ngx_http_mcp_sse_senders_order);
        ngx_http_mcp_sse_packet_forget(
                       ngx_queue_data(q, ngx_http_mcp_sse_sender_t, queue));
    }

    sender = ngx_calloc(sizeof(ngx_http_mcp_sse_sender_t), log);
    if (sender == NULL) {
        return NULL;
    }

    ngx_memcpy(sender->id, id, NGX_HTTP_MCP_SSE_PACKET_ID);
    ngx_memcpy(&sender->node.key, id, sizeof(ngx_rbtree_key_t));

    ngx_http_mcp_sse_window_init(&sender->window);
    ngx_http_mcp_sse_window_init(&sender->news);

    ngx_rbtree_insert(&ngx_http_mcp_sse_senders, &sender->node);
    ngx_queue_insert_head(&ngx_http_mcp_sse_senders_order, &sender->queue);
    ngx_http_mcp_sse_nsenders++;

    return sender;
}


static void
ngx_http_mcp_sse_packet_forget(ngx_http_mcp_sse_sender_t *sender)
{
    ngx_http_mcp_sse_window_expire(&sender->window, INT64_MAX);
    ngx_http_mcp_sse_window_expire(&sender->news, INT64_MAX);

    ngx_rbtree_delete(&ngx_http_mcp_sse_senders, &sender->node);
    ngx_queue_remove(&sender->queue);
    ngx_free(sender);

    ngx_http_mcp_sse_nsenders--;
}


void
ngx_http_mcp_sse_packet_expire(int64_t now)
{
    ngx_queue_t                *q;
    ngx_http_mcp_sse_sender_t  *sender;

    for (q = ngx_queue_head(&ngx_http_mcp_sse_senders_order);
         q != ngx_queue_sentinel(&ngx_http_mcp_sse_senders_order);
         q = ngx_queue_next(q))
    {
        sender = ngx_queue_data(q, ngx_http_mcp_sse_sender_t, queue);

        ngx_http_mcp_sse_window_expire(&sender->window, now);
        ngx_http_mcp_sse_window_expire(&sender->news, now);
    }
}


u_char *
ngx_http_mcp_sse_packet_put(u_char *p, uint64_t n)
{
    ngx_uint_t  i;

    for (i = 8; i; i--) {
        p[i - 1] = (u_char) n;
        n >>= 8;
    }

    return p + 8;
}


uint64_t
ngx_http_mcp_sse_packet_get(u_char *p)
{
    uint64_t    n;
    ngx_uint_t  i;

    n = 0;

    for (i = 0; i < 8; i++) {
        n = (n << 8) | p[i];
    }

    return n;
}

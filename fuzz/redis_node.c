
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Servers that sentinels and nodes of a cluster name: whatever they send, a
 * host is one that may be logged, and has a port; of a message or an error it
 * is the one that a second reader finds.
 *
 * Input: what it is, the bytes of a reply or of a message.
 */

#include "fuzz.h"
#include "ngx_mcp_redis_node.h"
#include "ngx_mcp_redis_reader.h"


#define REDIS_NODE_HOST  "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"\
                         "0123456789.-_:"


typedef struct {
    char           *host;
    unsigned long   port;
} redis_node_t;


static void redis_node_message(fuzz_input_t *in, ngx_str_t *bytes);
static void redis_node_error(fuzz_input_t *in, ngx_str_t *bytes);
static void redis_node_reply(ngx_str_t *bytes, ngx_uint_t slot);
static int redis_node_read(redis_node_t *node, char *host, char *port);
static void redis_node_compare(ngx_mcp_redis_node_t *node, ngx_int_t rc,
    redis_node_t *model, int found);
static void redis_node_check(ngx_mcp_redis_node_t *node, ngx_int_t rc);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ngx_str_t     bytes;
    ngx_uint_t    kind, slot;
    fuzz_input_t  in;

    fuzz_begin(&in, data, size);

    kind = fuzz_number(&in, 2);
    slot = fuzz_number(&in, 16383);
    bytes = fuzz_rest(&in);

    switch (kind) {

    case 0:
        redis_node_message(&in, &bytes);
        break;

    case 1:
        redis_node_error(&in, &bytes);
        break;

    default:
        redis_node_reply(&bytes, slot);
    }

    fuzz_end(&in);

    return 0;
}


/*
 * Returns bytes as a string; those after a NUL belong to it, as a byte that no
 * host has.
 */

static char *
redis_node_text(fuzz_input_t *in, ngx_str_t *bytes)
{
    char    *text;
    size_t   i;

    text = fuzz_alloc(in, bytes->len + 1);

    for (i = 0; i < bytes->len; i++) {
        text[i] = bytes->data[i] ? (char) bytes->data[i] : '\1';
    }

    text[i] = '\0';

    return text;
}


static void
redis_node_message(fuzz_input_t *in, ngx_str_t *bytes)
{
    char                  *p, *word[5];
    int                    n, found;
    ngx_int_t              rc;
    ngx_str_t              name;
    redis_node_t           model;
    ngx_mcp_redis_node_t   node;

    ngx_str_set(&name, "mymaster");

    p = redis_node_text(in, bytes);

    for (n = 0; p && n < 5; n++) {
        word[n] = strsep(&p, " ");
    }

    found = n == 5 && p == NULL && strcmp(word[0], "mymaster") == 0
            && word[3][0]
            && redis_node_read(&model, word[3], word[4]);

    rc = ngx_mcp_redis_node_switch(&node, bytes, &name);

    redis_node_compare(&node, rc, &model, found);
}


static void
redis_node_error(fuzz_input_t *in, ngx_str_t *bytes)
{
    char                  *host, *port;
    int                    found;
    ngx_int_t              rc;
    redisReply             reply;
    redis_node_t           model;
    ngx_mcp_redis_node_t   node;

    /* as hiredis makes it: with a NUL behind it */

    ngx_memzero(&reply, sizeof(redisReply));
    reply.type = REDIS_REPLY_ERROR;
    reply.len = bytes->len;
    reply.str = fuzz_alloc(in, bytes->len + 1);

    ngx_memcpy(reply.str, bytes->data, bytes->len);
    reply.str[bytes->len] = '\0';

    host = redis_node_text(in, bytes);
    port = strrchr(host, ':');

    found = strncmp(host, "MOVED ", 6) == 0
            && port != NULL
            && (host = strchr(host + 6, ' ')) != NULL
            && host < port;

    if (found) {
        *port++ = '\0';
        found = redis_node_read(&model, host + 1, port);
    }

    rc = ngx_mcp_redis_node_moved(&node, &reply);

    redis_node_compare(&node, rc, &model, found);
}


static int
redis_node_read(redis_node_t *node, char *host, char *port)
{
    size_t  len;

    len = strlen(host);

    if (len > 2 && host[0] == '[' && host[len - 1] == ']') {
        host[len - 1] = '\0';
        host++;
        len -= 2;
    }

    if (len > 255
        || strspn(host, REDIS_NODE_HOST) != len
        || *port == '\0'
        || strspn(port, "0123456789") != strlen(port))
    {
        return 0;
    }

    node->host = host;
    node->port = strtoul(port, NULL, 10);

    return node->port >= 1 && node->port <= 65535;
}


static void
redis_node_compare(ngx_mcp_redis_node_t *node, ngx_int_t rc,
    redis_node_t *model, int found)
{
    fuzz_check((rc == NGX_OK) == (found != 0),
               "a server is found where a second reader finds one");

    if (found) {
        fuzz_check(node->port == model->port
                   && node->len == strlen(model->host)
                   && memcmp(node->host, model->host, node->len) == 0,
                   "it is the same server");
    }
}


static void
redis_node_reply(ngx_str_t *bytes, ngx_uint_t slot)
{
    ngx_int_t                rc;
    redisReply              *reply;
    ngx_mcp_redis_node_t     node;
    ngx_mcp_redis_reader_t   reader;

    fuzz_check(ngx_mcp_redis_reader_open(&reader) == NGX_OK, "there is memory");

    if (ngx_mcp_redis_reader_feed(&reader, bytes->data, bytes->len) == NGX_OK
        && ngx_mcp_redis_reader_next(&reader, &reply) == NGX_OK)
    {
        rc = ngx_mcp_redis_node_master(&node, reply);
        redis_node_check(&node, rc);

        fuzz_check(rc != NGX_OK || node.len,
                   "a sentinel tells the host");

        rc = ngx_mcp_redis_node_moved(&node, reply);
        redis_node_check(&node, rc);

        rc = ngx_mcp_redis_node_slot(&node, reply, slot);
        redis_node_check(&node, rc);

        freeReplyObject(reply);
    }

    ngx_mcp_redis_reader_close(&reader);
}


static void
redis_node_check(ngx_mcp_redis_node_t *node, ngx_int_t rc)
{
    size_t  i;

    if (rc != NGX_OK) {
        fuzz_check(rc == NGX_ERROR || rc == NGX_DECLINED, "rc is known");
        return;
    }

    fuzz_check(node->port != 0, "there is a port");
    fuzz_check(node->len <= 255, "the host has a limit");

    for (i = 0; i < node->len; i++) {
        fuzz_check(node->host[i] != '\0'
                   && strchr(REDIS_NODE_HOST, node->host[i]) != NULL,
                   "the host may be logged");
    }
}


/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Host and port of a server, as replies and messages of Redis name it.
 *
 * What is parsed is foreign: a sentinel or a node may be anything that answers
 * at its port.
 */

#include "ngx_mcp_redis_node.h"


#define NGX_MCP_REDIS_SWITCH_WORDS  5


static ngx_int_t ngx_mcp_redis_node_entry(ngx_mcp_redis_node_t *node,
    redisReply *entry);
static ngx_int_t ngx_mcp_redis_node_endpoint(ngx_mcp_redis_node_t *node,
    redisReply *reply);
static redisReply *ngx_mcp_redis_node_ip(redisReply *reply);
static ngx_int_t ngx_mcp_redis_node_host(ngx_mcp_redis_node_t *node,
    u_char *data, size_t len);
static ngx_int_t ngx_mcp_redis_node_port(ngx_mcp_redis_node_t *node,
    u_char *data, size_t len);


ngx_int_t
ngx_mcp_redis_node_master(ngx_mcp_redis_node_t *node, redisReply *reply)
{
    redisReply  *host, *port;

    if (reply->type == REDIS_REPLY_NIL) {
        return NGX_DECLINED;
    }

    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2) {
        return NGX_ERROR;
    }

    host = reply->element[0];
    port = reply->element[1];

    if (host->type != REDIS_REPLY_STRING
        || port->type != REDIS_REPLY_STRING
        || host->len == 0
        || ngx_mcp_redis_node_host(node, (u_char *) host->str, host->len)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_mcp_redis_node_port(node, (u_char *) port->str, port->len);
}


/*
 * The message is "NAME OLD-HOST OLD-PORT NEW-HOST NEW-PORT".
 */

ngx_int_t
ngx_mcp_redis_node_switch(ngx_mcp_redis_node_t *node, ngx_str_t *message,
    ngx_str_t *name)
{
    u_char      *p, *last, *blank;
    ngx_str_t    words[NGX_MCP_REDIS_SWITCH_WORDS];
    ngx_uint_t   n;

    p = message->data;
    last = p + message->len;

    for (n = 0; /* void */ ; n++) {

        if (n == NGX_MCP_REDIS_SWITCH_WORDS) {
            return NGX_ERROR;
        }

        blank = ngx_strlchr(p, last, ' ');

        words[n].data = p;
        words[n].len = (blank ? blank : last) - p;

        if (blank == NULL) {
            break;
        }

        p = blank + 1;
    }

    if (n != NGX_MCP_REDIS_SWITCH_WORDS - 1) {
        return NGX_ERROR;
    }

    if (words[0].len != name->len
        || ngx_strncmp(words[0].data, name->data, name->len) != 0)
    {
        return NGX_DECLINED;
    }

    if (words[3].len == 0
        || ngx_mcp_redis_node_host(node, words[3].data, words[3].len)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_mcp_redis_node_port(node, words[4].data, words[4].len);
}


/*
 * The reply is an array of ranges: the first slot, the last slot, the master,
 * its replicas.  It ends with the first range that has the slot.
 */

ngx_int_t
ngx_mcp_redis_node_slot(ngx_mcp_redis_node_t *node, redisReply *reply,
    ngx_uint_t slot)
{
    size_t       i;
    redisReply  *range;

    if (reply->type != REDIS_REPLY_ARRAY) {
        return NGX_ERROR;
    }

    for (i = 0; i < reply->elements; i++) {
        range = reply->element[i];

        if (range->type != REDIS_REPLY_ARRAY
            || range->elements < 3
            || range->element[0]->type != REDIS_REPLY_INTEGER
            || range->element[1]->type != REDIS_REPLY_INTEGER)
        {
            return NGX_ERROR;
        }

        if (range->element[0]->integer <= (long long) slot
            && range->element[1]->integer >= (long long) slot)
        {
            return ngx_mcp_redis_node_entry(node, range->element[2]);
        }
    }

    return NGX_DECLINED;
}


/*
 * A node is an array: its host, its port, its id, from Redis 7 on pairs of
 * further names.
 */

static ngx_int_t
ngx_mcp_redis_node_entry(ngx_mcp_redis_node_t *node, redisReply *entry)
{
    long long  port;

    if (entry->type != REDIS_REPLY_ARRAY
        || entry->elements < 2
        || entry->element[1]->type != REDIS_REPLY_INTEGER)
    {
        return NGX_ERROR;
    }

    port = entry->element[1]->integer;

    if (port < 1 || port > 65535) {
        return NGX_ERROR;
    }

    node->port = (in_port_t) port;

    return ngx_mcp_redis_node_endpoint(node, entry);
}


/*
 * The host is NULL if it is kept back (cluster-preferred-endpoint-type
 * unknown-endpoint), empty if a node has not learnt its own address, and "?"
 * if names are preferred and this node has none.
 */

static ngx_int_t
ngx_mcp_redis_node_endpoint(ngx_mcp_redis_node_t *node, redisReply *entry)
{
    redisReply  *host;

    host = entry->element[0];

    if (host->type == REDIS_REPLY_STRING
        && host->len == 1 && host->str[0] == '?')
    {
        host = entry->elements < 4 ? NULL
                                   : ngx_mcp_redis_node_ip(entry->element[3]);
        if (host == NULL) {
            return NGX_ERROR;
        }
    }

    if (host->type == REDIS_REPLY_NIL) {
        return ngx_mcp_redis_node_host(node, (u_char *) "", 0);
    }

    if (host->type != REDIS_REPLY_STRING) {
        return NGX_ERROR;
    }

    return ngx_mcp_redis_node_host(node, (u_char *) host->str, host->len);
}


/*
 * Returns the value of "ip" of the further names of a node, or NULL.
 */

static redisReply *
ngx_mcp_redis_node_ip(redisReply *names)
{
    size_t       i;
    redisReply  *key;

    if (names->type != REDIS_REPLY_ARRAY) {
        return NULL;
    }

    for (i = 0; i + 1 < names->elements; i += 2) {
        key = names->element[i];

        if (key->type == REDIS_REPLY_STRING
            && key->len == 2
            && ngx_strncmp(key->str, "ip", 2) == 0)
        {
            return names->element[i + 1];
        }
    }

    return NULL;
}


/*
 * The error is "MOVED SLOT HOST:PORT".  The host may be empty, and an IPv6
 * address has no brackets.
 */

ngx_int_t
ngx_mcp_redis_node_moved(ngx_mcp_redis_node_t *node, redisReply *reply)
{
    u_char  *p, *last, *colon;

    if (reply->type != REDIS_REPLY_ERROR
        || ngx_strncmp(reply->str, "MOVED ", 6) != 0)
    {
        return NGX_DECLINED;
    }

    p = (u_char *) reply->str + 6;
    last = (u_char *) reply->str + reply->len;

    p = ngx_strlchr(p, last, ' ');

    if (p == NULL) {
        return NGX_ERROR;
    }

    p++;

    for (colon = last - 1; colon >= p && *colon != ':'; colon--) { /* void */ }

    if (colon < p
        || ngx_mcp_redis_node_port(node, colon + 1, last - colon - 1)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_mcp_redis_node_host(node, p, colon - p);
}


static ngx_int_t
ngx_mcp_redis_node_host(ngx_mcp_redis_node_t *node, u_char *data, size_t len)
{
    u_char  c;
    size_t  i;

    if (len > 2 && data[0] == '[' && data[len - 1] == ']') {
        data++;
        len -= 2;
    }

    if (len > NGX_MCP_REDIS_MAX_HOST_LEN) {
        return NGX_ERROR;
    }

    for (i = 0; i < len; i++) {
        c = (u_char) (data[i] | 0x20);

        if (!(c >= 'a' && c <= 'z')
            && !(data[i] >= '0' && data[i] <= '9')
            && data[i] != '.'
            && data[i] != '-'
            && data[i] != '_'
            && data[i] != ':')
        {
            return NGX_ERROR;
        }
    }

    *ngx_cpymem(node->host, data, len) = '\0';
    node->len = len;

    return NGX_OK;
}


static ngx_int_t
ngx_mcp_redis_node_port(ngx_mcp_redis_node_t *node, u_char *data, size_t len)
{
    ngx_int_t  port;

    port = ngx_atoi(data, len);

    if (port < 1 || port > 65535) {
        return NGX_ERROR;
    }

    node->port = (in_port_t) port;

    return NGX_OK;
}


ngx_uint_t
ngx_mcp_redis_node_same(ngx_mcp_redis_node_t *a, ngx_mcp_redis_node_t *b)
{
    return a->port == b->port
           && a->len == b->len
           && ngx_strncmp(a->host, b->host, a->len) == 0;
}

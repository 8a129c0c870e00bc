
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Envelopes: a POST in one block, its forwarded headers and parsed messages.
 *
 * Layout: the size of the headers, name and value of each header, then the
 * messages.  A number has four bytes in the byte order of the machine.  A
 * string is its length and its bytes; an absent one is the length 0xffffffff.
 */

#include "ngx_mcp_envelope.h"


#define NGX_MCP_ENVELOPE_ABSENT  0xffffffff


static ngx_int_t ngx_mcp_envelope_skip(ngx_mcp_envelope_pieces_t *pieces,
    ngx_uint_t n);
static u_char *ngx_mcp_envelope_put(u_char *p, ngx_str_t *s);
static u_char *ngx_mcp_envelope_put_number(u_char *p, uint32_t n);
static u_char *ngx_mcp_envelope_get(u_char *p, u_char *last, ngx_str_t *s);
static u_char *ngx_mcp_envelope_get_number(u_char *p, u_char *last,
    uint32_t *n);


/*
 * The strings of a message, in the order of the layout.  The protocol version
 * stays behind: requests of the modern era belong to no other worker.  So do
 * result and error of a response: the worker that has got it uses them.
 */

static size_t  ngx_mcp_envelope_strings[] = {
    offsetof(ngx_mcp_jsonrpc_message_t, id),
    offsetof(ngx_mcp_jsonrpc_message_t, method),
    offsetof(ngx_mcp_jsonrpc_message_t, raw_method),
    offsetof(ngx_mcp_jsonrpc_message_t, params),
    offsetof(ngx_mcp_jsonrpc_message_t, name),
    offsetof(ngx_mcp_jsonrpc_message_t, token),
    offsetof(ngx_mcp_jsonrpc_message_t, request_id)
};

#define NGX_MCP_ENVELOPE_STRINGS                                              \
    (sizeof(ngx_mcp_envelope_strings) / sizeof(size_t))

#define ngx_mcp_message_string(m, i)                                          \
    ((ngx_str_t *) ((u_char *) (m) + ngx_mcp_envelope_strings[i]))


ngx_mcp_envelope_t *
ngx_mcp_envelope_make(ngx_array_t *headers, ngx_array_t *messages,
    ngx_log_t *log)
{
    u_char                     *p;
    size_t                      size, headers_size;
    ngx_uint_t                  i, n;
    ngx_keyval_t               *kv;
    ngx_mcp_jsonrpc_message_t  *msg;
    ngx_mcp_envelope_t         *env;

    headers_size = 0;

    kv = headers->elts;

    for (i = 0; i < headers->nelts; i++) {
        headers_size += 2 * sizeof(uint32_t) + kv[i].key.len + kv[i].value.len;
    }

    size = sizeof(uint32_t) + headers_size;

    msg = messages->elts;

    for (i = 0; i < messages->nelts; i++) {
        size += sizeof(uint32_t);

        for (n = 0; n < NGX_MCP_ENVELOPE_STRINGS; n++) {
            size += sizeof(uint32_t)
                    + ngx_mcp_message_string(&msg[i], n)->len;
        }
    }

    env = ngx_mcp_envelope_alloc(size, messages->nelts, log);
    if (env == NULL) {
        return NULL;
    }

    p = ngx_mcp_envelope_put_number(env->data, headers_size);

    for (i = 0; i < headers->nelts; i++) {
        p = ngx_mcp_envelope_put(p, &kv[i].key);
        p = ngx_mcp_envelope_put(p, &kv[i].value);
    }

    for (i = 0; i < messages->nelts; i++) {
        p = ngx_mcp_envelope_put_number(p, msg[i].type);

        for (n = 0; n < NGX_MCP_ENVELOPE_STRINGS; n++) {
            p = ngx_mcp_envelope_put(p, ngx_mcp_message_string(&msg[i], n));
        }
    }

    env->size = p - env->data;

    return env;
}


ngx_mcp_envelope_t *
ngx_mcp_envelope_alloc(size_t size, ngx_uint_t nmessages, ngx_log_t *log)
{
    ngx_mcp_envelope_t  *env;

    env = ngx_alloc(sizeof(ngx_mcp_envelope_t) + size, log);
    if (env == NULL) {
        return NULL;
    }

    env->refs = 1;
    env->nmessages = nmessages;
    env->unstarted = nmessages;
    env->received = 0;
    env->lost = 0;
    env->unconfirmed = 0;
    env->size = size;
    env->data = (u_char *) (env + 1);

    return env;
}


ngx_int_t
ngx_mcp_envelope_lost(ngx_mcp_envelope_pieces_t *pieces,
    ngx_mcp_envelope_t **env, ngx_log_t *log)
{
    u_char      *p;
    size_t       len;
    uint32_t     head[2];
    ngx_uint_t   i;

    if (pieces->nread == pieces->nmessages) {
        return NGX_DONE;
    }

    if (pieces->nread++ == 0 && ngx_mcp_envelope_skip(pieces, 1) != NGX_OK) {
        return NGX_ERROR;
    }

    /* the type and the length of the id, which is the first string */

    if (pieces->read(pieces->data, (u_char *) head, sizeof(head)) != NGX_OK) {
        return NGX_ERROR;
    }

    len = (head[1] == NGX_MCP_ENVELOPE_ABSENT) ? 0 : head[1];

    *env = ngx_mcp_envelope_alloc((2 + NGX_MCP_ENVELOPE_STRINGS)
                                  * sizeof(uint32_t) + len, 1, log);
    if (*env == NULL) {
        return NGX_ERROR;
    }

    (*env)->lost = 1;

    p = ngx_mcp_envelope_put_number((*env)->data, 0);
    p = ngx_cpymem(p, head, sizeof(head));

    if (pieces->read(pieces->data, p, len) != NGX_OK
        || ngx_mcp_envelope_skip(pieces, NGX_MCP_ENVELOPE_STRINGS - 1)
           != NGX_OK)
    {
        ngx_mcp_envelope_free(*env);
        return NGX_ERROR;
    }

    p += len;

    for (i = 1; i < NGX_MCP_ENVELOPE_STRINGS; i++) {
        p = ngx_mcp_envelope_put_number(p, NGX_MCP_ENVELOPE_ABSENT);
    }

    return NGX_OK;
}


/*
 * Skips "n" strings.
 */

static ngx_int_t
ngx_mcp_envelope_skip(ngx_mcp_envelope_pieces_t *pieces, ngx_uint_t n)
{
    uint32_t  len;

    while (n--) {

        if (pieces->read(pieces->data, (u_char *) &len, sizeof(uint32_t))
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        if (len != NGX_MCP_ENVELOPE_ABSENT
            && pieces->read(pieces->data, NULL, len) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


void
ngx_mcp_envelope_free(ngx_mcp_envelope_t *env)
{
    if (--env->refs == 0) {
        ngx_free(env);
    }
}


ngx_int_t
ngx_mcp_envelope_header(ngx_mcp_envelope_t *env, u_char **pos, ngx_str_t *name,
    ngx_str_t *value)
{
    u_char    *p, *last;
    uint32_t   size;

    last = env->data + env->size;

    p = ngx_mcp_envelope_get_number(env->data, last, &size);

    if (p == NULL || (size_t) (last - p) < size) {
        return NGX_ERROR;
    }

    if (*pos == NULL) {
        *pos = p;
    }

    last = p + size;

    if (*pos == last) {
        return NGX_DONE;
    }

    p = ngx_mcp_envelope_get(*pos, last, name);
    p = ngx_mcp_envelope_get(p, last, value);

    if (p == NULL) {
        return NGX_ERROR;
    }

    *pos = p;

    return NGX_OK;
}


ngx_int_t
ngx_mcp_envelope_message(ngx_mcp_envelope_t *env, u_char **pos,
    ngx_mcp_jsonrpc_message_t *message)
{
    u_char      *p, *last;
    uint32_t     type;
    ngx_str_t    headers;
    ngx_uint_t   i;

    last = env->data + env->size;
    type = 0;

    p = *pos ? *pos
             : ngx_mcp_envelope_get(env->data, last, &headers);

    if (p == last) {
        return NGX_DONE;
    }

    p = ngx_mcp_envelope_get_number(p, last, &type);

    for (i = 0; i < NGX_MCP_ENVELOPE_STRINGS; i++) {
        p = ngx_mcp_envelope_get(p, last, ngx_mcp_message_string(message, i));
    }

    if (p == NULL) {
        return NGX_ERROR;
    }

    message->type = type;
    ngx_str_null(&message->version);
    ngx_str_null(&message->result);
    ngx_str_null(&message->error);

    *pos = p;

    return NGX_OK;
}


static u_char *
ngx_mcp_envelope_put(u_char *p, ngx_str_t *s)
{
    if (s->data == NULL) {
        return ngx_mcp_envelope_put_number(p, NGX_MCP_ENVELOPE_ABSENT);
    }

    p = ngx_mcp_envelope_put_number(p, s->len);

    return ngx_cpymem(p, s->data, s->len);
}


static u_char *
ngx_mcp_envelope_put_number(u_char *p, uint32_t n)
{
    return ngx_cpymem(p, &n, sizeof(uint32_t));
}


static u_char *
ngx_mcp_envelope_get(u_char *p, u_char *last, ngx_str_t *s)
{
    uint32_t  len;

    p = ngx_mcp_envelope_get_number(p, last, &len);

    if (p == NULL) {
        return NULL;
    }

    if (len == NGX_MCP_ENVELOPE_ABSENT) {
        ngx_str_null(s);
        return p;
    }

    if ((size_t) (last - p) < len) {
        return NULL;
    }

    s->data = p;
    s->len = len;

    return p + len;
}


static u_char *
ngx_mcp_envelope_get_number(u_char *p, u_char *last, uint32_t *n)
{
    if (p == NULL || (size_t) (last - p) < sizeof(uint32_t)) {
        return NULL;
    }

    ngx_memcpy(n, p, sizeof(uint32_t));

    return p + sizeof(uint32_t);
}

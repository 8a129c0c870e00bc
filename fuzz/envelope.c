
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Envelopes (codec/ngx_mcp_envelope.c).
 *
 * What is packed is unpacked: the same headers and messages in the same order,
 * an absent string stays absent; ngx_mcp_envelope_lost() keeps the id of each
 * message and nothing else, from pieces of any size.
 *
 * From hostile bytes, as another instance may send them, only strings within
 * the envelope are read, and what is accepted as a whole is what packing it
 * again gives.
 */

#include "fuzz.h"
#include "ngx_mcp_envelope.h"


#define ENVELOPE_MAX  8


typedef struct {
    ngx_mcp_envelope_t  *env;
    size_t               pos;
    size_t               size;   /* that can be read */
} envelope_reader_t;


static ngx_str_t *envelope_string(ngx_mcp_jsonrpc_message_t *m, ngx_uint_t i);
static void envelope_make(fuzz_input_t *in, ngx_array_t *headers,
    ngx_array_t *messages);
static ngx_str_t envelope_field(fuzz_input_t *in, ngx_uint_t absent);
static ngx_int_t envelope_read(fuzz_input_t *in, ngx_mcp_envelope_t *env,
    ngx_array_t *headers, ngx_array_t *messages);
static void envelope_inside(ngx_mcp_envelope_t *env, ngx_str_t *s);
static void envelope_equal(ngx_array_t *headers, ngx_array_t *messages,
    ngx_array_t *headers2, ngx_array_t *messages2);
static ngx_uint_t envelope_same(ngx_str_t *a, ngx_str_t *b);
static void envelope_lost(fuzz_input_t *in, ngx_mcp_envelope_t *env,
    ngx_array_t *messages, size_t size);
static ngx_int_t envelope_piece(void *data, u_char *p, size_t size);
static void envelope_hostile(fuzz_input_t *in, ngx_str_t *bytes);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ngx_str_t            bytes;
    ngx_array_t         *headers, *messages, *headers2, *messages2;
    fuzz_input_t         in;
    ngx_mcp_envelope_t  *env;

    fuzz_begin(&in, data, size);

    bytes = fuzz_copy(&in, data, size);
    envelope_hostile(&in, &bytes);

    headers = ngx_array_create(in.pool, 1, sizeof(ngx_keyval_t));
    messages = ngx_array_create(in.pool, 1, sizeof(ngx_mcp_jsonrpc_message_t));
    headers2 = ngx_array_create(in.pool, 1, sizeof(ngx_keyval_t));
    messages2 = ngx_array_create(in.pool, 1, sizeof(ngx_mcp_jsonrpc_message_t));

    envelope_make(&in, headers, messages);

    env = ngx_mcp_envelope_make(headers, messages, in.log);
    if (env == NULL) {
        fuzz_fail("there is memory for an envelope");
    }

    if (envelope_read(&in, env, headers2, messages2) != NGX_OK) {
        fuzz_fail("an envelope can be read");
    }

    envelope_equal(headers, messages, headers2, messages2);
    envelope_lost(&in, env, messages, env->size);
    envelope_lost(&in, env, messages, fuzz_number(&in, env->size));

    ngx_mcp_envelope_free(env);
    fuzz_end(&in);

    return 0;
}


static ngx_str_t *
envelope_string(ngx_mcp_jsonrpc_message_t *m, ngx_uint_t i)
{
    switch (i) {

    case 0:
        return &m->id;

    case 1:
        return &m->method;

    case 2:
        return &m->raw_method;

    case 3:
        return &m->params;

    case 4:
        return &m->name;

    case 5:
        return &m->token;

    default:
        return &m->request_id;
    }
}


/* headers and messages of the input */

static void
envelope_make(fuzz_input_t *in, ngx_array_t *headers, ngx_array_t *messages)
{
    ngx_uint_t                  i, k, n, absent;
    ngx_keyval_t               *kv;
    ngx_mcp_jsonrpc_message_t  *m;

    n = fuzz_number(in, ENVELOPE_MAX);

    for (i = 0; i < n; i++) {
        kv = ngx_array_push(headers);
        kv->key = envelope_field(in, 0);
        kv->value = envelope_field(in, 0);
    }

    n = fuzz_number(in, ENVELOPE_MAX);

    for (i = 0; i < n; i++) {
        m = ngx_array_push(messages);
        m->type = fuzz_number(in, 255);
        absent = fuzz_number(in, 127);

        for (k = 0; k < 7; k++) {
            *envelope_string(m, k) = envelope_field(in, absent & (1 << k));
        }
    }
}


static ngx_str_t
envelope_field(fuzz_input_t *in, ngx_uint_t absent)
{
    ngx_str_t  s;

    ngx_str_null(&s);

    return absent ? s : fuzz_field(in);
}


static ngx_int_t
envelope_read(fuzz_input_t *in, ngx_mcp_envelope_t *env, ngx_array_t *headers,
    ngx_array_t *messages)
{
    u_char                     *pos;
    ngx_int_t                   rc;
    ngx_uint_t                  i;
    ngx_keyval_t                kv;
    ngx_mcp_jsonrpc_message_t   m;

    for (pos = NULL; ; /* void */ ) {
        rc = ngx_mcp_envelope_header(env, &pos, &kv.key, &kv.value);
        if (rc != NGX_OK) {
            break;
        }

        envelope_inside(env, &kv.key);
        envelope_inside(env, &kv.value);

        *(ngx_keyval_t *) ngx_array_push(headers) = kv;
    }

    if (rc == NGX_ERROR) {
        return NGX_ERROR;
    }

    for (pos = NULL; ; /* void */ ) {
        rc = ngx_mcp_envelope_message(env, &pos, &m);
        if (rc != NGX_OK) {
            break;
        }

        for (i = 0; i < 7; i++) {
            envelope_inside(env, envelope_string(&m, i));
        }

        *(ngx_mcp_jsonrpc_message_t *) ngx_array_push(messages) = m;
    }

    return (rc == NGX_DONE) ? NGX_OK : NGX_ERROR;
}


static void
envelope_inside(ngx_mcp_envelope_t *env, ngx_str_t *s)
{
    if (s->data == NULL && s->len == 0) {
        return;
    }

    if (s->data < env->data
        || s->data > env->data + env->size
        || s->len > (size_t) (env->data + env->size - s->data))
    {
        fuzz_fail("a string is inside of its envelope");
    }
}


static void
envelope_equal(ngx_array_t *headers, ngx_array_t *messages,
    ngx_array_t *headers2, ngx_array_t *messages2)
{
    ngx_uint_t                  i, k;
    ngx_keyval_t               *kv, *kv2;
    ngx_mcp_jsonrpc_message_t  *m, *m2;

    if (headers->nelts != headers2->nelts
        || messages->nelts != messages2->nelts)
    {
        fuzz_fail("an envelope has the headers and messages it was made of");
    }

    kv = headers->elts;
    kv2 = headers2->elts;

    for (i = 0; i < headers->nelts; i++) {
        if (!fuzz_same(&kv[i].key, &kv2[i].key)
            || !fuzz_same(&kv[i].value, &kv2[i].value))
        {
            fuzz_fail("header %lu is what was packed", (long) i);
        }
    }

    m = messages->elts;
    m2 = messages2->elts;

    for (i = 0; i < messages->nelts; i++) {

        if (m[i].type != m2[i].type) {
            fuzz_fail("the type of message %lu is what was packed", (long) i);
        }

        for (k = 0; k < 7; k++) {
            if (!envelope_same(envelope_string(&m[i], k),
                               envelope_string(&m2[i], k)))
            {
                fuzz_fail("string %lu of message %lu is what was packed",
                          (long) k, (long) i);
            }
        }
    }
}


/* absent is not empty */

static ngx_uint_t
envelope_same(ngx_str_t *a, ngx_str_t *b)
{
    return (a->data == NULL) == (b->data == NULL) && fuzz_same(a, b);
}


/* each message as if there was no memory for it; "size" bytes can be read */

static void
envelope_lost(fuzz_input_t *in, ngx_mcp_envelope_t *env, ngx_array_t *messages,
    size_t size)
{
    ngx_int_t                   rc;
    ngx_uint_t                  i, n;
    ngx_array_t                *headers2, *messages2;
    envelope_reader_t           reader;
    ngx_mcp_envelope_t         *lost;
    ngx_mcp_envelope_pieces_t   pieces;
    ngx_mcp_jsonrpc_message_t  *m, *m2;

    reader.env = env;
    reader.pos = 0;
    reader.size = size;

    pieces.read = envelope_piece;
    pieces.data = &reader;
    pieces.nread = 0;
    pieces.nmessages = messages->nelts;

    m = messages->elts;

    for (n = 0; ; n++) {
        rc = ngx_mcp_envelope_lost(&pieces, &lost, in->log);
        if (rc != NGX_OK) {
            break;
        }

        headers2 = ngx_array_create(in->pool, 1, sizeof(ngx_keyval_t));
        messages2 = ngx_array_create(in->pool, 1,
                                     sizeof(ngx_mcp_jsonrpc_message_t));

        if (!lost->lost
            || envelope_read(in, lost, headers2, messages2) != NGX_OK
            || headers2->nelts != 0 || messages2->nelts != 1)
        {
            fuzz_fail("a lost message is an envelope with one message");
        }

        m2 = messages2->elts;

        if (n >= messages->nelts || m2->type != m[n].type
            || !envelope_same(&m2->id, &m[n].id))
        {
            fuzz_fail("a lost message has the id and the type it had");
        }

        for (i = 1; i < 7; i++) {
            if (envelope_string(m2, i)->data) {
                fuzz_fail("a lost message has nothing but its id and type");
            }
        }

        ngx_mcp_envelope_free(lost);
    }

    if (rc == NGX_DONE ? n != messages->nelts : size == env->size) {
        fuzz_fail("each message of an envelope can be lost, in its order");
    }
}


static ngx_int_t
envelope_piece(void *data, u_char *p, size_t size)
{
    envelope_reader_t  *reader;

    reader = data;

    if (reader->size - reader->pos < size) {
        return NGX_ERROR;
    }

    if (p && size) {
        memcpy(p, reader->env->data + reader->pos, size);
    }

    reader->pos += size;

    return NGX_OK;
}


static void
envelope_hostile(fuzz_input_t *in, ngx_str_t *bytes)
{
    ngx_array_t         *headers, *messages;
    ngx_mcp_envelope_t  *env, *again;

    headers = ngx_array_create(in->pool, 1, sizeof(ngx_keyval_t));
    messages = ngx_array_create(in->pool, 1, sizeof(ngx_mcp_jsonrpc_message_t));

    env = ngx_mcp_envelope_alloc(bytes->len, 1, in->log);
    if (env == NULL) {
        fuzz_fail("there is memory for an envelope");
    }

    if (bytes->len) {
        memcpy(env->data, bytes->data, bytes->len);
    }

    if (envelope_read(in, env, headers, messages) == NGX_OK) {

        again = ngx_mcp_envelope_make(headers, messages, in->log);

        if (again == NULL || again->size != env->size
            || memcmp(again->data, env->data, env->size) != 0)
        {
            fuzz_fail("an envelope that is accepted is packed to the same "
                      "bytes");
        }

        ngx_mcp_envelope_free(again);
    }

    ngx_mcp_envelope_free(env);
}


/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Replies of Redis, in any pieces, on a connection: whatever the bytes are, the
 * process lives; a reply that a second, strict parser of RESP2 accepts within
 * the limits reaches its handler, or the subscription, with the same value;
 * nothing else reaches one.
 *
 * Input: flags, the size of pieces, the bytes that Redis sends.
 */

#include "resp.h"
#include "ngx_mcp_redis_key.h"
#include "ngx_mcp_redis_reply.h"


typedef struct {
    u_char       *out;
    u_char       *printed;
    ngx_uint_t    n;
} redis_reader_t;


/* what the replies are for */

typedef struct {
    ngx_uint_t    commands;
    ngx_uint_t    channels;          /* not confirmed; after the commands */
    ngx_uint_t    subscribed;
    ngx_uint_t    n;                 /* that must reach a handler */
} redis_reader_model_t;


static void redis_reader_open(ngx_uint_t commands, ngx_uint_t subscribed);
static void redis_reader_close(void);
static void redis_reader_feed(ngx_str_t *bytes, ngx_uint_t piece);
static void redis_reader_handler(ngx_mcp_redis_conn_t *conn, redisReply *reply,
    void *data);
static void redis_reader_message(ngx_mcp_redis_conn_t *conn,
    ngx_str_t *channel, ngx_str_t *bytes);
static void redis_reader_print(redisReply *reply);
static void redis_reader_id(redisReply *reply);
static void redis_reader_compare(ngx_str_t *bytes,
    redis_reader_model_t *model);
static fuzz_resp_e redis_reader_expect(fuzz_resp_t *resp,
    redis_reader_model_t *model);
static ngx_uint_t redis_reader_expects(redis_reader_model_t *model,
    ngx_str_t *printed);
static void redis_reader_error(ngx_str_t *printed);
static ngx_uint_t redis_reader_push(redis_reader_model_t *model,
    ngx_str_t *printed, ngx_uint_t *wanted);
static u_char *redis_reader_item(u_char *p, u_char *last, u_char type,
    ngx_str_t *item);
static ngx_uint_t redis_reader_is(ngx_str_t *item, const char *word);


static redis_reader_t  redis_reader;

static ngx_mcp_redis_conn_t  redis_reader_conn;

static fuzz_input_t  redis_reader_in;


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ngx_str_t             bytes;
    ngx_uint_t            flags, piece;
    redis_reader_model_t  model;

    fuzz_begin(&redis_reader_in, data, size);

    flags = fuzz_number(&redis_reader_in, 255);
    piece = fuzz_number(&redis_reader_in, 255);
    bytes = fuzz_rest(&redis_reader_in);

    model.subscribed = flags & 1;
    model.commands = (flags >> 1) % 4;
    model.channels = model.subscribed ? 2 : 0;
    model.n = 0;

    ngx_memzero(&redis_reader, sizeof(redis_reader_t));

    /* printed, a byte of a reply is at most 16 characters */

    redis_reader.printed = fuzz_alloc(&redis_reader_in, 16 * bytes.len + 64);
    redis_reader.out = redis_reader.printed;

    redis_reader_open(model.commands, model.subscribed);
    redis_reader_feed(&bytes, piece);
    redis_reader_compare(&bytes, &model);
    redis_reader_close();

    fuzz_end(&redis_reader_in);

    return 0;
}


/*
 * A connection without a socket, on which commands wait for replies, and which
 * may have subscribed.
 */

static void
redis_reader_open(ngx_uint_t commands, ngx_uint_t subscribed)
{
    ngx_str_t              argv[2];
    ngx_uint_t             i;
    ngx_mcp_redis_conn_t  *conn;

    static ngx_event_t       write;
    static ngx_connection_t  c;

    c.write = &write;

    ngx_queue_init(&ngx_posted_events);

    conn = &redis_reader_conn;

    ngx_memzero(conn, sizeof(ngx_mcp_redis_conn_t));

    ngx_queue_init(&conn->waiting);

    conn->name = "fuzz";
    conn->state = NGX_MCP_REDIS_CONN_READY;
    conn->message = redis_reader_message;
    conn->posted.log = ngx_cycle->log;
    conn->io.data = conn;
    conn->io.connection = &c;
    conn->io.is_connected = 1;

    fuzz_check(ngx_mcp_redis_reader_open(&conn->reader) == NGX_OK,
               "there is memory");

    ngx_str_set(&argv[0], "PING");

    for (i = 0; i < commands; i++) {
        fuzz_check(ngx_mcp_redis_conn_command(conn, redis_reader_handler, NULL,
                                              1, argv)
                   == NGX_OK, "a command can be sent");
    }

    ngx_str_set(&argv[0], "all");
    ngx_str_set(&argv[1], "own");

    if (subscribed) {
        fuzz_check(ngx_mcp_redis_conn_subscribe(conn, "SUBSCRIBE",
                                                redis_reader_handler, NULL, 2,
                                                argv)
                   == NGX_OK, "a command can be sent");
    }
}


static void
redis_reader_close(void)
{
    redis_reader_conn.io.connection = NULL;
    redis_reader_conn.io.is_connected = 0;

    ngx_free(redis_reader_conn.io.out);

    ngx_mcp_redis_conn_close(&redis_reader_conn);
}


static void
redis_reader_feed(ngx_str_t *bytes, ngx_uint_t piece)
{
    size_t  n, sent;

    for (sent = 0;
         sent < bytes->len
         && redis_reader_conn.state == NGX_MCP_REDIS_CONN_READY;
         sent += n)
    {
        n = piece ? ngx_min(piece, bytes->len - sent) : bytes->len;

        ngx_mcp_redis_reply_received(&redis_reader_conn.io, bytes->data + sent,
                                     n);
    }
}


static void
redis_reader_handler(ngx_mcp_redis_conn_t *conn, redisReply *reply, void *data)
{
    if (reply == NULL) {
        return;
    }

    fuzz_check(conn->state == NGX_MCP_REDIS_CONN_READY,
               "nothing reaches a handler after a failure");

    redis_reader_print(reply);
    redis_reader.n++;
}


static void
redis_reader_message(ngx_mcp_redis_conn_t *conn, ngx_str_t *channel,
    ngx_str_t *bytes)
{
    u_char  *p;

    fuzz_check(conn->state == NGX_MCP_REDIS_CONN_READY,
               "no message comes after a failure");

    p = redis_reader.out;
    p = fuzz_resp_put(p, '$', channel->data, channel->len);
    p = fuzz_resp_put(p, '$', bytes->data, bytes->len);

    redis_reader.out = p;
    redis_reader.n++;
}


static void
redis_reader_print(redisReply *reply)
{
    u_char       number[NGX_INT64_LEN];
    ngx_uint_t   depth;
    redisReply  *stack[FUZZ_RESP_DEPTH + 2];
    size_t       next[FUZZ_RESP_DEPTH + 2];
    u_char     **out;

    out = &redis_reader.out;
    depth = 0;

    for ( ;; ) {

        switch (reply->type) {

        case REDIS_REPLY_ARRAY:
            fuzz_check(depth <= FUZZ_RESP_DEPTH
                       && reply->elements <= FUZZ_RESP_ELEMENTS,
                       "depth and elements of a reply are limited");

            *out = fuzz_resp_put(*out, '*', number,
                                 ngx_sprintf(number, "%uz", reply->elements)
                                 - number);

            stack[depth] = reply;
            next[depth++] = 0;
            break;

        case REDIS_REPLY_INTEGER:
            *out = fuzz_resp_put(*out, ':', number,
                          ngx_sprintf(number, "%L", (int64_t) reply->integer)
                          - number);
            break;

        case REDIS_REPLY_NIL:
            *out = fuzz_resp_put(*out, 'n', NULL, 0);
            break;

        default:
            redis_reader_id(reply);
            *out = fuzz_resp_put(*out,
                            reply->type == REDIS_REPLY_STRING ? '$'
                            : reply->type == REDIS_REPLY_ERROR ? '-' : '+',
                            (u_char *) reply->str, reply->len);
        }

        while (depth && next[depth - 1] == stack[depth - 1]->elements) {
            depth--;
        }

        if (depth == 0) {
            break;
        }

        reply = stack[depth - 1]->element[next[depth - 1]++];
    }
}


/*
 * The id of a worker, in hexadecimal digits.
 */

static void
redis_reader_id(redisReply *reply)
{
    char        hex[2 * NGX_MCP_DIGEST_LEN + 1];
    u_char      id[NGX_MCP_DIGEST_LEN];
    ngx_int_t   rc;
    ngx_uint_t  i, ok;

    rc = ngx_mcp_redis_id(id, reply);
    ok = (reply->type == REDIS_REPLY_STRING
          && reply->len == 2 * NGX_MCP_DIGEST_LEN);

    for (i = 0; ok && i < 2 * NGX_MCP_DIGEST_LEN; i++) {
        ok = isxdigit((u_char) reply->str[i]) != 0;
    }

    fuzz_check(rc == (ok ? NGX_OK : NGX_DECLINED), "an id is 32 digits");

    if (ok) {
        *ngx_hex_dump((u_char *) hex, id, NGX_MCP_DIGEST_LEN) = '\0';
        fuzz_check(strncasecmp(hex, reply->str, 2 * NGX_MCP_DIGEST_LEN) == 0,
                   "an id is what the digits are");
    }
}


/*
 * Compares what has reached a handler with what must.
 */

static void
redis_reader_compare(ngx_str_t *bytes, redis_reader_model_t *model)
{
    u_char       *printed;
    ngx_uint_t    failed;
    fuzz_resp_e   rc;
    fuzz_resp_t   resp;

    printed = fuzz_alloc(&redis_reader_in, 16 * bytes->len + 64);

    resp.pos = bytes->data;
    resp.last = bytes->data + bytes->len;
    resp.out = printed;

    rc = redis_reader_expect(&resp, model);

    fuzz_check(redis_reader.n >= model->n
               && ngx_memcmp(redis_reader.printed, printed,
                             resp.out - printed)
                  == 0,
               "a reply reaches its handler as it is");

    /* hiredis takes some of what is not valid */

    fuzz_check(rc == FUZZ_RESP_INVALID || redis_reader.n == model->n,
               "nothing else reaches a handler");

    failed = (redis_reader_conn.state == NGX_MCP_REDIS_CONN_FAILED);

    switch (rc) {

    case FUZZ_RESP_OK:
        fuzz_check(failed, "what nothing waits for ends the connection");
        return;

    case FUZZ_RESP_LIMIT:
        fuzz_check(failed, "a reply beyond the limits ends the connection");
        return;

    case FUZZ_RESP_END:
        fuzz_check(!failed, "a reply that has begun does not end it");
        return;

    default:
        return;
    }
}


/*
 * Prints the replies that must reach a handler, and counts them.  Returns why
 * there are no more: FUZZ_RESP_OK if nothing waits for the last one.
 */

static fuzz_resp_e
redis_reader_expect(fuzz_resp_t *resp, redis_reader_model_t *model)
{
    ngx_str_t     printed;
    fuzz_resp_e   rc;

    for ( ;; ) {
        printed.data = resp->out;

        rc = fuzz_resp_parse(resp);

        printed.len = resp->out - printed.data;

        if (rc != FUZZ_RESP_OK) {
            resp->out = printed.data;
            return rc;
        }

        if (!redis_reader_expects(model, &printed)) {
            resp->out = printed.data;
            return FUZZ_RESP_OK;
        }

        resp->out = printed.data + printed.len;
    }
}


/*
 * Returns whether a printed reply is expected; "printed" is left of it that
 * reaches a handler.
 */

static ngx_uint_t
redis_reader_expects(redis_reader_model_t *model, ngx_str_t *printed)
{
    ngx_uint_t  wanted;

    if (printed->data[0] == '-') {
        redis_reader_error(printed);
    }

    if (model->subscribed && redis_reader_push(model, printed, &wanted)) {
        return wanted;
    }

    if (model->commands) {
        model->commands--;
        model->n++;
        return 1;
    }

    if (model->channels && printed->data[0] == '-') {
        model->channels = 0;
        model->n++;
        return 1;
    }

    return 0;
}


/*
 * An error is for the log: without control characters, and without what it
 * quotes of a command.
 */

static void
redis_reader_error(ngx_str_t *printed)
{
    u_char     *p, *text;
    ngx_str_t   item;

    (void) redis_reader_item(printed->data, printed->data + printed->len, '-',
                             &item);

    text = fuzz_alloc(&redis_reader_in, item.len + 1);
    ngx_memcpy(text, item.data, item.len);

    for (p = text; p < text + item.len; p++) {
        *p = iscntrl(*p) ? ' ' : *p;
    }

    p = ngx_strnstr(text, ", with args", item.len);

    printed->len = fuzz_resp_put(printed->data, '-', text,
                                 p ? (size_t) (p - text) : item.len)
                   - printed->data;
}


/*
 * Returns whether a printed reply belongs to the subscription, and in "wanted"
 * whether it may.
 */

static ngx_uint_t
redis_reader_push(redis_reader_model_t *model, ngx_str_t *printed,
    ngx_uint_t *wanted)
{
    u_char     *p, *rest, *last;
    ngx_str_t   count, word, item;

    last = printed->data + printed->len;
    *wanted = 0;

    p = redis_reader_item(printed->data, last, '*', &count);
    rest = redis_reader_item(p, last, '$', &word);

    if (rest == NULL || !redis_reader_is(&count, "3")) {
        return 0;
    }

    if (redis_reader_is(&word, "message") || redis_reader_is(&word, "smessage"))
    {
        p = redis_reader_item(rest, last, '$', &item);
        p = redis_reader_item(p, last, '$', &item);

        if (p == last) {
            *wanted = 1;
            model->n++;

            printed->len = last - rest;
            ngx_memmove(printed->data, rest, printed->len);
        }

        return 1;
    }

    if (redis_reader_is(&word, "subscribe")
        || redis_reader_is(&word, "ssubscribe"))
    {
        if (model->commands == 0 && model->channels) {
            *wanted = 1;

            if (--model->channels) {
                printed->len = 0;

            } else {
                model->n++;
            }
        }

        return 1;
    }

    return redis_reader_is(&word, "unsubscribe")
           || redis_reader_is(&word, "sunsubscribe");
}


/*
 * Reads a printed item of that type, at "p" or after NULL.  Returns its end, or
 * NULL if it is another one.
 */

static u_char *
redis_reader_item(u_char *p, u_char *last, u_char type, ngx_str_t *item)
{
    size_t  len;

    if (p == NULL || p == last || *p++ != type) {
        return NULL;
    }

    len = 0;

    while (*p != ' ') {
        len = 10 * len + *p++ - '0';
    }

    item->data = p + 1;
    item->len = len;

    return p + 1 + len;
}


static ngx_uint_t
redis_reader_is(ngx_str_t *item, const char *word)
{
    return item->len == ngx_strlen(word)
           && ngx_memcmp(item->data, word, item->len) == 0;
}


/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Replies of Redis, in any pieces, through the guard and hiredis: whatever the
 * bytes are, the process lives; a reply that a second, strict parser of RESP2
 * accepts within the limits reaches its handler with the same value; nothing
 * reaches a handler that it does not expect.
 *
 * Input: flags, the size of pieces, the bytes that Redis sends.
 */

#include "resp.h"
#include "ngx_mcp_redis_key.h"
#include "ngx_mcp_redis_reader.h"


typedef struct {
    u_char       *out;
    u_char       *printed;
    ngx_uint_t    n;
    ngx_uint_t    refused;
    ngx_uint_t    freed;
    ngx_uint_t    subscribed;
} redis_reader_t;


void redisProcessCallbacks(redisAsyncContext *ac);

static redisAsyncContext *redis_reader_context(ngx_uint_t commands);
static void redis_reader_feed(redisAsyncContext *ac, ngx_str_t *bytes,
    ngx_uint_t piece);
static void redis_reader_freed(const redisAsyncContext *ac, int status);
static void redis_reader_checked(void *data, ngx_uint_t valid);
static void redis_reader_handler(redisAsyncContext *ac, void *reply,
    void *data);
static void redis_reader_message(redisReply *reply);
static void redis_reader_print(redisReply *reply);
static void redis_reader_id(redisReply *reply);
static void redis_reader_compare(ngx_str_t *bytes, ngx_uint_t commands);
static fuzz_resp_e redis_reader_expect(fuzz_resp_t *resp,
    ngx_uint_t *commands, ngx_uint_t *n);
static int redis_reader_wanted(ngx_str_t *printed);


static redis_reader_t  redis_reader;

static fuzz_input_t  redis_reader_in;


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ngx_str_t           bytes;
    ngx_uint_t          flags, piece, commands;
    redisAsyncContext  *ac;

    fuzz_begin(&redis_reader_in, data, size);

    flags = fuzz_number(&redis_reader_in, 255);
    piece = fuzz_number(&redis_reader_in, 255);
    commands = (flags & 1) ? 0 : (flags >> 1) % 4;
    bytes = fuzz_rest(&redis_reader_in);

    ngx_memzero(&redis_reader, sizeof(redis_reader_t));

    /* printed, a byte of a reply is at most 16 characters */

    redis_reader.printed = fuzz_alloc(&redis_reader_in, 16 * bytes.len + 64);
    redis_reader.out = redis_reader.printed;
    redis_reader.subscribed = flags & 1;

    ac = redis_reader_context(commands);

    redis_reader_feed(ac, &bytes, piece);
    redis_reader_compare(&bytes, commands);

    if (!redis_reader.freed) {
        redisAsyncFree(ac);
    }

    fuzz_end(&redis_reader_in);

    return 0;
}


/*
 * A context without a socket, on which commands wait for replies, or which has
 * subscribed.
 */

static redisAsyncContext *
redis_reader_context(ngx_uint_t commands)
{
    ngx_uint_t          i;
    redisAsyncContext  *ac;

    ac = redisAsyncConnectUnix("/");

    fuzz_check(ac != NULL && ac->err, "\"/\" is no socket");

    ac->err = 0;
    ac->errstr = NULL;
    ac->c.err = 0;
    ac->c.errstr[0] = '\0';
    ac->c.flags |= REDIS_CONNECTED;
    ac->data = &redis_reader;

    ngx_mcp_redis_reader(ac, redis_reader_checked);

    (void) redisAsyncSetDisconnectCallback(ac, redis_reader_freed);

    for (i = 0; i < commands; i++) {
        fuzz_check(redisAsyncCommand(ac, redis_reader_handler, ac, "PING")
                   == REDIS_OK, "a command can be sent");
    }

    if (redis_reader.subscribed) {
        fuzz_check(redisAsyncCommand(ac, redis_reader_handler, ac,
                                     "SUBSCRIBE all own")
                   == REDIS_OK, "a command can be sent");
    }

    return ac;
}


static void
redis_reader_freed(const redisAsyncContext *ac, int status)
{
    redis_reader.freed = 1;
}


static void
redis_reader_checked(void *data, ngx_uint_t valid)
{
    fuzz_check(data == &redis_reader && !redis_reader.refused,
               "nothing follows a reply that is refused");

    redis_reader.refused = !valid;
}


/*
 * As hiredis reads from a socket.
 */

static void
redis_reader_feed(redisAsyncContext *ac, ngx_str_t *bytes,
    ngx_uint_t piece)
{
    size_t  n, sent;

    for (sent = 0; sent < bytes->len && !redis_reader.freed; sent += n) {
        n = piece ? ngx_min(piece, bytes->len - sent) : bytes->len;

        fuzz_check(redisReaderFeed(ac->c.reader, (char *) bytes->data + sent,
                                   n)
                   == REDIS_OK, "there is memory");

        redisProcessCallbacks(ac);
    }
}


static void
redis_reader_handler(redisAsyncContext *ac, void *reply, void *data)
{
    if (reply == NULL) {
        return;
    }

    fuzz_check(!redis_reader.refused,
               "a reply that is refused reaches no handler");

    if (redis_reader.subscribed) {
        redis_reader_message(reply);
    }

    redis_reader_print(reply);
    redis_reader.n++;
}


/*
 * What ngx_mcp_redis_message_handler() may rely on.
 */

static void
redis_reader_message(redisReply *reply)
{
    fuzz_check(reply->type == REDIS_REPLY_ARRAY
               && reply->elements == 3
               && reply->element[0]->type == REDIS_REPLY_STRING
               && reply->element[1]->type == REDIS_REPLY_STRING
               && (reply->element[2]->type == REDIS_REPLY_STRING
                   || reply->element[2]->type == REDIS_REPLY_INTEGER)
               && (ngx_strcmp(reply->element[0]->str, "message") == 0
                   || ngx_strcmp(reply->element[0]->str, "subscribe") == 0),
               "a subscription gets messages");
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
redis_reader_compare(ngx_str_t *bytes, ngx_uint_t commands)
{
    u_char       *printed;
    ngx_uint_t    n;
    fuzz_resp_e   rc;
    fuzz_resp_t   resp;

    printed = fuzz_alloc(&redis_reader_in, 16 * bytes->len + 64);

    resp.pos = bytes->data;
    resp.last = bytes->data + bytes->len;
    resp.out = printed;

    n = 0;
    rc = redis_reader_expect(&resp, &commands, &n);

    fuzz_check(redis_reader.n >= n
               && ngx_memcmp(redis_reader.printed, printed,
                             resp.out - printed)
                  == 0,
               "a reply reaches its handler as it is");

    if (rc == FUZZ_RESP_LIMIT) {
        fuzz_check(redis_reader.freed,
                   "a reply beyond the limits ends the connection");
    }

    if (rc == FUZZ_RESP_END && commands) {
        fuzz_check(!redis_reader.freed,
                   "a reply that has begun does not end the connection");
    }

    if (rc != FUZZ_RESP_INVALID) {
        fuzz_check(redis_reader.n == n, "nothing else reaches a handler");
    }
}


/*
 * Prints the replies that must reach a handler, and counts them in "n".
 * Returns why there are no more: FUZZ_RESP_OK if nothing waits for the last
 * one.  "commands" is left of those that wait for a reply.
 */

static fuzz_resp_e
redis_reader_expect(fuzz_resp_t *resp, ngx_uint_t *commands, ngx_uint_t *n)
{
    int           wanted;
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

        if (*commands) {
            --*commands;
            ++*n;
            continue;
        }

        wanted = redis_reader.subscribed ? redis_reader_wanted(&printed) : -1;

        if (wanted == 1) {
            ++*n;
            continue;
        }

        resp->out = printed.data;

        if (wanted < 0) {
            fuzz_check(redis_reader.freed,
                       "what nothing waits for ends the connection");
            return FUZZ_RESP_OK;
        }
    }
}


/*
 * Whether a printed reply is a message of a subscription: 1 for a channel that
 * has a handler, 0 for another one, -1 if it is no message.
 */

static int
redis_reader_wanted(ngx_str_t *printed)
{
    u_char      *p, *last;
    size_t       len;
    ngx_uint_t   i;
    ngx_str_t    item[4];
    u_char       type[4];

    p = printed->data;
    last = p + printed->len;

    for (i = 0; i < 4; i++) {

        if (p == last) {
            return -1;
        }

        type[i] = *p++;
        len = 0;

        while (*p != ' ') {
            len = 10 * len + *p++ - '0';
        }

        item[i].data = p + 1;
        item[i].len = len;
        p += 1 + len;
    }

    if (p != last || type[0] != '*' || item[0].len != 1
        || item[0].data[0] != '3' || type[1] != '$' || type[2] != '$'
        || (type[3] != '$' && type[3] != ':')
        || !((item[1].len == 7 && ngx_memcmp(item[1].data, "message", 7) == 0)
             || (item[1].len == 9
                 && ngx_memcmp(item[1].data, "subscribe", 9) == 0)))
    {
        return -1;
    }

    return item[2].len == 3 && (ngx_memcmp(item[2].data, "all", 3) == 0
                                || ngx_memcmp(item[2].data, "own", 3) == 0);
}

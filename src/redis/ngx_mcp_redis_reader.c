
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Replies of Redis, read by hiredis, within limits.
 *
 * hiredis creates the object of each reply by functions that its user may
 * replace: redisReplyObjectFunctions.  Those of this file check a reply and
 * call those of hiredis.  If one returns NULL, the reader of hiredis fails with
 * "Out of memory".
 *
 * A reader is owned by its connection.
 */

#include "ngx_mcp_redis_reader.h"


/* more than 10000 ended ids and their scores (NGX_MCP_REMOTE_ANNOUNCE_PAGE) */

#define NGX_MCP_REDIS_MAX_ELEMENTS  32768

/* arrays in arrays; hiredis 0.14 has this limit, 1.1 has none */

#define NGX_MCP_REDIS_MAX_DEPTH     7

/* more than the largest message (NGX_MCP_ZONE_CONF_MAX_MESSAGE) */

#define NGX_MCP_REDIS_MAX_REPLY     (1025 * 1024 * 1024)

/* a status, an error, a number; hiredis searches for its end from its begin */

#define NGX_MCP_REDIS_MAX_LINE      (64 * 1024)

/* what was larger is given back when it is empty */

#define NGX_MCP_REDIS_KEEP_BUFFER   (64 * 1024)


#if (HIREDIS_MAJOR >= 1)
typedef size_t  ngx_mcp_redis_reader_elements_t;
#else
typedef int     ngx_mcp_redis_reader_elements_t;
#endif


static ngx_uint_t ngx_mcp_redis_reader_endless(redisReader *r);
static ngx_int_t ngx_mcp_redis_reader_renew(ngx_mcp_redis_reader_t *reader);
static void *ngx_mcp_redis_reader_string(const redisReadTask *task, char *text,
    size_t len);
static void *ngx_mcp_redis_reader_array(const redisReadTask *task,
    ngx_mcp_redis_reader_elements_t n);
static void *ngx_mcp_redis_reader_integer(const redisReadTask *task,
    long long value);
static void *ngx_mcp_redis_reader_nil(const redisReadTask *task);
#if (HIREDIS_MAJOR >= 1)
static void *ngx_mcp_redis_reader_double(const redisReadTask *task,
    double value, char *text, size_t len);
static void *ngx_mcp_redis_reader_bool(const redisReadTask *task, int value);
#endif
static ngx_mcp_redis_reader_t *ngx_mcp_redis_reader_check(
    const redisReadTask *task, ngx_uint_t valid);


ngx_int_t
ngx_mcp_redis_reader_open(ngx_mcp_redis_reader_t *reader)
{
    redisReader                *r;
    redisReplyObjectFunctions  *fn;

    ngx_memzero(reader, sizeof(ngx_mcp_redis_reader_t));

    r = redisReaderCreate();
    if (r == NULL) {
        return NGX_ERROR;
    }

    reader->reader = r;
    reader->usual = r->fn;

    fn = &reader->fn;

    *fn = *r->fn;

    fn->createString = ngx_mcp_redis_reader_string;
    fn->createArray = ngx_mcp_redis_reader_array;
    fn->createInteger = ngx_mcp_redis_reader_integer;
    fn->createNil = ngx_mcp_redis_reader_nil;

#if (HIREDIS_MAJOR >= 1)
    fn->createDouble = ngx_mcp_redis_reader_double;
    fn->createBool = ngx_mcp_redis_reader_bool;
#endif

    r->fn = fn;
    r->privdata = reader;

    /* hiredis would replace a large buffer, and abort without memory */

    r->maxbuf = 0;

    return NGX_OK;
}


void
ngx_mcp_redis_reader_close(ngx_mcp_redis_reader_t *reader)
{
    if (reader->reader) {
        redisReaderFree(reader->reader);
        reader->reader = NULL;
    }
}


ngx_int_t
ngx_mcp_redis_reader_feed(ngx_mcp_redis_reader_t *reader, u_char *bytes,
    size_t len)
{
    if (reader->size > NGX_MCP_REDIS_MAX_REPLY) {
        reader->refused = 1;
        return NGX_ERROR;
    }

    reader->size += len;

    return redisReaderFeed(reader->reader, (char *) bytes, len) == REDIS_OK
           ? NGX_OK : NGX_ERROR;
}


ngx_int_t
ngx_mcp_redis_reader_next(ngx_mcp_redis_reader_t *reader, redisReply **reply)
{
    void  *object;

    object = NULL;

    if (redisReaderGetReply(reader->reader, &object) != REDIS_OK) {
        return NGX_ERROR;
    }

    if (object) {
        *reply = object;
        reader->large |= reader->size > NGX_MCP_REDIS_KEEP_BUFFER;
        reader->size = reader->reader->len - reader->reader->pos;
        return NGX_OK;
    }

    if (ngx_mcp_redis_reader_endless(reader->reader)) {
        reader->refused = 1;
        return NGX_ERROR;
    }

    if (reader->large && reader->size == 0) {
        return ngx_mcp_redis_reader_renew(reader);
    }

    return NGX_AGAIN;
}


/*
 * Returns whether what is not read yet begins with a line that is too long; a
 * string of any length begins with the line of its length.
 */

static ngx_uint_t
ngx_mcp_redis_reader_endless(redisReader *r)
{
    u_char  *p;

    if (r->len - r->pos <= NGX_MCP_REDIS_MAX_LINE) {
        return 0;
    }

    p = (u_char *) r->buf + r->pos;

    return ngx_strlchr(p, p + NGX_MCP_REDIS_MAX_LINE, LF) == NULL;
}


/*
 * Gives the buffer of a large reply back.
 */

static ngx_int_t
ngx_mcp_redis_reader_renew(ngx_mcp_redis_reader_t *reader)
{
    ngx_uint_t  progress;

    progress = reader->progress;

    ngx_mcp_redis_reader_close(reader);

    if (ngx_mcp_redis_reader_open(reader) != NGX_OK) {
        return NGX_ERROR;
    }

    reader->progress = progress;

    return NGX_AGAIN;
}


const char *
ngx_mcp_redis_reader_reason(ngx_mcp_redis_reader_t *reader)
{
    if (reader->reader == NULL) {
        return "no memory";
    }

    /* hiredis reports what was refused as "Out of memory" */

    return reader->refused ? "unexpected reply" : reader->reader->errstr;
}


static void *
ngx_mcp_redis_reader_string(const redisReadTask *task, char *text, size_t len)
{
    ngx_uint_t               valid;
    ngx_mcp_redis_reader_t  *reader;

    valid = (task->type == REDIS_REPLY_STRING
             || task->type == REDIS_REPLY_STATUS
             || task->type == REDIS_REPLY_ERROR);

    reader = ngx_mcp_redis_reader_check(task, valid);

    return reader ? reader->usual->createString(task, text, len) : NULL;
}


static void *
ngx_mcp_redis_reader_array(const redisReadTask *task,
    ngx_mcp_redis_reader_elements_t n)
{
    ngx_uint_t               depth;
    const redisReadTask     *t;
    ngx_mcp_redis_reader_t  *reader;

    depth = 0;

    for (t = task->parent; t; t = t->parent) {
        depth++;
    }

    /* other types: of RESP3, maps, sets, push messages */

    reader = ngx_mcp_redis_reader_check(task,
                                        task->type == REDIS_REPLY_ARRAY
                                        && depth <= NGX_MCP_REDIS_MAX_DEPTH
                                        && n <= NGX_MCP_REDIS_MAX_ELEMENTS);

    return reader ? reader->usual->createArray(task, n) : NULL;
}


static void *
ngx_mcp_redis_reader_integer(const redisReadTask *task, long long value)
{
    ngx_mcp_redis_reader_t  *reader;

    reader = ngx_mcp_redis_reader_check(task,
                                        task->type == REDIS_REPLY_INTEGER);

    return reader ? reader->usual->createInteger(task, value) : NULL;
}


static void *
ngx_mcp_redis_reader_nil(const redisReadTask *task)
{
    ngx_mcp_redis_reader_t  *reader;

    reader = ngx_mcp_redis_reader_check(task, 1);

    return reader ? reader->usual->createNil(task) : NULL;
}


#if (HIREDIS_MAJOR >= 1)

/* types of RESP3, which Redis uses after HELLO only */

static void *
ngx_mcp_redis_reader_double(const redisReadTask *task, double value,
    char *text, size_t len)
{
    (void) ngx_mcp_redis_reader_check(task, 0);

    return NULL;
}


static void *
ngx_mcp_redis_reader_bool(const redisReadTask *task, int value)
{
    (void) ngx_mcp_redis_reader_check(task, 0);

    return NULL;
}

#endif


/*
 * Returns the reader, or NULL if the reply is refused.  Counts replies and
 * their elements, since a long reply may take longer than the time-out.  Bytes
 * are no progress: a reply without an end may have any number of them.
 */

static ngx_mcp_redis_reader_t *
ngx_mcp_redis_reader_check(const redisReadTask *task, ngx_uint_t valid)
{
    ngx_mcp_redis_reader_t  *reader;

    reader = task->privdata;

    if (!valid) {
        reader->refused = 1;
        return NULL;
    }

    if (task->parent == NULL || task->parent->parent == NULL) {
        reader->progress++;
    }

    return reader;
}

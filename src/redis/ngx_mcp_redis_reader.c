
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Validates replies while hiredis parses them.
 *
 * DESIGN
 *
 * hiredis takes the kind of a reply for granted.  If no command waits for a
 * reply, redisProcessCallbacks() asserts that the context is subscribed, and
 * __redisGetSubscribeCallback() asserts that the reply is an array whose
 * elements are strings (0.14 and 1.x).  Debian builds hiredis with assertions,
 * so that a reply which no Redis sends, from a proxy or another server at that
 * port, would abort the worker.
 *
 * hiredis creates the object of each reply by functions that its user may
 * replace: redisReplyObjectFunctions.  The functions of this file check a
 * reply and call those of hiredis.  If a function returns NULL, the reader of
 * hiredis reports "Out of memory" and the connection is given up.
 *
 * Objects are owned by hiredis.
 */

#include "ngx_mcp_redis_reader.h"


/* more than 10000 ended ids and their scores (NGX_MCP_REMOTE_ANNOUNCE_PAGE) */

#define NGX_MCP_REDIS_MAX_ELEMENTS  32768


#if (HIREDIS_MAJOR >= 1)
typedef size_t  ngx_mcp_redis_reader_elements_t;
#else
typedef int     ngx_mcp_redis_reader_elements_t;
#endif


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
static ngx_uint_t ngx_mcp_redis_reader_check(const redisReadTask *task,
    ngx_uint_t valid);
static ngx_uint_t ngx_mcp_redis_reader_expected(const redisReadTask *task);


static redisReplyObjectFunctions  ngx_mcp_redis_reader_default;
static redisReplyObjectFunctions  ngx_mcp_redis_reader_fn;
static ngx_mcp_redis_reader_pt    ngx_mcp_redis_reader_handler;


void
ngx_mcp_redis_reader(redisAsyncContext *ac, ngx_mcp_redis_reader_pt handler)
{
    redisReplyObjectFunctions  *fn;

    ngx_mcp_redis_reader_handler = handler;
    ngx_mcp_redis_reader_default = *ac->c.reader->fn;

    fn = &ngx_mcp_redis_reader_fn;

    *fn = ngx_mcp_redis_reader_default;

    fn->createString = ngx_mcp_redis_reader_string;
    fn->createArray = ngx_mcp_redis_reader_array;
    fn->createInteger = ngx_mcp_redis_reader_integer;
    fn->createNil = ngx_mcp_redis_reader_nil;

#if (HIREDIS_MAJOR >= 1)
    fn->createDouble = ngx_mcp_redis_reader_double;
    fn->createBool = ngx_mcp_redis_reader_bool;
#endif

    ac->c.reader->fn = fn;
    ac->c.reader->privdata = ac;
}


static void *
ngx_mcp_redis_reader_string(const redisReadTask *task, char *text, size_t len)
{
    ngx_uint_t  valid;

    if (ngx_mcp_redis_reader_expected(task)) {
        valid = 1;

    } else if (task->parent == NULL) {

        /* an error that Redis sends before it closes the connection */

        valid = (task->type == REDIS_REPLY_ERROR);

    } else if (task->idx == 0) {
        valid = task->type == REDIS_REPLY_STRING
               && ((len == sizeof("message") - 1
                    && ngx_strncmp(text, "message", len) == 0)
                   || (len == sizeof("subscribe") - 1
                       && ngx_strncmp(text, "subscribe", len) == 0));

    } else {
        valid = (task->type == REDIS_REPLY_STRING);
    }

    return ngx_mcp_redis_reader_check(task, valid)
           ? ngx_mcp_redis_reader_default.createString(task, text, len)
           : NULL;
}


static void *
ngx_mcp_redis_reader_array(const redisReadTask *task,
    ngx_mcp_redis_reader_elements_t n)
{
    ngx_uint_t          valid;
    redisAsyncContext  *ac;

    ac = task->privdata;

    if (ngx_mcp_redis_reader_expected(task)) {
        valid = (n <= NGX_MCP_REDIS_MAX_ELEMENTS);

    } else {
        valid = task->parent == NULL && (ac->c.flags & REDIS_SUBSCRIBED)
               && n == 3;
    }

    /* of RESP3: maps, sets, push messages */

    valid = valid && task->type == REDIS_REPLY_ARRAY;

    return ngx_mcp_redis_reader_check(task, valid)
           ? ngx_mcp_redis_reader_default.createArray(task, n) : NULL;
}


static void *
ngx_mcp_redis_reader_integer(const redisReadTask *task, long long value)
{
    ngx_uint_t  valid;

    /* the third element of a "subscribe" message: the number of channels */

    valid = ngx_mcp_redis_reader_expected(task)
            || (task->parent && task->idx == 2);

    return ngx_mcp_redis_reader_check(task, valid)
           ? ngx_mcp_redis_reader_default.createInteger(task, value)
           : NULL;
}


static void *
ngx_mcp_redis_reader_nil(const redisReadTask *task)
{
    return ngx_mcp_redis_reader_check(task, ngx_mcp_redis_reader_expected(task))
           ? ngx_mcp_redis_reader_default.createNil(task) : NULL;
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
 * Calls the handler for a reply, for each of its elements, since a long reply
 * may take longer than the time-out, and for anything refused.
 */

static ngx_uint_t
ngx_mcp_redis_reader_check(const redisReadTask *task, ngx_uint_t valid)
{
    redisAsyncContext  *ac;

    ac = task->privdata;

    if (task->parent == NULL || task->parent->parent == NULL || !valid) {
        ngx_mcp_redis_reader_handler(ac->data, valid);
    }

    return valid;
}


/*
 * Returns whether a command waits for a reply.  Otherwise hiredis takes the
 * reply for a message of a subscription.
 */

static ngx_uint_t
ngx_mcp_redis_reader_expected(const redisReadTask *task)
{
    redisAsyncContext  *ac;

    ac = task->privdata;

    return ac->replies.head != NULL;
}

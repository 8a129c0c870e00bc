
/*
 * Objects belong to hiredis, whose own functions make them; an object that is
 * not made is an error of its reader.
 */

#include "ngx_mcp_redis_reader.h"


/* more than the ended ids and their ends, which are read at once */

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
    ngx_uint_t good);
static ngx_uint_t ngx_mcp_redis_reader_asked(const redisReadTask *task);


static redisReplyObjectFunctions  ngx_mcp_redis_reader_own;
static redisReplyObjectFunctions  ngx_mcp_redis_reader_fn;
static ngx_mcp_redis_reader_pt    ngx_mcp_redis_reader_replied;


void
ngx_mcp_redis_reader(redisAsyncContext *ac, ngx_mcp_redis_reader_pt replied)
{
    redisReplyObjectFunctions  *fn;

    ngx_mcp_redis_reader_replied = replied;
    ngx_mcp_redis_reader_own = *ac->c.reader->fn;

    fn = &ngx_mcp_redis_reader_fn;

    *fn = ngx_mcp_redis_reader_own;

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
    ngx_uint_t  good;

    if (ngx_mcp_redis_reader_asked(task)) {
        good = 1;

    } else if (task->parent == NULL) {

        /* the last word of a server that closes the connection */

        good = (task->type == REDIS_REPLY_ERROR);

    } else if (task->idx == 0) {
        good = task->type == REDIS_REPLY_STRING
               && ((len == sizeof("message") - 1
                    && ngx_strncmp(text, "message", len) == 0)
                   || (len == sizeof("subscribe") - 1
                       && ngx_strncmp(text, "subscribe", len) == 0));

    } else {
        good = (task->type == REDIS_REPLY_STRING);
    }

    return ngx_mcp_redis_reader_check(task, good)
           ? ngx_mcp_redis_reader_own.createString(task, text, len)
           : NULL;
}


static void *
ngx_mcp_redis_reader_array(const redisReadTask *task,
    ngx_mcp_redis_reader_elements_t n)
{
    ngx_uint_t          good;
    redisAsyncContext  *ac;

    ac = task->privdata;

    if (ngx_mcp_redis_reader_asked(task)) {
        good = (n <= NGX_MCP_REDIS_MAX_ELEMENTS);

    } else {
        good = task->parent == NULL && (ac->c.flags & REDIS_SUBSCRIBED)
               && n == 3;
    }

    return ngx_mcp_redis_reader_check(task, good
                                             && task->type
                                                == REDIS_REPLY_ARRAY)
           ? ngx_mcp_redis_reader_own.createArray(task, n) : NULL;
}


static void *
ngx_mcp_redis_reader_integer(const redisReadTask *task, long long value)
{
    ngx_uint_t  good;

    /* how many channels there are, behind "subscribe" and the channel */

    good = ngx_mcp_redis_reader_asked(task)
           || (task->parent && task->idx == 2);

    return ngx_mcp_redis_reader_check(task, good)
           ? ngx_mcp_redis_reader_own.createInteger(task, value)
           : NULL;
}


static void *
ngx_mcp_redis_reader_nil(const redisReadTask *task)
{
    return ngx_mcp_redis_reader_check(task, ngx_mcp_redis_reader_asked(task))
           ? ngx_mcp_redis_reader_own.createNil(task) : NULL;
}


#if (HIREDIS_MAJOR >= 1)

/* of RESP3, which nobody has asked for */

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
 * Tells of each reply, of each element of it, of which there may be so many
 * that they take their time, and of what is refused in it.
 */

static ngx_uint_t
ngx_mcp_redis_reader_check(const redisReadTask *task, ngx_uint_t good)
{
    redisAsyncContext  *ac;

    ac = task->privdata;

    if (task->parent == NULL || task->parent->parent == NULL || !good) {
        ngx_mcp_redis_reader_replied(ac->data, good);
    }

    return good;
}


/*
 * It is for a command; all else must be of a subscription: hiredis takes it
 * for that, and looks no closer.
 */

static ngx_uint_t
ngx_mcp_redis_reader_asked(const redisReadTask *task)
{
    redisAsyncContext  *ac;

    ac = task->privdata;

    return ac->replies.head != NULL;
}

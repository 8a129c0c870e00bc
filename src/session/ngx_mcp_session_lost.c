
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * The open requests of a session whose stream was lost or has ended, and who
 * inherits them.
 *
 * DESIGN.  A session whose client has left goes on while a new stream may take
 * its id over, for mcp_sse_grace: its calls run, and answers are kept, up to
 * half of mcp_sse_queue.  A new stream in the same worker, if it takes over the
 * very tombstone of that session, gets its tasks and what was kept.
 *
 * A new stream in another worker gets none of that, since answers do not travel
 * between workers.  It finds the ids in the zone (shm/ngx_mcp_leftovers.c),
 * answers each with an error, and does not run a request with the same id until
 * the first one has ended.  The latter holds for a session that the server has
 * ended, too, whose requests were answered on its own stream.
 *
 * A new stream may replace a session of another worker.  That worker notes the
 * open requests of the session in the zone as soon as it hears of it, and the
 * new stream waits for that, for a second at most.
 */

#include "ngx_mcp_session_lost.h"
#include "ngx_mcp_bus.h"
#include "ngx_mcp_dispatch.h"
#include "ngx_mcp_leftovers.h"
#include "ngx_mcp_list_changed.h"
#include "ngx_mcp_question.h"
#include "ngx_mcp_reply.h"
#include "ngx_mcp_session.h"
#include "ngx_mcp_unregister.h"


/* how often a new session looks whether the replaced one has left */

#define NGX_MCP_SESSION_LOST_WAIT_MS      20

/* for how long; a worker that does not react may be stopped */

#define NGX_MCP_SESSION_LOST_MAX_WAIT_MS  1000


static ngx_uint_t ngx_mcp_session_lost_ids(ngx_mcp_session_t *s,
    ngx_str_t **ids);
static ngx_uint_t ngx_mcp_session_lost_add_ids(ngx_queue_t *tasks,
    ngx_str_t *ids);
static ngx_uint_t ngx_mcp_session_lost_is_open(ngx_mcp_task_t *task);
static void ngx_mcp_session_lost_limit(ngx_mcp_session_t *s);
static void ngx_mcp_session_lost_expired(void *data);
static void ngx_mcp_session_lost_adopt(ngx_mcp_session_t *from,
    ngx_mcp_session_t *to);
static void ngx_mcp_session_lost_wait(void *data);


static ngx_queue_t  ngx_mcp_sessions_lost = {
    &ngx_mcp_sessions_lost, &ngx_mcp_sessions_lost
};


void
ngx_mcp_session_lost_leave(ngx_mcp_session_t *s, ngx_msec_t grace)
{
    ngx_str_t   *ids;
    ngx_uint_t   n;

    n = ngx_mcp_session_lost_ids(s, &ids);

    ngx_mcp_bus_unregister(s, grace, ids, n);

    if (ids) {
        ngx_free(ids);
    }

    if (!s->lost) {
        return;
    }

    ngx_queue_insert_tail(&ngx_mcp_sessions_lost, &s->lost_queue);

    /* without a tombstone nobody can take it over */

    if (s->tombstone == 0
        || (!ngx_mcp_session_busy(s) && ngx_queue_empty(&s->kept)))
    {
        ngx_mcp_session_lost_forget(s);
        return;
    }

    s->grace.handler = ngx_mcp_session_lost_expired;
    s->grace.data = s;
    ngx_mcp_timer_set(&s->grace, grace);

    ngx_mcp_session_lost_limit(s);
}


/*
 * Makes a list of the ids of the open requests of the session, which the caller
 * frees; NULL if there are none, or no memory.
 */

static ngx_uint_t
ngx_mcp_session_lost_ids(ngx_mcp_session_t *s, ngx_str_t **ids)
{
    ngx_uint_t  n;

    n = ngx_mcp_session_lost_add_ids(&s->waiting, NULL)
        + ngx_mcp_session_lost_add_ids(&s->running, NULL);

    *ids = n ? ngx_alloc(n * sizeof(ngx_str_t), ngx_cycle->log) : NULL;

    if (*ids == NULL) {
        return 0;
    }

    n = ngx_mcp_session_lost_add_ids(&s->waiting, *ids);

    return n + ngx_mcp_session_lost_add_ids(&s->running, *ids + n);
}


static ngx_uint_t
ngx_mcp_session_lost_add_ids(ngx_queue_t *tasks, ngx_str_t *ids)
{
    ngx_uint_t       n;
    ngx_queue_t     *q;
    ngx_mcp_task_t  *task;

    n = 0;

    for (q = ngx_queue_head(tasks);
         q != ngx_queue_sentinel(tasks);
         q = ngx_queue_next(q))
    {
        task = ngx_queue_data(q, ngx_mcp_task_t, queue);

        if (!ngx_mcp_session_lost_is_open(task)) {
            continue;
        }

        if (ids) {
            ids[n] = task->message.id;
            task->leftover = 1;
        }

        n++;
    }

    return n;
}


static ngx_uint_t
ngx_mcp_session_lost_is_open(ngx_mcp_task_t *task)
{
    return !task->silent && !task->cancelled;
}


/*
 * A user has at most mcp_sse_max_sessions lost sessions in a worker, as he has
 * tombstones: for one more, the oldest is not lost any more.
 */

static void
ngx_mcp_session_lost_limit(ngx_mcp_session_t *s)
{
    ngx_int_t           n;
    ngx_queue_t        *q;
    ngx_mcp_session_t  *lost, *oldest;

    n = 0;
    oldest = NULL;

    for (q = ngx_queue_head(&ngx_mcp_sessions_lost);
         q != ngx_queue_sentinel(&ngx_mcp_sessions_lost);
         q = ngx_queue_next(q))
    {
        lost = ngx_queue_data(q, ngx_mcp_session_t, lost_queue);

        if (ngx_memcmp(lost->user_key, s->user_key, NGX_MCP_DIGEST_LEN) == 0) {
            oldest = oldest ? oldest : lost;
            n++;
        }
    }

    if (oldest && n > s->conf->max_sessions) {
        ngx_mcp_session_lost_forget(oldest);
    }
}


void
ngx_mcp_session_lost_keep(ngx_mcp_session_t *s, ngx_mcp_task_t *task,
    ngx_mcp_event_t *ev, ngx_uint_t is_answer)
{
    size_t  size;

    if (!is_answer) {
        ngx_mcp_event_free(ev);
        return;
    }

    size = ev ? ev->last - ev->pos : 0;

    if (task && s->kept_size + size > s->conf->queue / 2) {
        ngx_mcp_event_free(ev);

        ev = ngx_mcp_reply_error(&s->sink, &task->message.id,
                                 NGX_MCP_ERR_CLOSED,
                                 "Stream closed before the answer",
                                 "{\"executed\":\"unknown\"}");
        size = 0;
    }

    if (ev == NULL) {
        s->kept_failed = 1;
        return;
    }

    s->kept_size += size;
    ngx_queue_insert_tail(&s->kept, &ev->queue);
}


static void
ngx_mcp_session_lost_expired(void *data)
{
    ngx_mcp_session_t  *s = data;

    ngx_mcp_session_lost_forget(s);
    ngx_mcp_leftovers_forget(s->sid.key);
}


void
ngx_mcp_session_lost_forget(ngx_mcp_session_t *s)
{
    ngx_queue_t  *q, *next;

    if (!s->lost) {
        return;
    }

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, ngx_cycle->log, 0,
                   "mcp session %*s: its stream does not come back",
                   (size_t) NGX_MCP_HASH_LEN, s->sid.hash);

    s->lost = 0;
    s->sink.open = 0;

    ngx_mcp_question_end_session(s, "The client has left");

    ngx_mcp_timer_del(&s->grace);
    ngx_queue_remove(&s->lost_queue);

    for (q = ngx_queue_head(&s->kept);
         q != ngx_queue_sentinel(&s->kept);
         q = next)
    {
        next = ngx_queue_next(q);

        ngx_mcp_event_free(ngx_queue_data(q, ngx_mcp_event_t, queue));
    }

    ngx_queue_init(&s->kept);

    ngx_post_event(&s->event, &ngx_posted_events);
}


void
ngx_mcp_session_lost_inherit(ngx_mcp_session_t *s)
{
    ngx_queue_t        *q, *next;
    ngx_mcp_session_t  *lost;

    for (q = ngx_queue_head(&ngx_mcp_sessions_lost);
         q != ngx_queue_sentinel(&ngx_mcp_sessions_lost);
         q = next)
    {
        next = ngx_queue_next(q);

        lost = ngx_queue_data(q, ngx_mcp_session_t, lost_queue);

        if (ngx_memcmp(lost->sid.key, s->sid.key, NGX_MCP_DIGEST_LEN) != 0) {
            continue;
        }

        /* otherwise another worker has inherited from it meanwhile */

        if (lost->tombstone == s->predecessor) {
            ngx_mcp_session_lost_adopt(lost, s);
        }

        ngx_mcp_session_lost_forget(lost);
    }

    if (s->receiver && s->changed) {
        ngx_mcp_list_changed(s->receiver, s->changed);
    }

    s->waits = 1;
    s->grace.handler = ngx_mcp_session_lost_wait;
    s->grace.data = s;

    ngx_mcp_session_lost_wait(s);
}


static void
ngx_mcp_session_lost_adopt(ngx_mcp_session_t *from, ngx_mcp_session_t *to)
{
    ngx_queue_t  *q;

    ngx_log_debug3(NGX_LOG_DEBUG_HTTP, ngx_cycle->log, 0,
                   "mcp session %*s: its stream came back, calls: %ui",
                   (size_t) NGX_MCP_HASH_LEN, from->sid.hash, from->ncalls);

    ngx_mcp_leftovers_adopt(from->sid.key);

    ngx_mcp_task_move(from, to);

    while (!ngx_queue_empty(&from->kept)) {
        q = ngx_queue_head(&from->kept);
        ngx_queue_remove(q);

        ngx_mcp_stream_send(to->stream,
                            ngx_queue_data(q, ngx_mcp_event_t, queue));
    }

    ngx_mcp_question_again(to);

    /* there was no memory for an answer: the client must not wait for it */

    if (from->kept_failed) {
        ngx_mcp_stream_send(to->stream, NULL);
    }
}


/*
 * The requests that a replaced session has are noted when it has left.
 */

static void
ngx_mcp_session_lost_wait(void *data)
{
    ngx_mcp_session_t  *s = data;

    u_char      buf[NGX_MCP_LEFTOVERS_MAX_ID_LEN];
    ngx_str_t   id;

    if (ngx_current_msec - s->created < NGX_MCP_SESSION_LOST_MAX_WAIT_MS
        && ngx_mcp_unregister_awaited(s))
    {
        ngx_mcp_timer_set(&s->grace, NGX_MCP_SESSION_LOST_WAIT_MS);
        return;
    }

    id.data = buf;

    while (ngx_mcp_leftovers_inherit(s->sid.key, &id)) {
        ngx_log_error(NGX_LOG_INFO, ngx_cycle->log, 0,
                      "mcp sse: session %*s has come back at another worker, "
                      "an open request is answered with an error",
                      (size_t) NGX_MCP_HASH_LEN, s->sid.hash);

        ngx_mcp_stream_send(s->stream,
            ngx_mcp_reply_error(&s->sink, &id, NGX_MCP_ERR_CLOSED,
                                "Stream closed before the answer",
                                "{\"executed\":\"unknown\"}"));
    }

    s->waits = 0;

    ngx_post_event(&s->event, &ngx_posted_events);
}


ngx_uint_t
ngx_mcp_session_lost_has(ngx_mcp_session_t *s, ngx_str_t *id)
{
    return s->resumed
           && ngx_mcp_zone()->root->leftovers_size
           && ngx_mcp_leftovers_find(s->sid.key, id);
}


void
ngx_mcp_session_lost_cancel(u_char *key, ngx_str_t *id)
{
    ngx_queue_t        *q, *list;
    ngx_mcp_session_t  *s;

    if (ngx_mcp_zone()->root->leftovers_size == 0) {
        return;
    }

    list = ngx_mcp_session_list();

    for (q = ngx_queue_head(list);
         q != ngx_queue_sentinel(list);
         q = ngx_queue_next(q))
    {
        s = ngx_queue_data(q, ngx_mcp_session_t, queue);

        if (!s->open
            && ngx_memcmp(s->sid.key, key, NGX_MCP_DIGEST_LEN) == 0)
        {
            ngx_mcp_dispatch_cancel(s, id);

            /* it may have waited for a place alone */

            ngx_mcp_task_over(s);
        }
    }
}

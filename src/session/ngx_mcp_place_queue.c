
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * The tasks that wait for a place at Frappe: mcp_sse_backend_calls.
 *
 * A user has one queue in a worker, for all of its sessions, in the order in
 * which the tasks came.  shm/ngx_mcp_places.c decides which user, and which of
 * its workers, gets the next place.  A task that waits stays in the list
 * "waiting" of its session, which owns it, and keeps a worker that shuts down
 * alive.
 */

#include "ngx_mcp_place_queue.h"
#include "ngx_mcp_dispatch.h"
#include "ngx_mcp_places.h"
#include "ngx_mcp_reply.h"
#include "ngx_mcp_session.h"


static void ngx_mcp_place_queue_granted(void);
static void ngx_mcp_place_queue_turn(ngx_mcp_place_user_t *user);
static ngx_uint_t ngx_mcp_place_queue_gone(ngx_mcp_task_t *task);
static void ngx_mcp_place_queue_remove(ngx_mcp_task_t *task);
static void ngx_mcp_place_queue_timed_out(void *data);


void
ngx_mcp_place_queue_init(void)
{
    if (ngx_mcp_zone()->conf->backend_calls) {
        ngx_mcp_places_init(ngx_mcp_place_queue_granted);
    }
}


ngx_int_t
ngx_mcp_place_queue_enter(ngx_mcp_task_t *task)
{
    u_char                 key[NGX_MCP_DIGEST_LEN];
    ngx_mcp_session_t     *s;
    ngx_mcp_place_user_t  *user;

    if (!ngx_mcp_places_used()) {
        return NGX_OK;
    }

    s = task->session;

    if (ngx_mcp_session_user(&s->site, &s->user, key) != NGX_OK) {
        return NGX_ERROR;
    }

    user = ngx_mcp_places_user(key);
    if (user == NULL) {
        return NGX_ERROR;
    }

    task->place = user;

    if (ngx_mcp_places_take(user)) {
        return NGX_OK;
    }

    ngx_log_debug3(NGX_LOG_DEBUG_HTTP, ngx_cycle->log, 0,
                   "mcp session %*s: a call waits for a place, behind: %ui",
                   (size_t) NGX_MCP_HASH_LEN, s->sid.hash, user->waiting - 1);

    ngx_queue_insert_tail(&user->calls, &task->turn);
    task->queued = 1;
    s->nqueued++;

    ngx_mcp_timer_hold();

    return NGX_AGAIN;
}


static void
ngx_mcp_place_queue_remove(ngx_mcp_task_t *task)
{
    ngx_queue_remove(&task->turn);
    task->queued = 0;
    task->place = NULL;
    task->session->nqueued--;

    ngx_mcp_timer_release();
}


void
ngx_mcp_place_queue_leave(ngx_mcp_task_t *task)
{
    ngx_mcp_place_user_t  *user;

    if (task->queued) {
        user = task->place;

        ngx_mcp_place_queue_remove(task);
        ngx_mcp_places_leave(user);
    }
}


/*
 * Calls of this worker have got places.
 */

static void
ngx_mcp_place_queue_granted(void)
{
    ngx_mcp_place_user_t  *user;

    while ((user = ngx_mcp_places_claim()) != NULL) {
        ngx_mcp_place_queue_turn(user);
    }
}


/*
 * The next task of the user has a place, which the task, then its call, gives
 * back.  If it is not to run, others of its session may be.
 */

static void
ngx_mcp_place_queue_turn(ngx_mcp_place_user_t *user)
{
    ngx_mcp_task_t     *task;
    ngx_mcp_session_t  *s;

    task = ngx_queue_data(ngx_queue_head(&user->calls), ngx_mcp_task_t, turn);
    s = task->session;

    ngx_mcp_place_queue_remove(task);

    if (ngx_mcp_place_queue_gone(task) || ngx_mcp_dispatch_late(task)) {
        ngx_mcp_places_release(user);

    } else {
        task->place = user;
        ngx_mcp_task_start(task);
    }

    ngx_mcp_task_over(s);
}


/*
 * Frees a request whose client has left, and that nobody can take over.
 */

static ngx_uint_t
ngx_mcp_place_queue_gone(ngx_mcp_task_t *task)
{
    if (task->silent || ngx_mcp_task_has_receiver(task)) {
        return 0;
    }

    ngx_log_error(NGX_LOG_INFO, ngx_cycle->log, 0,
                  "mcp sse: session %*s: the client has left before its "
                  "request could start, it is not executed",
                  (size_t) NGX_MCP_HASH_LEN, task->session->sid.hash);

    ngx_mcp_count(NGX_MCP_COUNT_ABANDONED);
    ngx_mcp_task_cancel(task);

    return 1;
}


void
ngx_mcp_place_queue_deadline(ngx_mcp_task_t *task)
{
    if (ngx_mcp_places_used()) {
        task->deadline.handler = ngx_mcp_place_queue_timed_out;
        task->deadline.data = task;
        ngx_mcp_timer_set(&task->deadline, task->session->conf->call_timeout);
    }
}


static void
ngx_mcp_place_queue_timed_out(void *data)
{
    ngx_mcp_task_t  *task = data;

    u_char              buf[sizeof("{\"timeout_ms\":,\"executed\":\"no\"}")
                            + NGX_INT64_LEN];
    ngx_mcp_session_t  *s;

    s = task->session;

    ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                  "mcp sse: session %*s: a message waited %M ms for its turn "
                  "at Frappe and is not executed, increase "
                  "mcp_sse_backend_calls if Frappe has more threads",
                  (size_t) NGX_MCP_HASH_LEN, s->sid.hash,
                  ngx_current_msec - task->accepted);

    ngx_mcp_count(NGX_MCP_COUNT_NOT_STARTED);

    if (ngx_mcp_task_has_receiver(task)) {
        ngx_sprintf(buf, "{\"timeout_ms\":%M,\"executed\":\"no\"}%Z",
                    s->conf->call_timeout);

        ngx_mcp_task_tell(task,
            ngx_mcp_reply_error(task->sink, &task->message.id,
                                NGX_MCP_ERR_TIMED_OUT,
                                "Request timed out", (char *) buf), 1);
    }

    ngx_mcp_task_cancel(task);
    ngx_mcp_task_over(s);
}

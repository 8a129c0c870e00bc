
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * A task: a message of a session that waits for, or runs as, a call.
 */

#ifndef _NGX_MCP_TASK_H_INCLUDED_
#define _NGX_MCP_TASK_H_INCLUDED_


#include "ngx_mcp_barrier.h"
#include "ngx_mcp_call.h"
#include "ngx_mcp_call_id.h"
#include "ngx_mcp_in_flight.h"
#include "ngx_mcp_places.h"
#include "ngx_mcp_progress.h"
#include "ngx_mcp_stream.h"


struct ngx_mcp_task_s {
    ngx_queue_t                   queue;       /* s->waiting or s->running */
    ngx_queue_t                   siblings;    /* in sink->tasks */
    ngx_mcp_sink_t               *sink;        /* or NULL: no answer */
    ngx_mcp_session_t            *session;
    ngx_mcp_envelope_t           *envelope;    /* a reference */
    ngx_mcp_jsonrpc_message_t     message;     /* points into it */

    ngx_mcp_call_t               *call;        /* while it runs */
    ngx_mcp_jsonrpc_answer_t      answer;      /* of it */
    ngx_uint_t                    outcome;     /* ngx_mcp_outcome_e */

    ngx_mcp_in_flight_t          *in_flight;   /* its id, or NULL */

    ngx_mcp_place_user_t         *place;       /* at Frappe, or waits for one;
                                                  NULL: no limit, or the call
                                                  has it */
    ngx_queue_t                   turn;        /* in place->calls, if queued */
    ngx_mcp_timer_t               deadline;    /* until it runs */

    ngx_mcp_call_id_t             call_id;     /* by which Frappe knows it */
    ngx_mcp_barrier_t             barrier;     /* before the answer */
    /* see session/ngx_mcp_question.c */

    ngx_mcp_question_t           *questions;   /* open ones, or NULL */
    ngx_msec_t                    asked;       /* how long its clock has stood
                                                  still before these, */
    ngx_msec_t                    asked_at;    /* since when it does, */
    ngx_msec_t                    deferred;    /* and for how long it may */

    ngx_mcp_progress_t            progress;
    ngx_msec_t                    accepted;    /* when it was created */

    unsigned                      silent:1;    /* a notification */
    unsigned                      cancelled:1;
    unsigned                      leftover:1;  /* is noted in the zone */
    unsigned                      queued:1;    /* waits for a place */
    unsigned                      pushed:1;    /* Frappe has published for it */
};


/*
 * "ended" runs after a task of the session has ended by itself; it may start
 * others.
 */

void ngx_mcp_task_init(void (*ended)(ngx_mcp_session_t *s));

/*
 * Makes a task of a message of env, at the end of the session's waiting
 * list; a request is answered to "sink", and takes the next of its ids in
 * flight.  Takes a reference of its own.  NULL if memory is short.
 */

ngx_mcp_task_t *ngx_mcp_task_create(ngx_mcp_session_t *s,
    ngx_mcp_envelope_t *env, ngx_mcp_jsonrpc_message_t *message,
    ngx_mcp_sink_t *sink);

/*
 * The answer of a task that has no sink goes to "sink", with progress if it
 * takes that.
 */

void ngx_mcp_task_attach(ngx_mcp_task_t *task, ngx_mcp_sink_t *sink);

/*
 * The sink goes away: from now on the answers of its tasks are dropped.
 */

void ngx_mcp_task_detach(ngx_mcp_sink_t *sink);

/*
 * All tasks of a session, running ones too, become those of another one of the
 * same user and site, which has none.
 */

void ngx_mcp_task_move(ngx_mcp_session_t *from, ngx_mcp_session_t *to);

/*
 * Whether anybody waits for its answer.
 */

ngx_uint_t ngx_mcp_task_has_receiver(ngx_mcp_task_t *task);

/*
 * Sends an answer, or a notification, for a task that has a receiver.  Takes
 * ev over, which is NULL if memory is short.
 */

void ngx_mcp_task_tell(ngx_mcp_task_t *task, ngx_mcp_event_t *ev,
    ngx_uint_t is_answer);

/*
 * Whether a notification of that size may be sent: NGX_OK; NGX_DECLINED, nobody
 * takes it; NGX_BUSY, the client does not read.
 */

ngx_int_t ngx_mcp_task_room(ngx_mcp_task_t *task, size_t size);

/*
 * Starts the call of a waiting task, which gets task->place.  If memory is
 * short the client gets an error and the task is freed; so does the second
 * function, which does not try.
 */

void ngx_mcp_task_start(ngx_mcp_task_t *task);
void ngx_mcp_task_no_memory(ngx_mcp_task_t *task);

/*
 * A waiting task of the session may have been freed, from an event: others may
 * start, and the session may end.
 */

void ngx_mcp_task_over(ngx_mcp_session_t *s);

/*
 * Cancels a task, which sends nothing more.  A waiting task is freed.  A
 * running one ends by a posted event, which closes the connection to the
 * backend.
 */

void ngx_mcp_task_cancel(ngx_mcp_task_t *task);


#endif /* _NGX_MCP_TASK_H_INCLUDED_ */

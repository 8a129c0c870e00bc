
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * A barrier: when it comes back, what Frappe has published before has arrived.
 *
 * Its message is "b" and a number.  Numbers only rise, for the life of the
 * process: one that comes back is good for all that wait for it or for an
 * earlier one.
 *
 * The timer is one of nginx, which is more precise than those of
 * ngx_mcp_timer.c: an answer waits for it.
 */

#include "ngx_mcp_barrier.h"


static void ngx_mcp_barrier_post_handler(ngx_event_t *ev);
static void ngx_mcp_barrier_timer_handler(ngx_event_t *ev);
static void ngx_mcp_barrier_arm(void);
static ngx_mcp_barrier_t *ngx_mcp_barrier_first(void);
static void ngx_mcp_barrier_run(ngx_mcp_barrier_t *barrier);


static ngx_queue_t       ngx_mcp_barriers;       /* oldest first */
static uint64_t          ngx_mcp_barrier_last;   /* published */
static ngx_event_t       ngx_mcp_barrier_posted;
static ngx_event_t       ngx_mcp_barrier_timer;
static ngx_connection_t  ngx_mcp_barrier_connection;


void
ngx_mcp_barrier_init(void)
{
    ngx_queue_init(&ngx_mcp_barriers);

    /* nginx's debug log of timers prints the fd */

    ngx_mcp_barrier_connection.fd = (ngx_socket_t) -1;

    ngx_mcp_barrier_posted.handler = ngx_mcp_barrier_post_handler;
    ngx_mcp_barrier_posted.log = ngx_cycle->log;

    ngx_mcp_barrier_timer.handler = ngx_mcp_barrier_timer_handler;
    ngx_mcp_barrier_timer.data = &ngx_mcp_barrier_connection;
    ngx_mcp_barrier_timer.log = ngx_cycle->log;
}


ngx_int_t
ngx_mcp_barrier_wait(ngx_mcp_barrier_t *barrier)
{
    if (!ngx_mcp_events_is_up()) {
        return NGX_DECLINED;
    }

    barrier->number = ngx_mcp_barrier_last + 1;
    barrier->started = ngx_current_msec;

    ngx_queue_insert_tail(&ngx_mcp_barriers, &barrier->queue);

    /* one for all that begin to wait now */

    ngx_post_event(&ngx_mcp_barrier_posted, &ngx_posted_events);

    if (!ngx_mcp_barrier_timer.timer_set) {
        ngx_mcp_barrier_arm();
    }

    return NGX_OK;
}


void
ngx_mcp_barrier_cancel(ngx_mcp_barrier_t *barrier)
{
    if (barrier->number == 0) {
        return;
    }

    ngx_queue_remove(&barrier->queue);
    barrier->number = 0;

    ngx_mcp_barrier_arm();
}


uint64_t
ngx_mcp_barrier_send(void)
{
    u_char     text[sizeof("b") - 1 + NGX_INT64_LEN];
    ngx_str_t  bytes;

    bytes.data = text;
    bytes.len = ngx_sprintf(text, "b%uL", ngx_mcp_barrier_last + 1) - text;

    if (ngx_mcp_events_to_self(&bytes) != NGX_OK) {
        return 0;
    }

    if (ngx_mcp_barrier_posted.posted) {
        ngx_delete_posted_event(&ngx_mcp_barrier_posted);
    }

    return ++ngx_mcp_barrier_last;
}


uint64_t
ngx_mcp_barrier_back(ngx_str_t *bytes)
{
    off_t               number;
    ngx_mcp_barrier_t  *barrier;

    number = ngx_atoof(bytes->data + 1, bytes->len - 1);

    if (number <= 0 || (uint64_t) number > ngx_mcp_barrier_last) {
        return 0;
    }

    for ( ;; ) {
        barrier = ngx_mcp_barrier_first();

        if (barrier == NULL || barrier->number > (uint64_t) number) {
            break;
        }

        ngx_mcp_barrier_run(barrier);
    }

    ngx_mcp_barrier_arm();

    return number;
}


void
ngx_mcp_barrier_lost(void)
{
    ngx_mcp_barrier_t  *barrier;

    for ( ;; ) {
        barrier = ngx_mcp_barrier_first();

        if (barrier == NULL) {
            break;
        }

        ngx_mcp_barrier_run(barrier);
    }

    ngx_mcp_barrier_arm();
}


static void
ngx_mcp_barrier_post_handler(ngx_event_t *ev)
{
    if (!ngx_queue_empty(&ngx_mcp_barriers)) {
        (void) ngx_mcp_barrier_send();
    }
}


static void
ngx_mcp_barrier_timer_handler(ngx_event_t *ev)
{
    ngx_mcp_barrier_t  *barrier;

    for ( ;; ) {
        barrier = ngx_mcp_barrier_first();

        if (barrier == NULL
            || ngx_current_msec - barrier->started < NGX_MCP_BARRIER_TIMEOUT_MS)
        {
            break;
        }

        ngx_log_debug1(NGX_LOG_DEBUG_CORE, ev->log, 0,
                       "mcp barrier: %uL is late", barrier->number);

        ngx_mcp_count(NGX_MCP_COUNT_BARRIER_LATE);
        ngx_mcp_barrier_run(barrier);
    }

    ngx_mcp_barrier_arm();
}


/*
 * The timer is that of the oldest one, if there is one.  It is not cancelable:
 * a worker that shuts down stays for the answer.
 */

static void
ngx_mcp_barrier_arm(void)
{
    ngx_msec_t          passed;
    ngx_mcp_barrier_t  *barrier;

    barrier = ngx_mcp_barrier_first();

    if (barrier == NULL) {

        if (ngx_mcp_barrier_timer.timer_set) {
            ngx_del_timer(&ngx_mcp_barrier_timer);
        }

        return;
    }

    if (!ngx_mcp_barrier_timer.timer_set) {
        passed = ngx_current_msec - barrier->started;

        ngx_add_timer(&ngx_mcp_barrier_timer,
                      NGX_MCP_BARRIER_TIMEOUT_MS
                      - ngx_min(passed, NGX_MCP_BARRIER_TIMEOUT_MS));
    }
}


static ngx_mcp_barrier_t *
ngx_mcp_barrier_first(void)
{
    if (ngx_queue_empty(&ngx_mcp_barriers)) {
        return NULL;
    }

    return ngx_queue_data(ngx_queue_head(&ngx_mcp_barriers), ngx_mcp_barrier_t,
                          queue);
}


/*
 * The handler may free it, and cancel others.
 */

static void
ngx_mcp_barrier_run(ngx_mcp_barrier_t *barrier)
{
    ngx_queue_remove(&barrier->queue);
    barrier->number = 0;

    barrier->handler(barrier->data);
}

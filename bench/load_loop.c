
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Event loop: level-triggered epoll and one timer.
 *
 * Events are owned by their connections.  A handler may run for an fd that
 * another handler has closed and opened again in the same round.
 */

#include "load_loop.h"

#include <sys/timerfd.h>


#define LOAD_LOOP_BATCH  512


static void load_loop_timer(load_event_t *ev, uint32_t events);


static int           load_loop_epoll;
static load_event_t  load_loop_clock;
static load_nsec_t   load_loop_set;


void
load_loop_init(void)
{
    load_loop_epoll = epoll_create1(EPOLL_CLOEXEC);
    load_loop_clock.fd = timerfd_create(CLOCK_MONOTONIC,
                                        TFD_NONBLOCK|TFD_CLOEXEC);
    load_loop_clock.handler = load_loop_timer;

    if (load_loop_epoll == -1 || load_loop_clock.fd == -1
        || load_loop_watch(&load_loop_clock, 0, 0) != LOAD_OK)
    {
        load_fatal("cannot create the event loop: %s", strerror(errno));
    }
}


int
load_loop_watch(load_event_t *ev, int out, int again)
{
    struct epoll_event  ee;

    memset(&ee, 0, sizeof(struct epoll_event));

    ee.events = out ? EPOLLIN|EPOLLOUT : EPOLLIN;
    ee.data.ptr = ev;

    if (epoll_ctl(load_loop_epoll, again ? EPOLL_CTL_MOD : EPOLL_CTL_ADD,
                  ev->fd, &ee)
        == -1)
    {
        return LOAD_ERROR;
    }

    return LOAD_OK;
}


void
load_loop_wake_at(load_nsec_t when)
{
    struct itimerspec  its;

    if (when == load_loop_set) {
        return;
    }

    memset(&its, 0, sizeof(struct itimerspec));

    its.it_value.tv_sec = when / LOAD_SEC;
    its.it_value.tv_nsec = when % LOAD_SEC;

    (void) timerfd_settime(load_loop_clock.fd, TFD_TIMER_ABSTIME, &its, NULL);

    load_loop_set = when;
}


void
load_loop_wait(int msec)
{
    int                 i, n;
    load_event_t       *ev;
    struct epoll_event  events[LOAD_LOOP_BATCH];

    n = epoll_wait(load_loop_epoll, events, LOAD_LOOP_BATCH, msec);

    for (i = 0; i < n; i++) {
        ev = events[i].data.ptr;

        if (ev->fd != -1) {
            ev->handler(ev, events[i].events);
        }
    }
}


static void
load_loop_timer(load_event_t *ev, uint32_t events)
{
    uint64_t  n;

    (void) events;

    if (read(ev->fd, &n, sizeof(uint64_t)) > 0) {
        load_loop_set = 0;
    }
}

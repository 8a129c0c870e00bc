
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Event loop: level-triggered epoll and one timer.
 */

#ifndef _LOAD_LOOP_H_INCLUDED_
#define _LOAD_LOOP_H_INCLUDED_


#include "load.h"

#include <sys/epoll.h>


typedef struct load_event_s  load_event_t;

struct load_event_s {
    int                  fd;
    void               (*handler)(load_event_t *ev, uint32_t events);
};


/* creates the epoll and the timer; exits on error */

void load_loop_init(void);

/*
 * Watches ev->fd for EPOLLIN, and for EPOLLOUT if "out" is set; "again" must
 * be set if it is watched already.  The caller owns "ev", which must exist
 * until the fd is closed; closing the fd ends the watch.  Returns LOAD_ERROR
 * if epoll_ctl() fails.
 */

int load_loop_watch(load_event_t *ev, int out, int again);

/* sets the time at which load_loop_wait() returns; 0: none */

void load_loop_wake_at(load_nsec_t when);

/* waits for events, at most "msec" milliseconds, and runs their handlers */

void load_loop_wait(int msec);


#endif /* _LOAD_LOOP_H_INCLUDED_ */

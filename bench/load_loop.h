
/*
 * The event loop: epoll, level-triggered, and one timer for the next message.
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


/* makes the epoll and the timer; ends the program where it cannot */

void load_loop_init(void);

/*
 * Watches ev->fd for EPOLLIN, with "out" for EPOLLOUT too; "again" if it is
 * watched already.  "ev" stays the caller's and must outlive the fd; closing
 * the fd ends the watch.  Returns LOAD_ERROR where the kernel refuses.
 */

int load_loop_watch(load_event_t *ev, int out, int again);

/*
 * load_loop_wait() returns at this time, and as close to it as the kernel
 * can; 0 sets no time
 */

void load_loop_wake_at(load_nsec_t when);

/* waits for at most "msec" and calls the handlers of what has happened */

void load_loop_wait(int msec);


#endif /* _LOAD_LOOP_H_INCLUDED_ */


/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Baseline: two separate processes that write to each other through pipes.
 *
 * The histograms are in shared memory.  The echo process writes "way", the
 * sender the others.
 */

#include "load_pipe.h"
#include "load_loop.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>


typedef struct {
    load_nsec_t  intended;
    load_nsec_t  written;
} load_pipe_message_t;


static pid_t load_pipe_fork(pid_t parent);
static void load_pipe_send(load_nsec_t now);
static void load_pipe_sender(void);
static void load_pipe_echo(void);
static void load_pipe_back(load_event_t *ev, uint32_t events);
static void load_pipe_there(load_event_t *ev, uint32_t events);


static load_pipe_t   *load_pipe;
static pid_t          load_pipe_pids[2];
static int            load_pipe_to[2];
static int            load_pipe_from[2];
static load_event_t   load_pipe_event;
static load_nsec_t    load_pipe_next;
static load_nsec_t    load_pipe_interval;


load_pipe_t *
load_pipe_start(double rate)
{
    pid_t  parent;

    load_pipe_interval = (load_nsec_t) ((double) LOAD_SEC / rate);

    load_pipe = mmap(NULL, sizeof(load_pipe_t), PROT_READ|PROT_WRITE,
                     MAP_SHARED|MAP_ANONYMOUS, -1, 0);

    if (load_pipe == MAP_FAILED
        || pipe2(load_pipe_to, O_NONBLOCK|O_CLOEXEC) == -1
        || pipe2(load_pipe_from, O_NONBLOCK|O_CLOEXEC) == -1)
    {
        load_fatal("cannot create the pipes: %s", strerror(errno));
    }

    parent = getpid();

    load_pipe_pids[0] = load_pipe_fork(parent);
    if (load_pipe_pids[0] == 0) {
        load_pipe_echo();
    }

    load_pipe_pids[1] = load_pipe_fork(parent);
    if (load_pipe_pids[1] == 0) {
        load_pipe_sender();
    }

    (void) close(load_pipe_to[0]);
    (void) close(load_pipe_to[1]);
    (void) close(load_pipe_from[0]);
    (void) close(load_pipe_from[1]);

    return load_pipe;
}


static pid_t
load_pipe_fork(pid_t parent)
{
    pid_t  pid;

    pid = fork();

    if (pid == -1) {
        load_fatal("fork() failed: %s", strerror(errno));
    }

    if (pid == 0) {
        (void) signal(SIGINT, SIG_IGN);
        (void) prctl(PR_SET_PDEATHSIG, SIGKILL);

        if (getppid() != parent) {
            _exit(0);
        }

        load_loop_init();
    }

    return pid;
}


void
load_pipe_stop(void)
{
    unsigned  i;

    for (i = 0; i < 2; i++) {
        if (load_pipe_pids[i]) {
            (void) kill(load_pipe_pids[i], SIGKILL);
            (void) waitpid(load_pipe_pids[i], NULL, 0);
            load_pipe_pids[i] = 0;
        }
    }
}


static void
load_pipe_sender(void)
{
    load_nsec_t  now;

    load_pipe_event.fd = load_pipe_from[0];
    load_pipe_event.handler = load_pipe_back;

    if (load_loop_watch(&load_pipe_event, 0, 0) != LOAD_OK) {
        _exit(2);
    }

    load_pipe_next = load_now() + load_pipe_interval;

    for ( ;; ) {
        now = load_now();

        while (load_pipe_next <= now) {
            load_pipe_send(now);
            now = load_now();
        }

        load_loop_wake_at(load_pipe_next);
        load_loop_wait(-1);
    }
}


static void
load_pipe_send(load_nsec_t now)
{
    load_pipe_message_t  m;

    m.intended = load_pipe_next;
    m.written = now;

    if (write(load_pipe_to[1], &m, sizeof(m)) == sizeof(m)
        && load_pipe->measuring)
    {
        load_hist_add(&load_pipe->late, m.written - m.intended);
    }

    load_pipe_next += load_pipe_interval;
}


static void
load_pipe_back(load_event_t *ev, uint32_t events)
{
    load_nsec_t          now;
    load_pipe_message_t  m;

    (void) events;

    while (read(ev->fd, &m, sizeof(m)) == sizeof(m)) {
        now = load_now();

        if (load_pipe->measuring) {
            load_hist_add(&load_pipe->echo, now - m.written);
            load_hist_add(&load_pipe->trip, now - m.intended);
        }
    }
}


static void
load_pipe_echo(void)
{
    load_pipe_event.fd = load_pipe_to[0];
    load_pipe_event.handler = load_pipe_there;

    if (load_loop_watch(&load_pipe_event, 0, 0) != LOAD_OK) {
        _exit(2);
    }

    for ( ;; ) {
        load_loop_wait(-1);
    }
}


static void
load_pipe_there(load_event_t *ev, uint32_t events)
{
    load_pipe_message_t  m;

    (void) events;

    while (read(ev->fd, &m, sizeof(m)) == sizeof(m)) {

        if (load_pipe->measuring) {
            load_hist_add(&load_pipe->way, load_now() - m.written);
        }

        if (write(load_pipe_from[1], &m, sizeof(m)) == -1) {
            continue;
        }
    }
}

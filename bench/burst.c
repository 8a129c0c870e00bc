
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Preloaded into nginx by bench/heartbeats: the longest time for which a
 * process works without waiting for events.
 *
 * The file of the environment variable BURST, of 8 bytes, has it in
 * nanoseconds of CPU time, so that other processes do not add to it.
 * bench/heartbeats writes 0 there to start the measurement.
 */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>


static int64_t burst_now(void);


static volatile int64_t  *burst;
static int64_t            burst_begun;
static int              (*burst_epoll_wait)(int, struct epoll_event *, int,
                                            int);


__attribute__((constructor)) static void
burst_init(void)
{
    int          fd;
    void        *p;
    const char  *name;

    burst_epoll_wait = (int (*)(int, struct epoll_event *, int, int))
                           dlsym(RTLD_NEXT, "epoll_wait");

    name = getenv("BURST");
    fd = name ? open(name, O_RDWR|O_CLOEXEC) : -1;

    if (fd == -1) {
        return;
    }

    p = mmap(NULL, sizeof(int64_t), PROT_READ|PROT_WRITE, MAP_SHARED, fd, 0);
    burst = (p == MAP_FAILED) ? NULL : p;

    (void) close(fd);
}


int
epoll_wait(int fd, struct epoll_event *events, int max, int timeout)
{
    int      n;
    int64_t  length;

    if (burst && burst_begun) {
        length = burst_now() - burst_begun;

        if (length > *burst) {
            *burst = length;
        }
    }

    n = burst_epoll_wait(fd, events, max, timeout);

    burst_begun = burst_now();

    return n;
}


static int64_t
burst_now(void)
{
    struct timespec  ts;

    (void) clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);

    return (int64_t) ts.tv_sec * 1000000000 + ts.tv_nsec;
}

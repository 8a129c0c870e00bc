
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Load generator for the module: opens sessions, posts messages, and records
 * the status, the answer and the times of each.  "load -h" lists the options.
 */

#include "load.h"
#include "load_conf.h"
#include "load_loop.h"
#include "load_pipe.h"
#include "load_proc.h"
#include "load_report.h"
#include "load_run.h"

#include <sys/resource.h>


static void load_files(void);


int
main(int argc, char **argv)
{
    int           code;
    load_run_t    run;
    load_conf_t   conf;
    load_pipe_t  *pipe;

    load_conf_read(&conf, argc, argv);
    load_files();

    load_proc_add(conf.pids, 0);
    load_proc_add(conf.masters, 1);

    pipe = (conf.pipe_rate > 0) ? load_pipe_start(conf.pipe_rate) : NULL;

    load_loop_init();
    load_conn_tls = conf.tls;

    load_run(&conf, pipe ? &pipe->measuring : NULL, &run);

    load_pipe_stop();

    code = load_report(&conf, &run, pipe);

    return (fflush(stdout) == 0) ? code : 2;
}


/* raises the limit of open files to its maximum: each stream needs one */

static void
load_files(void)
{
    struct rlimit  limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void) setrlimit(RLIMIT_NOFILE, &limit);
    }
}


void
load_fatal(const char *fmt, ...)
{
    va_list  args;

    (void) fputs("load: ", stderr);

    va_start(args, fmt);
    (void) vfprintf(stderr, fmt, args);
    va_end(args);

    (void) fputs("\n", stderr);

    exit(2);
}


void *
load_alloc(size_t size)
{
    void  *p;

    p = calloc(1, size);

    if (p == NULL) {
        load_fatal("no memory for %zu bytes", size);
    }

    return p;
}


load_nsec_t
load_now(void)
{
    struct timespec  ts;

    (void) clock_gettime(CLOCK_MONOTONIC, &ts);

    return (load_nsec_t) ts.tv_sec * LOAD_SEC + ts.tv_nsec;
}


/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * CPU time and memory of processes, from /proc.
 */

#ifndef _LOAD_PROC_H_INCLUDED_
#define _LOAD_PROC_H_INCLUDED_


#include "load.h"


enum {
    load_proc_idle = 0,           /* before the first stream */
    load_proc_streams,            /* all streams are open */
    load_proc_begin,              /* begin of the measurement */
    load_proc_end,                /* end of the measurement */
    LOAD_PROC_MOMENTS
};


typedef struct {
    double    user;               /* seconds, in steps of 10 ms */
    double    system;
    double    cpu;                /* both together, exact */
    uint64_t  rss;                /* bytes */
    uint64_t  pss;                /* bytes; 0: smaps_rollup is unreadable */
    unsigned  gone:1;
} load_proc_usage_t;


typedef struct {
    pid_t              pid;
    char               name[16];
    unsigned           children:1;
    load_proc_usage_t  usage[LOAD_PROC_MOMENTS];
} load_proc_t;


/*
 * Adds the processes of "PID,...", and those below them if "children" is set;
 * exits if a process does not exist.  Children that start later are added by
 * load_proc_note().
 */

void load_proc_add(const char *list, int children);

/* records the usage of all processes at this moment */

void load_proc_note(unsigned moment);

/* returns "n" processes */

const load_proc_t *load_proc_list(unsigned *n);

/* returns the CPU seconds of this process so far, user and system */

double load_proc_own(void);


#endif /* _LOAD_PROC_H_INCLUDED_ */

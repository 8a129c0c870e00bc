
/*
 * CPU and memory of processes, from /proc.
 */

#ifndef _LOAD_PROC_H_INCLUDED_
#define _LOAD_PROC_H_INCLUDED_


#include "load.h"


enum {
    load_proc_idle = 0,           /* before the first stream */
    load_proc_streams,            /* all streams are open */
    load_proc_begin,              /* measuring begins */
    load_proc_end,                /* measuring has ended */
    LOAD_PROC_MOMENTS
};


typedef struct {
    double    user;               /* seconds */
    double    system;
    uint64_t  rss;                /* bytes */
    uint64_t  pss;                /* 0: not allowed to know */
    unsigned  gone:1;
} load_proc_usage_t;


typedef struct {
    pid_t              pid;
    char               name[16];
    load_proc_usage_t  usage[LOAD_PROC_MOMENTS];
} load_proc_t;


/* adds the processes of "PID,...", with their children if "children" is set */

void load_proc_add(const char *list, int children);

/* notes what all of them have used until now */

void load_proc_note(unsigned moment);

/* the processes, and how many */

const load_proc_t *load_proc_list(unsigned *n);

/* CPU seconds of this process until now, in user mode and in the kernel's */

double load_proc_own(void);


#endif /* _LOAD_PROC_H_INCLUDED_ */

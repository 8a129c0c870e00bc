
/*
 * The baseline: two processes of their own that write to each other by pipes,
 * at fixed times as messages are sent, and wait in epoll as nginx does.
 */

#ifndef _LOAD_PIPE_H_INCLUDED_
#define _LOAD_PIPE_H_INCLUDED_


#include "load.h"
#include "load_hist.h"


typedef struct {
    volatile int  measuring;

    load_hist_t   way;            /* written to read by the other */
    load_hist_t   echo;           /* written to read back */
    load_hist_t   trip;           /* intended time to read back */
    load_hist_t   late;           /* intended time to written */
} load_pipe_t;


/*
 * Starts both, "rate" times a second; to be called before anything is open.
 * They count while "measuring" is set in what is returned, which all three
 * processes share, and end with this process or by load_pipe_stop().
 */

load_pipe_t *load_pipe_start(double rate);
void load_pipe_stop(void);


#endif /* _LOAD_PIPE_H_INCLUDED_ */

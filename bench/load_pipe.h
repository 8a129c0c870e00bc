
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Baseline: two separate processes that write to each other through pipes, at
 * fixed times as messages are sent, and wait in epoll as nginx does.
 */

#ifndef _LOAD_PIPE_H_INCLUDED_
#define _LOAD_PIPE_H_INCLUDED_


#include "load.h"
#include "load_hist.h"


typedef struct {
    volatile int  measuring;

    load_hist_t   way;            /* from written to read by the other */
    load_hist_t   echo;           /* from written to read back */
    load_hist_t   trip;           /* from due to read back */
    load_hist_t   late;           /* from due to written */
} load_pipe_t;


/*
 * Starts the two processes, which exchange "rate" messages per second.  It
 * must be called before any file is opened.  The returned struct is shared
 * by all three processes; times are recorded while "measuring" is set in it.
 * The processes end with this one or by load_pipe_stop().
 */

load_pipe_t *load_pipe_start(double rate);
void load_pipe_stop(void);


#endif /* _LOAD_PIPE_H_INCLUDED_ */

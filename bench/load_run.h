
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * A run: connect, send messages, measure, wait for answers.
 */

#ifndef _LOAD_RUN_H_INCLUDED_
#define _LOAD_RUN_H_INCLUDED_


#include "load.h"
#include "load_conf.h"


typedef struct {
    double  seconds;              /* duration of the measurement */
    double  own_cpu;              /* CPU seconds of this process in it */
    double  opened;               /* seconds until all streams were open */
} load_run_t;


/*
 * Performs a run and fills "run".  "measuring" is set during the measurement,
 * if it is not NULL.  Exits if a stream or a connection cannot be opened.
 */

void load_run(const load_conf_t *conf, volatile int *measuring,
    load_run_t *run);


#endif /* _LOAD_RUN_H_INCLUDED_ */


/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Report of a run, as a table and as JSON.
 */

#ifndef _LOAD_REPORT_H_INCLUDED_
#define _LOAD_REPORT_H_INCLUDED_


#include "load.h"
#include "load_conf.h"
#include "load_pipe.h"
#include "load_run.h"


/* prints the report and returns the exit code; "pipe" may be NULL */

int load_report(const load_conf_t *conf, const load_run_t *run,
    const load_pipe_t *pipe);


#endif /* _LOAD_REPORT_H_INCLUDED_ */

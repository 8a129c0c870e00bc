
/*
 * What was measured, as a table and as JSON.
 */

#ifndef _LOAD_REPORT_H_INCLUDED_
#define _LOAD_REPORT_H_INCLUDED_


#include "load.h"
#include "load_conf.h"
#include "load_pipe.h"
#include "load_run.h"


/* prints all; "pipe" may be NULL.  Returns the code the program ends with */

int load_report(const load_conf_t *conf, const load_run_t *run,
    const load_pipe_t *pipe);


#endif /* _LOAD_REPORT_H_INCLUDED_ */

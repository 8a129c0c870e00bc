
/*
 * The run: connects, sends, measures, waits.
 */

#ifndef _LOAD_RUN_H_INCLUDED_
#define _LOAD_RUN_H_INCLUDED_


#include "load.h"
#include "load_conf.h"


typedef struct {
    double  seconds;              /* of measuring */
    double  own_cpu;              /* seconds this process used in them */
    double  opened;               /* seconds until all streams were open */
} load_run_t;


/*
 * Does it all, with "measuring" set while it measures if it is not NULL.
 * Ends the program if not all sessions can be opened.
 */

void load_run(const load_conf_t *conf, volatile int *measuring,
    load_run_t *run);


#endif /* _LOAD_RUN_H_INCLUDED_ */

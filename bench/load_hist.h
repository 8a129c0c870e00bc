
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Histograms of times, from 1 ns to 18 minutes with a resolution of 0.8%: 128
 * counters per power of two.  A histogram has no pointers, so it can be in
 * shared memory if one process writes it.
 */

#ifndef _LOAD_HIST_H_INCLUDED_
#define _LOAD_HIST_H_INCLUDED_


#include "load.h"


#define LOAD_HIST_BITS   7
#define LOAD_HIST_MAX    40
#define LOAD_HIST_CELLS                                                       \
    ((LOAD_HIST_MAX - LOAD_HIST_BITS + 1) << LOAD_HIST_BITS)


typedef struct {
    uint64_t     count;
    load_nsec_t  max;
    uint64_t     cells[LOAD_HIST_CELLS];
} load_hist_t;


/* counts a value; a negative one as 0, a too large one in the last cell */

void load_hist_add(load_hist_t *h, load_nsec_t value);

/* adds all values of "from" to "h" */

void load_hist_merge(load_hist_t *h, const load_hist_t *from);

/*
 * Returns the percentile "share" (0.5, 0.99): the upper end of its cell, at
 * most the maximum; 0 if the histogram is empty.
 */

load_nsec_t load_hist_at(const load_hist_t *h, double share);


#endif /* _LOAD_HIST_H_INCLUDED_ */

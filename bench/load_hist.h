
/*
 * Histograms of times: 128 counters for each power of two, so that a value is
 * known to 0.8%, from 1 ns to 18 minutes.  They hold no pointer and may lie in
 * memory that processes share, where one of them writes.
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


/* counts a value; negative ones as 0, too large ones in the last cell */

void load_hist_add(load_hist_t *h, load_nsec_t value);

/* adds all values of "from" to "h" */

void load_hist_merge(load_hist_t *h, const load_hist_t *from);

/*
 * The value that "share" (0.5, 0.99) of the values do not exceed: the upper
 * end of its cell, at most the maximum.  0 where there is no value.
 */

load_nsec_t load_hist_at(const load_hist_t *h, double share);


#endif /* _LOAD_HIST_H_INCLUDED_ */

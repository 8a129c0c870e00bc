
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Histograms of times.
 *
 * The caller provides the histogram, filled with zeroes.
 */

#include "load_hist.h"


#define LOAD_HIST_SUB  (1 << LOAD_HIST_BITS)


static unsigned load_hist_cell(load_nsec_t value);
static load_nsec_t load_hist_top(unsigned cell);


void
load_hist_add(load_hist_t *h, load_nsec_t value)
{
    if (value < 0) {
        value = 0;
    }

    if (value > h->max) {
        h->max = value;
    }

    h->cells[load_hist_cell(value)]++;
    h->count++;
}


void
load_hist_merge(load_hist_t *h, const load_hist_t *from)
{
    unsigned  i;

    for (i = 0; i < LOAD_HIST_CELLS; i++) {
        h->cells[i] += from->cells[i];
    }

    h->count += from->count;

    if (from->max > h->max) {
        h->max = from->max;
    }
}


load_nsec_t
load_hist_at(const load_hist_t *h, double share)
{
    double       rank;
    uint64_t     seen;
    unsigned     i;
    load_nsec_t  top;

    rank = share * (double) h->count;
    seen = 0;

    for (i = 0; i < LOAD_HIST_CELLS; i++) {
        seen += h->cells[i];

        if (seen && (double) seen >= rank) {
            top = load_hist_top(i);
            return (top < h->max) ? top : h->max;
        }
    }

    return h->max;
}


/*
 * Each value below 2 * 128 has its own cell.  For larger values, the 7 bits
 * below the highest one select one of the 128 cells of that power of two.
 */

static unsigned
load_hist_cell(load_nsec_t value)
{
    unsigned  bit, shift, cell;

    if (value < 2 * LOAD_HIST_SUB) {
        return (unsigned) value;
    }

    bit = 63 - (unsigned) __builtin_clzll((unsigned long long) value);
    shift = bit - LOAD_HIST_BITS;
    cell = (shift << LOAD_HIST_BITS) + (unsigned) (value >> shift);

    return (cell < LOAD_HIST_CELLS) ? cell : LOAD_HIST_CELLS - 1;
}


static load_nsec_t
load_hist_top(unsigned cell)
{
    unsigned     shift;
    load_nsec_t  sub;

    if (cell < 2 * LOAD_HIST_SUB) {
        return cell;
    }

    shift = (cell >> LOAD_HIST_BITS) - 1;
    sub = (cell & (LOAD_HIST_SUB - 1)) + LOAD_HIST_SUB;

    return ((sub + 1) << shift) - 1;
}

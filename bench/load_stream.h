
/*
 * The sessions: an open stream each.
 */

#ifndef _LOAD_STREAM_H_INCLUDED_
#define _LOAD_STREAM_H_INCLUDED_


#include "load.h"
#include "load_conf.h"


typedef struct {
    unsigned  ready;              /* streams that have their endpoint */
    unsigned  ended;
    unsigned  refused;
    int       status;             /* of the last that was refused */
    uint64_t  events;             /* but for endpoints */
    uint64_t  others;             /* of them no answers */
    uint64_t  comments;
} load_stream_stat_t;


/*
 * Opens all sessions, a hundred at a time: load_loop_wait() is to be called
 * until "ready" and "ended" of the counters come to the number of sessions.
 * Answers go to load_call_answered().
 */

void load_stream_open(const load_conf_t *conf);

/* whether a session can be used, its URI for messages, its worker */

int load_stream_usable(unsigned session);
const char *load_stream_uri(unsigned session);
const char *load_stream_worker(unsigned session);

/* the counters; of events they are added up by this */

load_stream_stat_t *load_stream_stat(void);


#endif /* _LOAD_STREAM_H_INCLUDED_ */

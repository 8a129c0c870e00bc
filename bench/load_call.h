
/*
 * Every message that was ever sent, what became of it, and how long it took.
 */

#ifndef _LOAD_CALL_H_INCLUDED_
#define _LOAD_CALL_H_INCLUDED_


#include "load.h"
#include "load_hist.h"


/* where the POST came in, seen from the stream */

enum {
    load_call_same = 0,           /* at the same worker */
    load_call_other,              /* at another worker of the instance */
    load_call_instance,           /* at another instance */
    load_call_unknown,            /* no header said it */
    LOAD_CALL_CLASSES
};


typedef struct {
    uint64_t     sent;
    uint64_t     accepted;
    uint64_t     answered;
    uint64_t     errors;          /* of the answers */
    uint64_t     refused;
    uint64_t     statuses[600];
    uint64_t     broken;          /* connection ended before the status */
    uint64_t     doubled;
    uint64_t     unexpected;      /* unknown id, other session, refused */

    /* set by load_call_finish() */
    uint64_t     lost;            /* accepted and not answered */
    uint64_t     unfinished;      /* no status yet */

    /* of the time of measuring only */
    uint64_t     measured;        /* answers */
    load_hist_t  late;            /* intended time to written */
    load_hist_t  accept[LOAD_CALL_CLASSES];   /* intended to the 202 */
    load_hist_t  answer[LOAD_CALL_CLASSES];   /* intended to the event */
    load_hist_t  served[LOAD_CALL_CLASSES];   /* written to the event */
    load_hist_t  behind[LOAD_CALL_CLASSES];   /* the 202 to the event */
} load_call_stat_t;


/*
 * "done" is called once for a message that needs nothing more: answered and
 * accepted, refused, or broken; "refused" tells the last two apart.
 */

void load_call_init(void (*done)(unsigned session, int refused));

/* makes a message; its times count from "intended" if it is "measured" */

uint64_t load_call_create(unsigned session, load_nsec_t intended,
    int measured);

/* of a message: its session */

unsigned load_call_session(uint64_t id);

/* what happens to a message, in this order but for the answer */

void load_call_sent(uint64_t id, load_nsec_t at);
void load_call_status(uint64_t id, int status, unsigned where,
    load_nsec_t at);
void load_call_broken(uint64_t id);

/* an answer came on the stream of "session"; the id may be any number */

void load_call_answered(uint64_t id, unsigned session, int error,
    load_nsec_t at);

/* messages that are not done */

uint64_t load_call_open(void);

/* counts what is missing */

void load_call_finish(void);

/* the counters and histograms */

load_call_stat_t *load_call_stat(void);

/* compares two values of the header, "INSTANCE/PID" or any text */

unsigned load_call_class(const char *stream, const char *post);


#endif /* _LOAD_CALL_H_INCLUDED_ */


/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Records of all messages: status, answer, and times.
 */

#ifndef _LOAD_CALL_H_INCLUDED_
#define _LOAD_CALL_H_INCLUDED_


#include "load.h"
#include "load_hist.h"


/* the worker that accepted the POST, relative to the one with the stream */

enum {
    load_call_same = 0,           /* the same worker */
    load_call_other,              /* another worker of the instance */
    load_call_instance,           /* a worker of another instance */
    load_call_unknown,            /* a response had no such header */
    LOAD_CALL_CLASSES
};


typedef struct {
    uint64_t     sent;
    uint64_t     accepted;
    uint64_t     answered;
    uint64_t     errors;          /* answers that are JSON-RPC errors */
    uint64_t     refused;
    uint64_t     statuses[600];
    uint64_t     broken;          /* the connection ended before the status */
    uint64_t     doubled;
    uint64_t     unexpected;      /* answers with an unknown id, on another
                                     session's stream, or after a refusal */

    /* set by load_call_finish() */
    uint64_t     lost;            /* accepted, not answered */
    uint64_t     unfinished;      /* no status */

    /* counted during the measurement only */
    uint64_t     measured;        /* answers */
    load_hist_t  late;            /* from due to written */
    load_hist_t  accept[LOAD_CALL_CLASSES];   /* from due to the status */
    load_hist_t  answer[LOAD_CALL_CLASSES];   /* from due to the event */
    load_hist_t  served[LOAD_CALL_CLASSES];   /* from written to the event */
    load_hist_t  behind[LOAD_CALL_CLASSES];   /* from the 202 to the event */
} load_call_stat_t;


/*
 * Sets the handler that is called once for each complete message.  "refused"
 * is 0 if it was accepted and answered, 1 if it was refused or if its
 * connection ended before the status.
 */

void load_call_init(void (*done)(unsigned session, int refused));

/*
 * Creates the record of a message that is due at "intended" and returns the
 * message id.  Times are recorded if "measured" is set.
 */

uint64_t load_call_create(unsigned session, load_nsec_t intended,
    int measured);

/* returns the session of a message */

unsigned load_call_session(uint64_t id);

/*
 * Record that a message was written, that it got an HTTP status, or that its
 * connection ended before the status.  _sent() comes first.
 */

void load_call_sent(uint64_t id, load_nsec_t at);
void load_call_status(uint64_t id, int status, unsigned where,
    load_nsec_t at);
void load_call_broken(uint64_t id);

/*
 * Records an answer on the stream of "session", with any id.  It may come
 * before load_call_status().
 */

void load_call_answered(uint64_t id, unsigned session, int error,
    load_nsec_t at);

/* returns the number of incomplete messages */

uint64_t load_call_open(void);

/* counts lost and unfinished messages */

void load_call_finish(void);

/* returns the counters and histograms */

load_call_stat_t *load_call_stat(void);

/*
 * Compares the values of the worker header, "INSTANCE/PID" or any text, in
 * the responses to a GET and to a POST; returns load_call_same etc.
 */

unsigned load_call_class(const char *stream, const char *post);


#endif /* _LOAD_CALL_H_INCLUDED_ */

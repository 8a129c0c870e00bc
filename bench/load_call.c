
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Records of all messages: status, answer, and times.
 *
 * Records are never freed, so that a second answer is detected at any time.
 */

#include "load_call.h"


#define LOAD_CALL_SHIFT   16
#define LOAD_CALL_CHUNK   (1 << LOAD_CALL_SHIFT)
#define LOAD_CALL_CHUNKS  65536


typedef struct {
    load_nsec_t   intended;
    load_nsec_t   written;
    load_nsec_t   accepted;
    load_nsec_t   answered;
    uint32_t      session;
    uint16_t      status;
    uint8_t       answers;
    uint8_t       where;

    unsigned      measured:1;
    unsigned      broken:1;
    unsigned      done:1;
} load_call_t;


static load_call_t *load_call_get(uint64_t id);
static int load_call_accepted(const load_call_t *call);
static void load_call_check(load_call_t *call);
static void load_call_times(load_call_t *call);


static load_call_t        *load_call_chunks[LOAD_CALL_CHUNKS];
static uint64_t            load_call_next;
static uint64_t            load_call_ended;
static load_call_stat_t    load_call_stats;
static void              (*load_call_done)(unsigned session, int refused);


void
load_call_init(void (*done)(unsigned session, int refused))
{
    load_call_done = done;

    /* ids begin with 1: the record of 0 is complete */

    (void) load_call_create(0, 0, 0);
    load_call_get(0)->done = 1;
    load_call_ended = 1;
}


uint64_t
load_call_create(unsigned session, load_nsec_t intended, int measured)
{
    uint64_t      id;
    load_call_t  *call;

    id = load_call_next++;

    if ((id & (LOAD_CALL_CHUNK - 1)) == 0) {
        if ((id >> LOAD_CALL_SHIFT) == LOAD_CALL_CHUNKS) {
            load_fatal("too many messages");
        }

        load_call_chunks[id >> LOAD_CALL_SHIFT] =
                             load_alloc(LOAD_CALL_CHUNK * sizeof(load_call_t));
    }

    call = load_call_get(id);

    call->session = session;
    call->intended = intended;
    call->measured = (measured != 0);

    return id;
}


static load_call_t *
load_call_get(uint64_t id)
{
    return &load_call_chunks[id >> LOAD_CALL_SHIFT][id & (LOAD_CALL_CHUNK - 1)];
}


/* the module answers 202, or 200 with the answer; others also 201 */

static int
load_call_accepted(const load_call_t *call)
{
    return call->status / 100 == 2;
}


unsigned
load_call_session(uint64_t id)
{
    return load_call_get(id)->session;
}


void
load_call_sent(uint64_t id, load_nsec_t at)
{
    load_call_t  *call;

    call = load_call_get(id);

    call->written = at;

    load_call_stats.sent++;

    if (call->measured) {
        load_hist_add(&load_call_stats.late, at - call->intended);
    }
}


void
load_call_status(uint64_t id, int status, unsigned where, load_nsec_t at)
{
    load_call_t  *call;

    call = load_call_get(id);

    call->status = (uint16_t) status;
    call->where = (uint8_t) where;

    if (status > 0 && status < 600) {
        load_call_stats.statuses[status]++;
    }

    if (load_call_accepted(call)) {
        call->accepted = at;

        load_call_stats.accepted++;

        if (call->measured) {
            load_hist_add(&load_call_stats.accept[where], at - call->intended);
        }

    } else {
        load_call_stats.refused++;

        if (call->answers) {
            load_call_stats.unexpected++;
        }
    }

    load_call_check(call);
}


void
load_call_broken(uint64_t id)
{
    load_call_t  *call;

    call = load_call_get(id);

    call->broken = 1;
    load_call_stats.broken++;

    load_call_check(call);
}


void
load_call_answered(uint64_t id, unsigned session, int error, load_nsec_t at)
{
    load_call_t  *call;

    if (id == 0 || id >= load_call_next) {
        load_call_stats.unexpected++;
        return;
    }

    call = load_call_get(id);

    if (call->session != session
        || (call->status && !load_call_accepted(call)))
    {
        load_call_stats.unexpected++;
        return;
    }

    if (call->answers) {
        load_call_stats.doubled++;
        return;
    }

    call->answers = 1;
    call->answered = at;

    load_call_stats.answered++;
    load_call_stats.errors += (error != 0);
    load_call_stats.measured += call->measured;

    load_call_check(call);
}


/*
 * Completes a message that has both status and answer, or was refused.  The
 * answer may come before the 202, whose header names the worker.
 */

static void
load_call_check(load_call_t *call)
{
    int  refused;

    refused = call->broken || (call->status && !load_call_accepted(call));

    if (call->done || (!refused && (!call->status || !call->answers))) {
        return;
    }

    if (call->measured && !refused) {
        load_call_times(call);
    }

    call->done = 1;
    load_call_ended++;

    load_call_done(call->session, refused);
}


/*
 * The event may come before the 202: the owner writes it while the other
 * worker still prepares its response.  Negative values count as 0.
 */

static void
load_call_times(load_call_t *call)
{
    load_hist_add(&load_call_stats.answer[call->where],
                  call->answered - call->intended);

    load_hist_add(&load_call_stats.served[call->where],
                  call->answered - call->written);

    load_hist_add(&load_call_stats.behind[call->where],
                  call->answered - call->accepted);
}


uint64_t
load_call_open(void)
{
    return load_call_next - load_call_ended;
}


/*
 * A message whose connection ended before the status may have been executed
 * or not: it is not lost without an answer.
 */

void
load_call_finish(void)
{
    uint64_t      id;
    load_call_t  *call;

    for (id = 1; id < load_call_next; id++) {
        call = load_call_get(id);

        if (load_call_accepted(call) && !call->answers) {
            load_call_stats.lost++;
        }

        if (!call->status && !call->broken) {
            load_call_stats.unfinished++;
        }
    }
}


load_call_stat_t *
load_call_stat(void)
{
    return &load_call_stats;
}


unsigned
load_call_class(const char *stream, const char *post)
{
    size_t  len;

    if (*stream == '\0' || *post == '\0') {
        return load_call_unknown;
    }

    if (strcmp(stream, post) == 0) {
        return load_call_same;
    }

    len = strcspn(stream, "/");

    if (stream[len] && strncmp(stream, post, len + 1) != 0) {
        return load_call_instance;
    }

    return load_call_other;
}
